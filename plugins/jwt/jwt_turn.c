#include "plugins/jwt/jwt_turn.h"

#include <string.h>

static void on_time(void *data);

void jwt_turn_init(jwt_turn_t *turn, const sheaf_p_open_t *open, void *data,
                   void (*on_again)(void *data, sheaf_p_ref_t ref))
{
    memset(turn, 0, sizeof(*turn));
    turn->api = open->api;
    turn->worker = open->worker;
    turn->data = data;
    turn->on_again = on_again;
}

void jwt_turn_fini(jwt_turn_t *turn)
{
    if (turn->api != NULL)
        turn->api->timer_stop(turn->worker, turn->timer);
}

/* Whoever waits is called by on_time, so a full ring lets one more through rather than forget it. */
bool jwt_turn_take(jwt_turn_t *turn, sheaf_p_ref_t ref)
{
    if (turn->timer.value == 0)
        turn->timer = turn->api->timer_start(turn->worker, JWT_TURN_MS, on_time, turn);
    if (turn->taken < JWT_TURN_SIGNATURES || turn->count == JWT_TURN_WAITERS || turn->timer.value == 0) {
        turn->taken++;
        return true;
    }
    turn->waiters[(turn->first + turn->count++) % JWT_TURN_WAITERS] = ref;
    return false;
}

/* As many waiters as fit into this turn. One that does not verify after all leaves its place to the next. */
static void on_time(void *data)
{
    jwt_turn_t *turn = data;

    turn->timer.value = 0;
    turn->taken = 0;
    while (turn->count > 0 && turn->taken < JWT_TURN_SIGNATURES) {
        sheaf_p_ref_t ref = turn->waiters[turn->first];

        turn->first = (turn->first + 1) % JWT_TURN_WAITERS;
        turn->count--;
        turn->on_again(turn->data, ref);
    }
    if (turn->count > 0 && turn->timer.value == 0)
        turn->timer = turn->api->timer_start(turn->worker, JWT_TURN_MS, on_time, turn);
}
