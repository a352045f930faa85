/* Any bytes as a batch in lines. */
#include "tests/fuzz/codec/decode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    kit_t kit;

    kit_init(&kit);
    fuzz_decode(&kit, &sheaf_ndjson_in, sheaf_str((const char *)data, size), true);
    kit_fini(&kit);
    return 0;
}
