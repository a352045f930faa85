#include "gateway/front/crowd.h"

#include <stdlib.h>

#include "gateway/base/pool.h"

#define BUCKETS 4096

struct sheaf_crowd_group {
    sheaf_crowd_group_t *next;
    uint64_t key[2];
    uint64_t count;
};

struct sheaf_crowd {
    uint64_t seed;
    sheaf_crowd_group_t *buckets[BUCKETS];
};

sheaf_crowd_t *sheaf_crowd_new(uint64_t seed)
{
    sheaf_crowd_t *crowd = sheaf_zalloc(sizeof(*crowd));

    crowd->seed = seed;
    return crowd;
}

void sheaf_crowd_free(sheaf_crowd_t *crowd)
{
    free(crowd);
}

static void key_of(const uint8_t ip[16], uint64_t ret_key[2])
{
    memcpy(ret_key, ip, 16);
    if (ret_key[0] != 0) /* IPv4 has zeros in front */
        ret_key[1] = 0;
}

/* The finaliser of MurmurHash3, over seed and key. */
static uint64_t mix(uint64_t h)
{
    h = (h ^ (h >> 33)) * 0xff51afd7ed558ccdu;
    h = (h ^ (h >> 33)) * 0xc4ceb9fe1a85ec53u;
    return h ^ (h >> 33);
}

static sheaf_crowd_group_t **bucket_of(sheaf_crowd_t *crowd, const uint64_t key[2])
{
    return &crowd->buckets[mix(mix(crowd->seed ^ key[0]) ^ key[1]) % BUCKETS];
}

sheaf_crowd_group_t *sheaf_crowd_join(sheaf_crowd_t *crowd, const uint8_t ip[16], uint64_t most)
{
    sheaf_crowd_group_t **bucket, *group;
    uint64_t key[2];

    key_of(ip, key);
    bucket = bucket_of(crowd, key);
    for (group = *bucket; group != NULL; group = group->next) {
        if (group->key[0] == key[0] && group->key[1] == key[1])
            break;
    }
    if (group == NULL) {
        group = sheaf_zalloc(sizeof(*group));
        memcpy(group->key, key, sizeof(key));
        group->next = *bucket;
        *bucket = group;
    }
    if (most > 0 && group->count >= most)
        return NULL;
    group->count++;
    return group;
}

void sheaf_crowd_leave(sheaf_crowd_t *crowd, sheaf_crowd_group_t *group)
{
    sheaf_crowd_group_t **at = bucket_of(crowd, group->key);

    if (--group->count > 0)
        return;
    while (*at != group)
        at = &(*at)->next;
    *at = group->next;
    free(group);
}
