/* Whatever a DNS server says, the targets are sorted, each there once, and hosts that a name can be made of. */
#include <stdlib.h>
#include <string.h>

#include "gateway/base/error.h"
#include "gateway/upstream/srv.h"

static void check_host(const char *host)
{
    size_t len = strnlen(host, SHEAF_SRV_HOST_SIZE);

    SHEAF_ASSERT(len >= 2 && len < SHEAF_SRV_HOST_SIZE && host[len - 1] == '.');
    SHEAF_ASSERT(strspn(host, "abcdefghijklmnopqrstuvwxyz0123456789-_.") == len);
    SHEAF_ASSERT(host[0] != '.' && strstr(host, "..") == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static sheaf_targets_t targets;
    uint8_t *copy = malloc(size != 0 ? size : 1); /* exact, so that a read beyond it is seen */

    memcpy(copy, data, size);
    if (sheaf_srv_parse(copy, size, &targets)) {
        SHEAF_ASSERT(targets.count <= SHEAF_SRV_MAX_TARGETS && targets.ttl_s <= INT32_MAX);
        for (uint32_t i = 0; i < targets.count; i++) {
            const sheaf_target_t *one = &targets.items[i];

            check_host(one->host);
            SHEAF_ASSERT(one->port != 0 && (i == 0 || one->priority >= targets.items[i - 1].priority));
            for (uint32_t j = 0; j < i; j++)
                SHEAF_ASSERT(one->port != targets.items[j].port || strcmp(one->host, targets.items[j].host) != 0);
        }
    }
    free(copy);
    return 0;
}
