#include "gateway/front/bucket.h"

void sheaf_bucket_init(sheaf_bucket_t *bucket, uint64_t burst, uint64_t now_ms)
{
    bucket->left = (double)burst;
    bucket->counted_ms = now_ms;
}

static void add(sheaf_bucket_t *bucket, uint64_t burst, double tokens)
{
    bucket->left += tokens;
    if (bucket->left > (double)burst)
        bucket->left = (double)burst;
}

bool sheaf_bucket_take(sheaf_bucket_t *bucket, uint64_t burst, double per_second, uint64_t now_ms, double cost)
{
    add(bucket, burst, (double)(now_ms - bucket->counted_ms) * per_second / 1000.0);
    bucket->counted_ms = now_ms;
    add(bucket, burst, -cost);
    return bucket->left >= 0;
}
