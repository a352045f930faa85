/* A request head means the same whole and byte by byte. */
#include <stdlib.h>

#include "gateway/http/wire.h"

#define HEAD_MOST 4096

static long parse(const uint8_t *data, size_t len, size_t scanned, sheaf_wire_head_t *head, sheaf_err_t *err)
{
    char *bytes = malloc(len + 1); /* exactly as large: a byte too far is seen */
    const char *why = NULL;
    long used;

    memcpy(bytes, data, len);
    used = sheaf_wire_parse_request(bytes, len, scanned, HEAD_MOST, head, err, &why);
    if (used < 0 ? why == NULL : (size_t)used > len)
        abort();
    for (uint32_t i = 0; used > 0 && i < head->header_count; i++) {
        if (!sheaf_header_name_is_valid(head->headers[i].name) || !sheaf_header_value_is_valid(head->headers[i].value))
            abort();
    }
    free(bytes);
    return used;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static sheaf_wire_head_t head;
    sheaf_err_t err = SHEAF_OK, dripped_err = SHEAF_OK;
    long used, dripped = 0;

    if (size == 0)
        return 0;
    used = parse(data, size, 0, &head, &err);
    for (size_t fed = 1; fed <= size && dripped == 0; fed++)
        dripped = parse(data, fed, fed - 1, &head, &dripped_err);
    /* a head that ends before the limit may be followed by more than the limit */
    if (used != dripped || err != dripped_err)
        abort();
    return 0;
}
