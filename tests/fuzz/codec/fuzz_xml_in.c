/* Any bytes as an XML batch. */
#include "tests/fuzz/codec/decode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    kit_t kit;

    kit_init(&kit);
    fuzz_decode(&kit, &sheaf_xml_in, sheaf_str((const char *)data, size), false);
    kit_fini(&kit);
    return 0;
}
