/* upstream/shed.h - whether an exchange is worth sending, with the time that is left for it.
 *
 * What an upstream needs at the least is what nearly all of its answers lately took: 98 of 100, so that a few that were
 * fast by luck do not count, of at least a hundred within ten to twenty seconds. With less evidence everything is sent,
 * and evidence that grows old is none: when all is shed nothing is measured any more, and so all is sent again. And one in
 * twenty of those that would be late is sent all the same. If it makes it the estimate is wrong (another route of the
 * upstream is faster, or the upstream became so) and is dropped: shedding cannot keep itself alive.
 * Pure: time is handed in. */
#ifndef SHEAF_UPSTREAM_SHED_H
#define SHEAF_UPSTREAM_SHED_H

#include <stdbool.h>

#include "gateway/upstream/spread.h"

#define SHEAF_SHED_LEAST     100   /* answers that an estimate is made of */
#define SHEAF_SHED_PERIOD_MS 10000 /* what is forgotten at once */
#define SHEAF_SHED_TRIALS    20    /* one of so many is sent all the same */

typedef enum sheaf_shed_verdict {
    SHEAF_SHED_SEND,
    SHEAF_SHED_TRY, /* it would be late, but is sent to see */
    SHEAF_SHED_LATE,
} sheaf_shed_verdict_t;

typedef struct sheaf_shed {
    sheaf_spread_t periods[2]; /* the one that is being filled is newest % 2 */
    uint64_t newest;           /* its number */
    uint64_t least_us;         /* what is needed at the least; 0: not known */
    uint64_t reckoned_ms;      /* when that was */
    uint32_t late_count;       /* would-be late ones, to send one in SHEAF_SHED_TRIALS */
} sheaf_shed_t;

void sheaf_shed_init(sheaf_shed_t *shed, uint64_t now_ms);

/* An answer came. */
void sheaf_shed_note(sheaf_shed_t *shed, uint64_t took_us, uint64_t now_ms);

/* An exchange that was sent to see made it: forgets everything. */
void sheaf_shed_disproved(sheaf_shed_t *shed, uint64_t now_ms);

/* For an exchange that has `left_ms`. */
sheaf_shed_verdict_t sheaf_shed_ask(sheaf_shed_t *shed, uint64_t left_ms, uint64_t now_ms);

#endif
