/* jwt/jwt_turn.h - at most so many signatures in a millisecond's turn of the loop.
 *
 * A batch may bring a token of its own for each of its items, all of them forged for all we know, and each costs up to 200
 * microseconds. Who would be the 17th waits for the next turn, first come first served, so that other clients are served in
 * between. */
#ifndef SHEAF_JWT_TURN_H
#define SHEAF_JWT_TURN_H

#include <stdbool.h>

#include "plugins/sheaf_plugin.h"

#define JWT_TURN_SIGNATURES 16
#define JWT_TURN_MS         1 /* with 0 a timer that begins in a timer's callback may be due at once */
#define JWT_TURN_WAITERS    4096

typedef struct jwt_turn {
    const sheaf_p_api_t *api;
    sheaf_p_worker_t *worker;
    void *data;
    void (*on_again)(void *data, sheaf_p_ref_t ref); /* a waiter: its turn has come */
    sheaf_p_timer_t timer;                           /* value 0: none is running, and `taken` is 0 */
    uint32_t taken, first, count;
    sheaf_p_ref_t waiters[JWT_TURN_WAITERS]; /* a ring from `first` */
} jwt_turn_t;

/* Begins with a turn that has nothing taken of it. */
void jwt_turn_init(jwt_turn_t *turn, const sheaf_p_open_t *open, void *data,
                   void (*on_again)(void *data, sheaf_p_ref_t ref));
void jwt_turn_fini(jwt_turn_t *turn);

/* true: a signature may be verified now. false: `ref` hears by on_again when. */
bool jwt_turn_take(jwt_turn_t *turn, sheaf_p_ref_t ref);

#endif
