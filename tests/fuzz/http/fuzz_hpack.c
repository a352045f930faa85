/* Counting stays inside the block, never finds more fields than bytes, and a longer block has no fewer. */
#include <stdlib.h>
#include <string.h>

#include "gateway/http/hpack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t before = 0;

    for (size_t len = 0; len <= size && len <= 256; len++) {
        uint8_t *block = malloc(len + 1);
        size_t count;

        memcpy(block, data, len);
        count = sheaf_hpack_count(block, len);
        if (count > len || count < before)
            abort();
        before = count;
        free(block);
    }
    return 0;
}
