/* upstream/line.h - the waiting line before an upstream, in which flows take turns.
 *
 *   front -> [flow A: a1 a2 a3 ...]  [flow B: b1]  [flow C: c1 c2]        served: a1 b1 c1 a2 c2 a3
 *
 * Each flow (a batch) waits in a lane of its own, first come first served; the line serves the front lane once and
 * sends it to the back. So a batch of 10,000 items delays a batch of one by one exchange, not by 10,000. Who had its turn and
 * must wait all the same goes to where it would stand if it had waited all the time: lanes are in the order of numbers.
 * Pure: no clock, no I/O. An exchange that waits points at its lane through exchange->line. */
#ifndef SHEAF_UPSTREAM_LINE_H
#define SHEAF_UPSTREAM_LINE_H

#include "gateway/http/exchange.h"

#define SHEAF_LINE_BUCKETS 64

typedef struct sheaf_line sheaf_line_t;

typedef struct sheaf_lane {
    sheaf_link_t link;       /* in line->lanes */
    struct sheaf_lane *next; /* in its bucket, or among the spare ones */
    const void *flow;
    sheaf_line_t *line;
    sheaf_link_t exchanges; /* by exchange->link */
} sheaf_lane_t;

struct sheaf_line {
    sheaf_link_t lanes;
    uint32_t count;        /* exchanges that wait */
    uint32_t direct_count; /* of them, direct requests */
    uint64_t last_number;  /* that was given out */
    sheaf_lane_t *spare;   /* kept for the next flow, so that waiting allocates nothing once it is warm */
    sheaf_lane_t *buckets[SHEAF_LINE_BUCKETS];
};

void sheaf_line_init(sheaf_line_t *line);
void sheaf_line_fini(sheaf_line_t *line); /* nobody may wait */

/* It has come to the door: its number is higher than all others. */
void sheaf_line_number(sheaf_line_t *line, sheaf_exchange_t *exchange);
/* To its place in its flow's lane: behind all that have come earlier, before all that have come later. A lane that it is
 * the first of takes its turn before those whose first came later, unless it is the last that came. */
void sheaf_line_push(sheaf_line_t *line, sheaf_exchange_t *exchange);
/* The next one whose turn it is, or NULL; it stays where it is. */
sheaf_exchange_t *sheaf_line_peek(const sheaf_line_t *line);
/* Takes it out. */
sheaf_exchange_t *sheaf_line_pop(sheaf_line_t *line);
/* Takes a waiting exchange out of its line. */
void sheaf_line_remove(sheaf_exchange_t *exchange);
/* The line a waiting exchange stands in. */
sheaf_line_t *sheaf_line_of(const sheaf_exchange_t *exchange);

#endif
