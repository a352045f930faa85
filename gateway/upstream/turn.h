/* upstream/turn.h - the ways of choosing among the servers that are open.
 *
 * balance.c opens those that may be chosen (server->is_open) and adds up balance->open_weight and open_flying; there is
 * always one. Weights are shares: a server of weight 2 gets twice what one of weight 1 gets, or is as busy with twice as
 * much. Pure: chance comes from balance->chance. */
#ifndef SHEAF_UPSTREAM_TURN_H
#define SHEAF_UPSTREAM_TURN_H

#include "gateway/upstream/balance.h"

/* Smooth weighted round robin (as in nginx): 5, 1, 1 gives a a b a c a a, never a run of five. */
sheaf_server_t *sheaf_turn_round_robin(sheaf_balance_t *balance);
/* The one with the fewest in flight per weight; those that are equal take turns. */
sheaf_server_t *sheaf_turn_least_requests(sheaf_balance_t *balance);
/* The less busy of two taken by chance: nearly as even as the fewest of all, but gateways that see the same picture do
 * not all run to the same server (Mitzenmacher, "The Power of Two Choices"). */
sheaf_server_t *sheaf_turn_random_two(sheaf_balance_t *balance);
/* The first open one on the ring, from the key on, that is within its share of what flies (Mirrokni, Thorup, Zadimoghaddam:
 * "Consistent Hashing with Bounded Loads"). */
sheaf_server_t *sheaf_turn_hash(sheaf_balance_t *balance, sheaf_str_t key);

#endif
