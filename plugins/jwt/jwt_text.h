/* jwt/jwt_text.h - the two encodings a token is made of: base64url and JSON, both read strictly. */
#ifndef SHEAF_JWT_TEXT_H
#define SHEAF_JWT_TEXT_H

#include <jansson.h>
#include <stdbool.h>

#include "plugins/sheaf_plugin.h"

#define JWT_DEPTH_MAX 16

/* base64url without padding, white space or stray bits behind the last byte (RFC 7515 2), so a value has one spelling.
 *
 * dst      room for text.len / 4 * 3 + 2 bytes */
bool jwt_base64_decode(sheaf_p_str_t text, uint8_t *dst, size_t *ret_len);

/* A JSON object: no member twice, no NUL in texts, not deeper than JWT_DEPTH_MAX, nothing behind it. NULL: it is none. The caller
 * drops it (json_decref). */
json_t *jwt_json_read(const char *bytes, size_t len);

/* Decodes base64url and reads the object it holds. */
json_t *jwt_json_decode(sheaf_p_str_t text);

#endif
