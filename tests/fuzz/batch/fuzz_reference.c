/* First line: a reference as it stands in "$result"; the rest: the body it points into. What is taken for a reference is
 * whole, and what a pointer finds is a value of the document, in the document. */
#include "gateway/base/pointer.h"
#include "gateway/batch/reference.h"

static void walk(sheaf_str_t doc, sheaf_str_t pointer, sheaf_pool_t *pool)
{
    sheaf_json_t found = SHEAF_STR_NONE;
    sheaf_fail_t fail;

    if (!sheaf_pointer_is_valid(pointer) || sheaf_json_check(doc, SHEAF_JSON_MAX_DEPTH, &fail) != SHEAF_OK ||
        !sheaf_pointer_find(sheaf_json_root(doc), pointer, pool, &found))
        return;
    SHEAF_ASSERT(found.base >= doc.base && found.base + found.len <= doc.base + doc.len);
    SHEAF_ASSERT(sheaf_json_check(found, SHEAF_JSON_MAX_DEPTH, &fail) == SHEAF_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sheaf_str_t doc = sheaf_str((const char *)data, size);
    sheaf_str_t text = sheaf_str_cut(&doc, '\n');
    sheaf_pool_t *pool = sheaf_pool_new();
    sheaf_reference_t reference;

    if (sheaf_reference_parse(pool, text, &reference)) {
        SHEAF_ASSERT(reference.id.len > 0 && reference.id.base == text.base);
        SHEAF_ASSERT(reference.kind != SHEAF_REFERENCE_HEADER || sheaf_header_name_is_valid(reference.path));
        if (reference.kind == SHEAF_REFERENCE_BODY)
            walk(doc, reference.path, pool);
    }
    walk(doc, text, pool);
    sheaf_pool_free(pool);
    return 0;
}
