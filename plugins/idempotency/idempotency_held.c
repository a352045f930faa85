#include "idempotency_held.h"

#include <stdlib.h>

#define LISTS 1024 /* a power of two */

typedef struct one {
    struct one *next;
    idempotency_hold_t hold;
    uint64_t end_ms;
} one_t;

struct idempotency_held {
    one_t *lists[LISTS];
    uint32_t count;
};

static one_t **list_of(idempotency_held_t *held, idempotency_ticket_t ticket)
{
    return &held->lists[ticket.slot & (LISTS - 1)];
}

static void forget(idempotency_held_t *held, one_t **at)
{
    one_t *one = *at;

    *at = one->next;
    held->count--;
    free(one);
}

static void forget_over(idempotency_held_t *held, one_t **at, uint64_t now_ms)
{
    while (*at != NULL)
        if ((*at)->end_ms <= now_ms)
            forget(held, at);
        else
            at = &(*at)->next;
}

void idempotency_held_add(idempotency_held_t *held, const idempotency_hold_t *hold, uint64_t end_ms, uint64_t now_ms)
{
    one_t **list = list_of(held, hold->ticket), *one;

    forget_over(held, list, now_ms);
    one = held->count < IDEMPOTENCY_HELD_MAX ? malloc(sizeof(*one)) : NULL;
    if (one == NULL)
        return;
    *one = (one_t){.next = *list, .hold = *hold, .end_ms = end_ms};
    *list = one;
    held->count++;
}

void idempotency_held_remove(idempotency_held_t *held, idempotency_ticket_t ticket)
{
    one_t **at = list_of(held, ticket);

    while (*at != NULL && ((*at)->hold.ticket.slot != ticket.slot || (*at)->hold.ticket.turn != ticket.turn))
        at = &(*at)->next;
    if (*at != NULL)
        forget(held, at);
}

bool idempotency_held_is_empty(const idempotency_held_t *held)
{
    return held->count == 0;
}

void idempotency_held_each(const idempotency_held_t *held, uint64_t now_ms,
                           bool (*say)(void *data, const idempotency_hold_t *hold, uint64_t left_ms), void *data)
{
    for (size_t i = 0; i < LISTS && held->count > 0; i++)
        for (const one_t *one = held->lists[i]; one != NULL; one = one->next)
            if (one->end_ms > now_ms && !say(data, &one->hold, one->end_ms - now_ms))
                return;
}

idempotency_held_t *idempotency_held_new(void)
{
    return calloc(1, sizeof(idempotency_held_t));
}

void idempotency_held_free(idempotency_held_t *held)
{
    if (held == NULL)
        return;
    for (size_t i = 0; i < LISTS; i++)
        while (held->lists[i] != NULL)
            forget(held, &held->lists[i]);
    free(held);
}
