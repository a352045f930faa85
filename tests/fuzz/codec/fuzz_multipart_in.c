/* Any bytes as a multipart batch, the first of them choosing what the endpoint does with change sets: understood, or
 * refused with an err, a sentence and a place inside the document. */
#include "tests/unit/codec/kit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sheaf_batch_t *batch;
    sheaf_fail_t fail;
    kit_t kit;

    if (size == 0)
        return 0;
    kit_init(&kit);
    kit.endpoint.change_sets = data[0] % 3;
    sheaf_headers_add(&kit.outer_headers, kit.snapshot.pool, SHEAF_STR("content-type"),
                      SHEAF_STR("multipart/mixed; boundary=b"));
    batch = kit_batch(&kit);
    if (sheaf_multipart_in.decode(batch, sheaf_str((const char *)data + 1, size - 1), &fail) != SHEAF_OK)
        if (fail.err == SHEAF_OK || fail.detail[0] == '\0' || fail.line == 0 || fail.column == 0)
            abort();
    sheaf_batch_free(batch);
    kit_fini(&kit);
    return 0;
}
