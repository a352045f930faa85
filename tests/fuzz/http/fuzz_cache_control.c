/* Any bytes as Cache-Control, a field a line: what is written is read again as the same, and no join permits more. */
#include <stdlib.h>

#include "gateway/http/cache_control.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool claim)
{
    if (!claim)
        abort();
}

static void check_written(const sheaf_cache_control_t *control)
{
    char text[SHEAF_CACHE_CONTROL_MAX], again[SHEAF_CACHE_CONTROL_MAX];
    size_t len = sheaf_cache_control_write(control, text);
    sheaf_cache_control_t read = {0};

    require(len > 0 && len < sizeof(text));
    sheaf_cache_control_read(sheaf_str(text, len), &read);
    require(sheaf_cache_control_write(&read, again) == len && memcmp(text, again, len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sheaf_str_t rest = sheaf_str((const char *)data, size);
    sheaf_cache_control_t all = {0};

    while (rest.base != NULL) {
        sheaf_cache_control_t part = {0};

        sheaf_cache_control_read(sheaf_str_cut(&rest, '\n'), &part);
        check_written(&part);
        sheaf_cache_control_join(&all, &part);
        require(!part.no_store || all.no_store);
        require(!all.is_public || part.is_public || all.no_store);
        require(!part.is_private || all.is_private || all.no_store);
        require(all.no_store || !part.has_max_age || all.max_age_s <= part.max_age_s);
    }
    check_written(&all);
    return 0;
}
