/* An answer means the same however its bytes were cut: whole, and in pieces of the size the first byte says. */
#include <stdlib.h>
#include <string.h>

#include "gateway/upstream/h1.h"

typedef struct told {
    int heads, last; /* last: the event it ended with */
    uint16_t status;
    size_t body_len, used;
    uint64_t body_sum;
} told_t;

static void pull(sheaf_h1_t *h1, char *at, char *end, told_t *told)
{
    static sheaf_wire_head_t head;
    char *from = at;
    sheaf_str_t body;
    const char *why = NULL;

    do {
        told->last = (int)sheaf_h1_next(h1, &at, end, &head, &body, &why);
        SHEAF_ASSERT(at >= from && at <= end);
        if (told->last == SHEAF_H1_HEAD) {
            told->heads++;
            told->status = head.status;
        } else if (told->last == SHEAF_H1_BODY) {
            SHEAF_ASSERT(body.len != 0);
            told->body_len += body.len;
            for (size_t i = 0; i < body.len; i++)
                told->body_sum = told->body_sum * 31 + (uint8_t)body.base[i];
        } else if (told->last == SHEAF_H1_BAD) {
            SHEAF_ASSERT(why != NULL);
        }
    } while (told->last == SHEAF_H1_HEAD || told->last == SHEAF_H1_BODY);
    told->used += (size_t)(at - from);
}

static told_t read_in_pieces(const uint8_t *data, size_t size, size_t piece, bool was_head)
{
    sheaf_h1_t h1 = {0};
    told_t told = {0};

    sheaf_h1_begin(&h1, was_head ? SHEAF_STR("HEAD") : SHEAF_STR("GET"));
    for (size_t at = 0; at < size && told.last == SHEAF_H1_MORE; at += piece) {
        size_t len = size - at < piece ? size - at : piece;
        char *copy = malloc(len); /* exact, so that a read beyond it is seen */

        memcpy(copy, data + at, len);
        pull(&h1, copy, copy + len, &told);
        free(copy);
    }
    sheaf_h1_fini(&h1);
    return told;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    told_t whole, cut;

    if (size < 2 || size > SHEAF_H1_MAX_HEAD)
        return 0;
    whole = read_in_pieces(data + 1, size - 1, size, (data[0] & 0x80) != 0);
    cut = read_in_pieces(data + 1, size - 1, (size_t)(data[0] & 0x7F) + 1, (data[0] & 0x80) != 0);
    SHEAF_ASSERT(whole.heads == cut.heads && whole.status == cut.status && whole.last == cut.last);
    if (whole.last != SHEAF_H1_BAD) {
        SHEAF_ASSERT(whole.body_len == cut.body_len && whole.body_sum == cut.body_sum);
        SHEAF_ASSERT(whole.used == cut.used);
    }
    return 0;
}
