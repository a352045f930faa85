/* base/base64.h - RFC 4648: strict in, incremental out. */
#ifndef SHEAF_BASE_BASE64_H
#define SHEAF_BASE_BASE64_H

#include "gateway/base/out.h"
#include "gateway/base/pool.h"

/* Decodes base64 or base64url (not a mix of both), with or without padding. False on any other byte, a wrong length,
 * or bits that are not zero behind the last byte. The bytes land in `pool`. */
bool sheaf_base64_decode(sheaf_pool_t *pool, sheaf_str_t text, sheaf_str_t *ret_bytes);

/* Encodes bytes that come in several runs. Zero-initialise; feed; finish. Standard alphabet with padding. */
typedef struct sheaf_base64 {
    uint8_t left[3];
    uint8_t count;
} sheaf_base64_t;

void sheaf_base64_feed(sheaf_base64_t *state, const char *bytes, size_t len, sheaf_out_t *out);
void sheaf_base64_finish(sheaf_base64_t *state, sheaf_out_t *out);

#endif
