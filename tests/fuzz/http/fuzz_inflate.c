/* However a coded body is cut, it says the same and gives the same, within its ceiling. First byte: which coding. */
#include <stdlib.h>

#include "gateway/base/pool.h"
#include "gateway/http/inflate.h"

#define LIMIT (1u << 20)

typedef struct sum {
    uint64_t hash, len;
} sum_t;

static bool take(void *data, const char *bytes, size_t len)
{
    sum_t *sum = data;

    sum->len += len;
    if (sum->len > LIMIT)
        abort();
    for (size_t i = 0; i < len; i++)
        sum->hash = (sum->hash ^ (unsigned char)bytes[i]) * 0x100000001b3u;
    return true;
}

static sheaf_err_t inflate_in_pieces(sheaf_coding_t coding, const uint8_t *data, size_t size, size_t piece, sum_t *sum)
{
    sheaf_inflate_t *inflate = sheaf_inflate_new(coding, LIMIT, take, sum);
    sheaf_err_t err;

    for (size_t at = 0; at < size; at += piece) {
        size_t len = size - at < piece ? size - at : piece;
        char *copy = malloc(len);

        memcpy(copy, data + at, len);
        err = sheaf_inflate_feed(inflate, copy, len);
        free(copy);
        if (err != SHEAF_OK)
            break;
    }
    err = sheaf_inflate_end(inflate);
    sheaf_inflate_free(inflate);
    return err;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sum_t whole = {0}, bytes = {0}, sevens = {0};
    sheaf_coding_t coding;
    sheaf_err_t err;

    if (size == 0)
        return 0;
    sheaf_coding_accepts_gzip(sheaf_str((const char *)data, size));
    coding = data[0] & 1 ? SHEAF_CODING_GZIP : SHEAF_CODING_DEFLATE;
    err = inflate_in_pieces(coding, data + 1, size - 1, size, &whole);
    /* the bound on growth looks at what has come: in small pieces it is reached earlier */
    if (err == SHEAF_OK && (inflate_in_pieces(coding, data + 1, size - 1, 1, &bytes) == SHEAF_ERR_MALFORMED ||
                            inflate_in_pieces(coding, data + 1, size - 1, 7, &sevens) == SHEAF_ERR_MALFORMED))
        abort();
    if (err == SHEAF_OK && bytes.len == whole.len && bytes.hash != whole.hash)
        abort();
    return 0;
}
