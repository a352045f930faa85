/* Any bytes as a multipart batch, the first of them choosing what the endpoint does with change sets. */
#include "tests/fuzz/codec/decode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    kit_t kit;

    if (size == 0)
        return 0;
    kit_init(&kit);
    kit.endpoint.change_sets = data[0] % 3;
    sheaf_headers_add(&kit.outer_headers, kit.snapshot.pool, SHEAF_STR("content-type"),
                      SHEAF_STR("multipart/mixed; boundary=b"));
    fuzz_decode(&kit, &sheaf_multipart_in, sheaf_str((const char *)data + 1, size - 1), false);
    kit_fini(&kit);
    return 0;
}
