/* upstream/refusal.c - see refusal.h. */
#include "gateway/upstream/refusal.h"

#define MAX_REFUSED  8
#define MAX_STRANDED 64
#define MAX_AT_ONCE  8 /* of these */
#define MAX_CHANCE   1 /* losses of a conn that say nothing of its server */
#define REST_MS      2 /* the first time; twice as long each time */

bool sheaf_refusal_allows(sheaf_exchange_t *exchange, bool was_conn_lost, uint64_t now_ms, uint64_t *ret_again_ms)
{
    uint64_t again_ms = now_ms + ((uint64_t)REST_MS << exchange->refused);

    if (was_conn_lost && exchange->stranded < MAX_AT_ONCE) {
        exchange->stranded++;
        *ret_again_ms = SHEAF_NEVER;
        return true;
    }
    if (was_conn_lost)
        again_ms = now_ms + REST_MS;
    *ret_again_ms = again_ms < exchange->end_ms ? again_ms : exchange->end_ms;
    return was_conn_lost ? exchange->stranded++ < MAX_STRANDED : exchange->refused++ < MAX_REFUSED;
}

bool sheaf_refusal_is_servers(const sheaf_exchange_t *exchange, bool was_conn_lost)
{
    return !was_conn_lost || exchange->stranded > MAX_CHANCE;
}
