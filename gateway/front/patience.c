#include "gateway/front/patience.h"

#define REFILL_PER_MS (10.0 / 1000.0)

void sheaf_patience_init(sheaf_patience_t *patience, uint64_t burst, uint64_t now_ms)
{
    patience->left = (double)burst;
    patience->counted_ms = now_ms;
}

bool sheaf_patience_spend(sheaf_patience_t *patience, uint64_t burst, uint64_t now_ms, bool is_abandoned)
{
    patience->left += (double)(now_ms - patience->counted_ms) * REFILL_PER_MS;
    patience->counted_ms = now_ms;
    if (patience->left > (double)burst)
        patience->left = (double)burst;
    patience->left += is_abandoned ? -1.0 : 1.0;
    if (patience->left > (double)burst)
        patience->left = (double)burst;
    return patience->left >= 0;
}
