/* base/slate.c - see slate.h. */
#include "gateway/base/slate.h"

#include "gateway/base/error.h"
#include "gateway/base/shared.h"

#define FNV_PRIME UINT64_C(0x100000001b3)
#define WIPED     ((uint64_t)1)
#define LEAST_KEY ((uint64_t)2)

static size_t size_of(uint64_t lines)
{
    return sizeof(sheaf_slate_t) + lines * sizeof(sheaf_slate_line_t);
}

sheaf_slate_t *sheaf_slate_new(uint32_t lines)
{
    sheaf_slate_t *slate = sheaf_shared_new("sheaf-slate", size_of(lines));

    SHEAF_ASSERT(lines != 0 && (lines & (lines - 1)) == 0);
    if (slate == NULL)
        return NULL;
    slate->count = lines;
    return slate;
}

void sheaf_slate_free(sheaf_slate_t *slate)
{
    if (slate != NULL)
        sheaf_shared_free(slate, size_of(slate->count));
}

/* --- keys: FNV-1a, and a finalizer that tears neighbours apart (MurmurHash3's) --- */

static uint64_t add_byte(uint64_t key, unsigned char byte)
{
    return (key ^ byte) * FNV_PRIME;
}

uint64_t sheaf_slate_key(uint64_t key, sheaf_str_t text)
{
    for (size_t i = 0; i < text.len; i++)
        key = add_byte(key, (unsigned char)text.base[i]);
    for (size_t len = text.len, i = 0; i < sizeof(len); i++, len >>= 8) /* where one text ends */
        key = add_byte(key, (unsigned char)len);
    key = (key ^ key >> 33) * UINT64_C(0xff51afd7ed558ccd);
    key = (key ^ key >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
    key ^= key >> 33;
    return key < LEAST_KEY ? key + LEAST_KEY : key;
}

/* --- lines --- */

static uint64_t reach(const sheaf_slate_t *slate)
{
    return slate->count < SHEAF_SLATE_REACH ? slate->count : SHEAF_SLATE_REACH;
}

static uint64_t place(const sheaf_slate_t *slate, uint64_t key, uint64_t step)
{
    return (key + step) & (slate->count - 1);
}

static uint64_t key_of(const sheaf_slate_line_t *line)
{
    return atomic_load_explicit(&line->key, memory_order_acquire);
}

uint64_t sheaf_slate_value(const sheaf_slate_line_t *line)
{
    return atomic_load_explicit(&line->value, memory_order_relaxed);
}

uint64_t sheaf_slate_read(const sheaf_slate_t *slate, uint64_t key)
{
    for (uint64_t i = 0; i < reach(slate); i++) {
        const sheaf_slate_line_t *line = &slate->lines[place(slate, key, i)];
        uint64_t found = key_of(line);

        if (found == key)
            return sheaf_slate_value(line);
        if (found == SHEAF_SLATE_NO_KEY)
            break;
    }
    return 0;
}

static void tell(sheaf_slate_t *slate)
{
    atomic_store_explicit(&slate->version, atomic_load_explicit(&slate->version, memory_order_relaxed) + 1,
                          memory_order_release);
}

static uint64_t round_of(const sheaf_slate_t *slate)
{
    return atomic_load_explicit(&slate->round, memory_order_relaxed);
}

void sheaf_slate_begin_round(sheaf_slate_t *slate)
{
    atomic_store_explicit(&slate->round, round_of(slate) + 1, memory_order_relaxed);
}

/* The key goes up last: who finds it finds its value. */
static void take(sheaf_slate_line_t *line, uint64_t key)
{
    atomic_store_explicit(&line->value, 0, memory_order_relaxed);
    atomic_store_explicit(&line->key, key, memory_order_release);
}

sheaf_slate_line_t *sheaf_slate_hold(sheaf_slate_t *slate, uint64_t key)
{
    sheaf_slate_line_t *line = NULL;
    uint64_t found = WIPED;

    for (uint64_t i = 0; i < reach(slate) && found != key && found != SHEAF_SLATE_NO_KEY; i++) {
        sheaf_slate_line_t *at = &slate->lines[place(slate, key, i)];

        found = key_of(at);
        if (found == key || (line == NULL && found < LEAST_KEY))
            line = at;
    }
    if (line == NULL)
        return NULL;
    if (found != key)
        take(line, key);
    atomic_store_explicit(&line->round, round_of(slate), memory_order_relaxed);
    return line;
}

void sheaf_slate_end_round(sheaf_slate_t *slate)
{
    for (uint64_t i = 0; i < slate->count; i++) {
        sheaf_slate_line_t *line = &slate->lines[i];

        if (key_of(line) >= LEAST_KEY && atomic_load_explicit(&line->round, memory_order_relaxed) != round_of(slate))
            atomic_store_explicit(&line->key, WIPED, memory_order_relaxed);
    }
    tell(slate);
}

void sheaf_slate_wipe(sheaf_slate_line_t *line)
{
    atomic_store_explicit(&line->key, WIPED, memory_order_relaxed);
}

void sheaf_slate_write(sheaf_slate_t *slate, sheaf_slate_line_t *line, uint64_t value, bool is_news)
{
    atomic_store_explicit(&line->value, value, memory_order_relaxed);
    if (is_news)
        tell(slate);
}
