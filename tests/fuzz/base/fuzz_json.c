/* The scanner whole, in pieces and byte by byte says the same; a checked document can be walked to its end. */
#include <stdlib.h>

#include "gateway/base/json.h"

static bool scan_in_steps(const uint8_t *data, size_t size, size_t step)
{
    sheaf_json_scan_t scan;

    sheaf_json_scan_init(&scan, SHEAF_JSON_MAX_DEPTH);
    for (size_t at = 0; at < size; at += step)
        sheaf_json_scan_feed(&scan, (const char *)data + at, size - at < step ? size - at : step);
    return sheaf_json_scan_end(&scan);
}

static void walk(sheaf_json_t value, sheaf_pool_t *pool)
{
    sheaf_json_type_t type = sheaf_json_type(value);
    sheaf_json_iter_t iter;
    sheaf_json_t name, inner;

    if (type == SHEAF_JSON_STRING)
        sheaf_json_string(value, pool);
    if (type != SHEAF_JSON_ARRAY && type != SHEAF_JSON_OBJECT)
        return;
    iter = sheaf_json_iter(value);
    while (type == SHEAF_JSON_ARRAY ? sheaf_json_next_element(&iter, &inner)
                                    : sheaf_json_next_member(&iter, &name, &inner))
        walk(inner, pool);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sheaf_str_t doc = sheaf_str((const char *)data, size);
    bool is_valid = scan_in_steps(data, size, size > 0 ? size : 1);
    sheaf_fail_t fail;

    SHEAF_ASSERT(scan_in_steps(data, size, 1) == is_valid);
    SHEAF_ASSERT(scan_in_steps(data, size, 7) == is_valid);
    if (sheaf_json_check(doc, SHEAF_JSON_MAX_DEPTH, &fail) != SHEAF_OK) {
        SHEAF_ASSERT(!is_valid || strstr(fail.detail, "twice") != NULL);
        return 0;
    }
    SHEAF_ASSERT(is_valid);
    sheaf_pool_t *pool = sheaf_pool_new();
    walk(sheaf_json_root(doc), pool);
    sheaf_pool_free(pool);
    return 0;
}
