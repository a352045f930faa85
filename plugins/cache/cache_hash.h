/* cache/cache_hash.h - SipHash-2-4: who does not know the secret cannot choose texts that meet. */
#ifndef CACHE_HASH_H
#define CACHE_HASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t cache_hash(const uint8_t secret[16], const void *bytes, size_t len);

#endif
