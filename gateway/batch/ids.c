#include "gateway/batch/ids.h"

#include <stdlib.h>
#include <sys/random.h>

#include "gateway/base/error.h"
#include "gateway/base/pool.h"

typedef struct slot {
    sheaf_str_t id; /* base NULL: free */
    uint32_t hash;
    uint32_t index;
} slot_t;

struct sheaf_ids {
    slot_t *slots;
    uint32_t count, size; /* size is a power of two, at most half full */
};

#define FIRST_SIZE 64

static uint64_t key[2];
static bool has_key;

static void draw_key(void)
{
    /* Without entropy the address of a local is still not known to a client. */
    if (getrandom(key, sizeof(key), GRND_NONBLOCK) != (ssize_t)sizeof(key))
        key[0] ^= (uint64_t)(uintptr_t)&key ^ (uint64_t)(uintptr_t)malloc;
    has_key = true;
}

static inline uint64_t rotate(uint64_t x, int by)
{
    return x << by | x >> (64 - by);
}

static inline void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[2] += v[3];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] = rotate(v[0], 32);
    v[2] += v[1];
    v[0] += v[3];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[2] = rotate(v[2], 32);
}

/* SipHash-1-3. */
static uint32_t hash_of(sheaf_str_t id)
{
    uint64_t v[4] = {key[0] ^ 0x736f6d6570736575, key[1] ^ 0x646f72616e646f6d, key[0] ^ 0x6c7967656e657261,
                     key[1] ^ 0x7465646279746573};
    uint64_t word;
    size_t at = 0;

    for (; at + 8 <= id.len; at += 8) {
        memcpy(&word, id.base + at, 8);
        v[3] ^= word;
        sip_round(v);
        v[0] ^= word;
    }
    word = (uint64_t)id.len << 56;
    for (size_t i = at; i < id.len; i++)
        word |= (uint64_t)(unsigned char)id.base[i] << (8 * (i - at));
    v[3] ^= word;
    sip_round(v);
    v[0] ^= word;
    v[2] ^= 0xff;
    for (int i = 0; i < 3; i++)
        sip_round(v);
    word = v[0] ^ v[1] ^ v[2] ^ v[3];
    return (uint32_t)(word ^ word >> 32);
}

uint32_t sheaf_ids_hash(sheaf_str_t text)
{
    if (!has_key)
        draw_key();
    return hash_of(text);
}

sheaf_ids_t *sheaf_ids_new(void)
{
    sheaf_ids_t *ids = sheaf_zalloc(sizeof(*ids));

    if (!has_key)
        draw_key();
    ids->size = FIRST_SIZE;
    ids->slots = sheaf_zalloc(FIRST_SIZE * sizeof(slot_t));
    return ids;
}

void sheaf_ids_free(sheaf_ids_t *ids)
{
    if (ids == NULL)
        return;
    free(ids->slots);
    free(ids);
}

/* The slot that holds `id`, or the free one where it belongs. */
static slot_t *seek(slot_t *slots, uint32_t size, sheaf_str_t id, uint32_t hash)
{
    uint32_t at = hash & (size - 1);

    while (slots[at].id.base != NULL && (slots[at].hash != hash || !sheaf_str_eq(slots[at].id, id)))
        at = (at + 1) & (size - 1);
    return &slots[at];
}

static void grow(sheaf_ids_t *ids)
{
    uint32_t size = ids->size * 2;
    slot_t *slots = sheaf_zalloc(size * sizeof(slot_t));

    for (uint32_t i = 0; i < ids->size; i++)
        if (ids->slots[i].id.base != NULL)
            *seek(slots, size, ids->slots[i].id, ids->slots[i].hash) = ids->slots[i];
    free(ids->slots);
    ids->slots = slots;
    ids->size = size;
}

bool sheaf_ids_add(sheaf_ids_t *ids, sheaf_str_t id, uint32_t index)
{
    uint32_t hash = hash_of(id);
    slot_t *slot;

    if ((ids->count + 1) * 2 > ids->size)
        grow(ids);
    slot = seek(ids->slots, ids->size, id, hash);
    if (slot->id.base != NULL)
        return false;
    *slot = (slot_t){id, hash, index};
    ids->count++;
    return true;
}

uint32_t sheaf_ids_find(const sheaf_ids_t *ids, sheaf_str_t id)
{
    const slot_t *slot;

    if (ids == NULL)
        return SHEAF_IDS_NONE;
    slot = seek(ids->slots, ids->size, id, hash_of(id));
    return slot->id.base == NULL ? SHEAF_IDS_NONE : slot->index;
}

const char *sheaf_ids_refusal(sheaf_str_t id)
{
    size_t chars = 0;

    if (id.len == 0)
        return "is empty";
    for (size_t i = 0; i < id.len; i++) {
        unsigned char c = (unsigned char)id.base[i];

        chars += (c & 0xc0) != 0x80;
        /* C0, DEL, and C1 (U+0080 to U+009F, which is C2 80 to C2 9F) */
        if (c < 0x20 || c == 0x7f || (c == 0xc2 && i + 1 < id.len && (unsigned char)id.base[i + 1] < 0xa0))
            return "holds a control character";
    }
    if (sheaf_utf8_valid_prefix(id) != id.len)
        return "is not valid UTF-8";
    return chars > 128 ? "is longer than 128 characters" : NULL;
}

bool sheaf_ids_is_of_element(sheaf_str_t id)
{
    size_t at = id.len - 1;

    if (id.len == 0 || id.base[at] != ']')
        return false;
    while (at > 0 && id.base[at - 1] >= '0' && id.base[at - 1] <= '9')
        at--;
    return at < id.len - 1 && at > 0 && id.base[at - 1] == '[';
}
