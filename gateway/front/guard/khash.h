/* guard/khash.h - what h2o/http2_internal.h includes and Debian does not install.
 *
 * libh2o keeps the streams of a connection in a hash table of klib (khash 0.2.8). We only ever read it, so the layout
 * of the table and its flags is all there is here; no function of klib's is repeated. */
#ifndef SHEAF_FRONT_GUARD_KHASH_H
#define SHEAF_FRONT_GUARD_KHASH_H

#include <stdint.h>

typedef uint32_t khint_t;
typedef khint_t khiter_t;

/* Two bits per bucket: empty (2), deleted (1). */
#define KH_IS_TAKEN(table, bucket) ((((table)->flags[(bucket) >> 4] >> (((bucket)&15u) << 1)) & 3u) == 0)

/* Streams of a connection are few (100 and idle ones): looking at every bucket is as quick as hashing. */
#define KHASH_MAP_INIT_INT64(name, value_t)                                                                            \
    typedef struct {                                                                                                   \
        khint_t n_buckets, size, n_occupied, upper_bound;                                                              \
        uint32_t *flags;                                                                                               \
        uint64_t *keys;                                                                                                \
        value_t *vals;                                                                                                 \
    } kh_##name##_t;                                                                                                   \
    static inline khint_t kh_get_##name(const kh_##name##_t *table, uint64_t key)                                      \
    {                                                                                                                  \
        khint_t i = 0;                                                                                                 \
        while (i < table->n_buckets && !(KH_IS_TAKEN(table, i) && table->keys[i] == key))                              \
            i++;                                                                                                       \
        return i;                                                                                                      \
    }

#define khash_t(name)            kh_##name##_t
#define kh_get(name, table, key) kh_get_##name(table, key)
#define kh_end(table)            ((table)->n_buckets)
#define kh_val(table, bucket)    ((table)->vals[bucket])

#endif
