/* What a field says is the same again when it is read from Preference-Applied. */
#include <stdlib.h>

#include "gateway/http/prefer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char first[SHEAF_PREFER_MAX], second[SHEAF_PREFER_MAX];
    char *field = malloc(size + 1);
    sheaf_prefer_t prefer = {0}, again = {0};
    size_t len;

    if (size > 0)
        memcpy(field, data, size);
    sheaf_prefer_add(&prefer, sheaf_str(field, size));
    free(field);
    len = sheaf_prefer_write(&prefer, first);
    if (len >= SHEAF_PREFER_MAX)
        abort();
    sheaf_prefer_add(&again, sheaf_str(first, len));
    if (sheaf_prefer_write(&again, second) != len || memcmp(first, second, len) != 0)
        abort();
    return 0;
}
