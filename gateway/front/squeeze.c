#include "gateway/front/squeeze.h"

#include <stdlib.h>
#include <zlib.h>

#include "gateway/base/error.h"
#include "gateway/base/pool.h"

#define LEVEL     1         /* most of what there is to gain from JSON; higher ones cost several times as much */
#define BITS      (13 + 16) /* gzip; a window of 8 KiB, which holds several results: 96 KiB a stream instead of 256 */
#define MEM_LEVEL 7
#define ROOM      4096u

struct sheaf_squeeze {
    z_stream z;
    char *bytes;
    size_t size, len;
};

sheaf_squeeze_t *sheaf_squeeze_new(void)
{
    sheaf_squeeze_t *squeeze = sheaf_zalloc(sizeof(*squeeze));

    if (deflateInit2(&squeeze->z, LEVEL, Z_DEFLATED, BITS, MEM_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK)
        abort(); /* as sheaf_alloc: memory is all that it can lack */
    return squeeze;
}

void sheaf_squeeze_free(sheaf_squeeze_t *squeeze)
{
    if (squeeze == NULL)
        return;
    deflateEnd(&squeeze->z);
    free(squeeze->bytes);
    free(squeeze);
}

/* zlib: a flush is complete once there is room left. */
static void run(sheaf_squeeze_t *squeeze, int flush)
{
    z_stream *z = &squeeze->z;
    int status;

    do {
        if (squeeze->size - squeeze->len < ROOM / 2) {
            squeeze->size += squeeze->size + ROOM;
            squeeze->bytes = sheaf_realloc(squeeze->bytes, squeeze->size);
        }
        z->next_out = (Bytef *)squeeze->bytes + squeeze->len;
        z->avail_out = (uInt)(squeeze->size - squeeze->len);
        status = deflate(z, flush);
        SHEAF_ASSERT(status != Z_STREAM_ERROR);
        squeeze->len = squeeze->size - z->avail_out;
    } while (z->avail_out == 0);
}

sheaf_iovec_t sheaf_squeeze_piece(sheaf_squeeze_t *squeeze, const sheaf_iovec_t *iovecs, size_t count, bool is_last)
{
    squeeze->len = 0;
    for (size_t i = 0; i < count; i++) {
        squeeze->z.next_in = (Bytef *)iovecs[i].base;
        squeeze->z.avail_in = (uInt)iovecs[i].len;
        run(squeeze, Z_NO_FLUSH);
    }
    run(squeeze, is_last ? Z_FINISH : Z_SYNC_FLUSH);
    return (sheaf_iovec_t){squeeze->bytes, squeeze->len};
}
