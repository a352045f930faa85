/* base/eight.h - eight bytes at once, for loops that pass over most of what they see (Bit Twiddling Hacks, "haszero").
 *
 * The first byte is the lowest of the word, on every machine. Marks have the high bit set of each byte that was looked for.
 * A borrow runs upwards and may mark one too many above the first: ask whether there is a mark, and where the first is. */
#ifndef SHEAF_BASE_EIGHT_H
#define SHEAF_BASE_EIGHT_H

#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* Eight times this byte. */
#define SHEAF_EIGHT(byte) (0x0101010101010101u * (uint8_t)(byte))

#define SHEAF_EIGHT_HIGH SHEAF_EIGHT(0x80)

static inline uint64_t sheaf_eight_at(const char *bytes)
{
    uint64_t word;

    memcpy(&word, bytes, sizeof(word));
    return le64toh(word);
}

/* Marks bytes below `bound`, which is at most 0x80. */
static inline uint64_t sheaf_eight_below(uint64_t word, uint8_t bound)
{
    return (word - SHEAF_EIGHT(bound)) & ~word & SHEAF_EIGHT_HIGH;
}

static inline uint64_t sheaf_eight_equal(uint64_t word, char byte)
{
    return sheaf_eight_below(word ^ SHEAF_EIGHT(byte), 1);
}

/* Which byte has the first mark; there must be one. */
static inline size_t sheaf_eight_first(uint64_t marks)
{
    return (size_t)__builtin_ctzll(marks) / 8;
}

/* --- sixteen at once, where the machine can: a bit for each byte, the first lowest, and none too many --- */

#ifdef __SSE2__
static inline __m128i sheaf_sixteen_at(const char *bytes)
{
    return _mm_loadu_si128((const __m128i *)(const void *)bytes);
}

static inline __m128i sheaf_sixteen_equal(__m128i word, char byte)
{
    return _mm_cmpeq_epi8(word, _mm_set1_epi8(byte));
}

/* Bytes below 0x20, and those above 0x7f, which are negative. */
static inline __m128i sheaf_sixteen_not_printable(__m128i word)
{
    return _mm_cmplt_epi8(word, _mm_set1_epi8(0x20));
}

/* From `first` to `last`, both ASCII. */
static inline __m128i sheaf_sixteen_within(__m128i word, char first, char last)
{
    return _mm_and_si128(_mm_cmpgt_epi8(word, _mm_set1_epi8((char)(first - 1))),
                         _mm_cmplt_epi8(word, _mm_set1_epi8((char)(last + 1))));
}

/* Unsigned; `bound` is not 0. */
static inline __m128i sheaf_sixteen_below(__m128i word, uint8_t bound)
{
    return _mm_cmpeq_epi8(_mm_min_epu8(word, _mm_set1_epi8((char)(bound - 1))), word);
}

static inline unsigned sheaf_sixteen_bits(__m128i marks)
{
    return (unsigned)_mm_movemask_epi8(marks);
}
#endif

#endif
