/* upstream/tally.c - see tally.h. */
#include "gateway/upstream/tally.h"

#include <string.h>

enum { ALL, MARKED };

void sheaf_tally_init(sheaf_tally_t *tally, uint64_t window_ms)
{
    memset(tally, 0, sizeof(*tally));
    tally->slot_ms = window_ms < SHEAF_TALLY_SLOTS ? 1 : window_ms / SHEAF_TALLY_SLOTS;
}

void sheaf_tally_turn(sheaf_tally_t *tally, uint64_t now_ms)
{
    uint64_t newest;

    if (now_ms < tally->turn_ms)
        return;
    newest = now_ms / tally->slot_ms;
    tally->turn_ms = (newest + 1) * tally->slot_ms;
    for (uint32_t i = 0; tally->newest < newest && i < SHEAF_TALLY_SLOTS; i++) {
        uint32_t *slot = tally->slots[++tally->newest % SHEAF_TALLY_SLOTS];

        tally->all -= slot[ALL];
        tally->marked -= slot[MARKED];
        slot[ALL] = slot[MARKED] = 0;
    }
    if (tally->newest < newest) /* all were forgotten: the rest is empty anyway */
        tally->newest = newest;
}

static void count(sheaf_tally_t *tally, uint64_t now_ms, uint32_t what, uint64_t *sum)
{
    uint32_t *slot;

    sheaf_tally_turn(tally, now_ms);
    slot = &tally->slots[tally->newest % SHEAF_TALLY_SLOTS][what];
    if (*slot == UINT32_MAX)
        return;
    ++*slot;
    ++*sum;
}

void sheaf_tally_add(sheaf_tally_t *tally, uint64_t now_ms)
{
    count(tally, now_ms, ALL, &tally->all);
}

void sheaf_tally_mark(sheaf_tally_t *tally, uint64_t now_ms)
{
    count(tally, now_ms, MARKED, &tally->marked);
}
