/* A parent that is read is the same again when it is written; a state and a share are only read. */
#include <stdlib.h>
#include <string.h>

#include "plugins/trace/trace_context.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = malloc(size + 1), text[TRACE_PARENT_BYTES];
    sheaf_p_str_t bytes = {copy, size};
    trace_context_t first, second;

    if (size > 0)
        memcpy(copy, data, size);
    trace_state_is_valid(bytes);
    if (trace_share_read(bytes) > (int64_t)1 << 56)
        abort();
    if (trace_context_read(bytes, &first)) {
        trace_context_write(&first, text);
        if (!trace_context_read(sheaf_p_str(text, sizeof(text)), &second) ||
            memcmp(&first, &second, sizeof(first)) != 0)
            abort();
        if (!trace_is_chosen(first.trace_id, (int64_t)1 << 56))
            abort();
    }
    free(copy);
    return 0;
}
