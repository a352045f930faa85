/* Any bytes as a batch of Apache APISIX. */
#include "tests/fuzz/codec/decode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    kit_t kit;

    kit_init(&kit);
    kit.endpoint.dialect = SHEAF_DIALECT_APISIX;
    fuzz_decode(&kit, &sheaf_apisix_in, sheaf_str((const char *)data, size), true);
    kit_fini(&kit);
    return 0;
}
