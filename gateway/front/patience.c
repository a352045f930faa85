#include "gateway/front/patience.h"

void sheaf_patience_init(sheaf_patience_t *patience, uint64_t timeout_ms)
{
    patience->left_ms = timeout_ms;
}

/* Bounded, so that nothing overflows however much was taken. */
static uint64_t earned_ms(uint64_t most_ms, uint64_t bytes_per_second, uint64_t taken_bytes)
{
    if (taken_bytes / bytes_per_second > most_ms / 1000)
        return most_ms;
    return taken_bytes * 1000 / bytes_per_second;
}

bool sheaf_patience_spend(sheaf_patience_t *patience, uint64_t timeout_ms, uint64_t bytes_per_second,
                          uint64_t taken_bytes, uint64_t waited_ms)
{
    uint64_t has_ms = patience->left_ms + earned_ms(timeout_ms + waited_ms, bytes_per_second, taken_bytes);

    patience->left_ms = has_ms > waited_ms ? has_ms - waited_ms : 0;
    if (patience->left_ms > timeout_ms)
        patience->left_ms = timeout_ms;
    return patience->left_ms > 0;
}
