/* rate_limit_sip - SipHash-2-4 with 128 bits of result (Aumasson, Bernstein): a keyed hash for tables that strangers fill. */
#ifndef RATE_LIMIT_SIP_H
#define RATE_LIMIT_SIP_H

#include <stddef.h>
#include <stdint.h>

void rate_limit_sip(const uint64_t key[2], const void *bytes, size_t len, uint64_t ret_hash[2]);

#endif
