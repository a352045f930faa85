/* front/bucket.h - how much of something a connection may still do: a token bucket.
 *
 * Abandoned requests (CVE-2023-44487, CVE-2025-8671) and control frames (libh2o.md facts 8 and 15) are paid from one each.
 * It holds `burst` tokens and fills by `per_second`. */
#ifndef SHEAF_FRONT_BUCKET_H
#define SHEAF_FRONT_BUCKET_H

#include "gateway/base/str.h"

typedef struct sheaf_bucket {
    double left;
    uint64_t counted_ms; /* when it was last filled */
} sheaf_bucket_t;

void sheaf_bucket_init(sheaf_bucket_t *bucket, uint64_t burst, uint64_t now_ms);

/* Takes `cost` tokens; a negative cost gives some back. False when the bucket has gone below empty. */
bool sheaf_bucket_take(sheaf_bucket_t *bucket, uint64_t burst, double per_second, uint64_t now_ms, double cost);

#endif
