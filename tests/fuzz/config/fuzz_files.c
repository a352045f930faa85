/* The pack that carries a configuration to the workers, over any bytes: what unpacks packs again to the same bytes. */
#include <stdint.h>
#include <stdlib.h>

#include "config/files.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sheaf_files_t files;
    sheaf_str_t text;
    char *again;
    size_t len;

    if (!sheaf_files_unpack(sheaf_str((const char *)data, size), &text, &files))
        return 0;
    again = sheaf_files_pack(&files, text, &len);
    SHEAF_ASSERT(len == size && memcmp(again, data, size) == 0);
    sheaf_files_pack_free(again, len);
    sheaf_files_fini(&files);
    return 0;
}
