#include "rate_limit_sip.h"

static uint64_t turned(uint64_t x, unsigned by)
{
    return x << by | x >> (64 - by);
}

static void rounds(uint64_t v[4], unsigned count)
{
    while (count-- > 0) {
        v[0] += v[1];
        v[2] += v[3];
        v[1] = turned(v[1], 13) ^ v[0];
        v[3] = turned(v[3], 16) ^ v[2];
        v[0] = turned(v[0], 32);
        v[2] += v[1];
        v[0] += v[3];
        v[1] = turned(v[1], 17) ^ v[2];
        v[3] = turned(v[3], 21) ^ v[0];
        v[2] = turned(v[2], 32);
    }
}

/* Up to eight bytes, the first one lowest. */
static uint64_t word_of(const uint8_t *bytes, size_t len)
{
    uint64_t word = 0;

    for (size_t i = 0; i < len; i++)
        word |= (uint64_t)bytes[i] << (8 * i);
    return word;
}

static void absorb(uint64_t v[4], uint64_t word)
{
    v[3] ^= word;
    rounds(v, 2);
    v[0] ^= word;
}

static uint64_t squeeze(uint64_t v[4])
{
    rounds(v, 4);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

void rate_limit_sip(const uint64_t key[2], const void *bytes, size_t len, uint64_t ret_hash[2])
{
    const uint8_t *at = bytes;
    uint64_t v[4] = {key[0] ^ 0x736f6d6570736575, key[1] ^ 0x646f72616e646f6d ^ 0xee, key[0] ^ 0x6c7967656e657261,
                     key[1] ^ 0x7465646279746573};
    size_t left = len;

    for (; left >= 8; at += 8, left -= 8)
        absorb(v, word_of(at, 8));
    absorb(v, (uint64_t)len << 56 | word_of(at, left));

    v[2] ^= 0xee;
    ret_hash[0] = squeeze(v);
    v[1] ^= 0xdd;
    ret_hash[1] = squeeze(v);
}
