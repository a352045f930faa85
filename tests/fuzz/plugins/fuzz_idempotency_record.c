/* What a store gives back as an answer, and what a client writes as a key. */
#include <stdlib.h>
#include <string.h>

#include "plugins/idempotency/idempotency_record.h"

static void must_be_inside(sheaf_p_str_t text, const char *base, size_t size)
{
    if (text.base < base || text.len > size || (size_t)(text.base - base) > size - text.len)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *base = (const char *)data;
    idempotency_reading_t reading;
    sheaf_p_str_t name, value, key;

    if (idempotency_key_read(sheaf_p_str(base, size), &key))
        must_be_inside(key, base, size);
    if (size > UINT32_MAX || !idempotency_reading_begin(&reading, base, (uint32_t)size))
        return 0;
    while (idempotency_reading_field(&reading, &name, &value)) {
        must_be_inside(name, base, size);
        must_be_inside(value, base, size);
    }
    must_be_inside(idempotency_reading_body(&reading), base, size);
    return 0;
}
