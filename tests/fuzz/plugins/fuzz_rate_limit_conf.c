/* What an operator writes: parts of `by`, addresses of Redis. */
#include <stdlib.h>
#include <string.h>

#include "plugins/rate_limit/rate_limit_key.h"
#include "plugins/redis/redis_address.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const sheaf_p_str_t text = {(const char *)data, size};
    redis_address_t address;
    rate_limit_part_t part;

    if (rate_limit_part_read(text, &part) && strlen(part.name) >= RATE_LIMIT_NAME_MAX)
        abort();
    if (redis_address_read(text, &address) && (address.host[0] == 0 || strlen(address.host) >= REDIS_HOST_MAX))
        abort();
    return 0;
}
