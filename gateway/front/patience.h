/* front/patience.h - how long an answer waits for a client that takes it slowly (limits.send_timeout, limits.send_rate).
 *
 * There is patience for send_timeout. Only time in which something waits for the client is spent, so an answer that itself
 * waits for a backend is never slow; each byte that is taken earns what a byte takes at send_rate, and nobody saves up
 * more than there was at first.
 *
 *     takes nothing                      given up after send_timeout
 *     takes less than send_rate          given up, the later the nearer it is
 *     takes send_rate, in whatever lumps come within send_timeout          goes on for ever */
#ifndef SHEAF_FRONT_PATIENCE_H
#define SHEAF_FRONT_PATIENCE_H

#include <stdbool.h>
#include <stdint.h>

typedef struct sheaf_patience {
    uint64_t left_ms;
} sheaf_patience_t;

void sheaf_patience_init(sheaf_patience_t *patience, uint64_t timeout_ms);

/* `taken_bytes` were taken while the answer waited for `waited_ms`. False: there is no patience left. */
bool sheaf_patience_spend(sheaf_patience_t *patience, uint64_t timeout_ms, uint64_t bytes_per_second,
                          uint64_t taken_bytes, uint64_t waited_ms);

#endif
