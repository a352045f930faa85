/* Any bytes as an XML batch: either understood, or refused with an err, a sentence and a place inside the document. */
#include "tests/unit/codec/kit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sheaf_batch_t *batch;
    sheaf_fail_t fail;
    kit_t kit;

    kit_init(&kit);
    batch = kit_batch(&kit);
    if (sheaf_xml_in.decode(batch, sheaf_str((const char *)data, size), &fail) != SHEAF_OK)
        if (fail.err == SHEAF_OK || fail.detail[0] == '\0' || fail.line == 0 || fail.column == 0)
            abort();
    sheaf_batch_free(batch);
    kit_fini(&kit);
    return 0;
}
