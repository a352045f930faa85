/* upstream/tally.h - how many there were lately, and how many of them were marked: a window that slides.
 *
 * The window is ten slots that are forgotten one at a time. Pure; O(1) however long nothing was added. */
#ifndef SHEAF_UPSTREAM_TALLY_H
#define SHEAF_UPSTREAM_TALLY_H

#include <stdbool.h>
#include <stdint.h>

#define SHEAF_TALLY_SLOTS 10

typedef struct sheaf_tally {
    uint64_t slot_ms;     /* how long a slot is */
    uint64_t newest;      /* number of the slot that is being filled */
    uint64_t turn_ms;     /* when that is over */
    uint64_t all, marked; /* within the window, as of the last call */
    uint32_t slots[SHEAF_TALLY_SLOTS][2];
} sheaf_tally_t;

/* Empty; also to forget everything. */
void sheaf_tally_init(sheaf_tally_t *tally, uint64_t window_ms);

/* Forgets what has left the window by `now_ms`. */
void sheaf_tally_turn(sheaf_tally_t *tally, uint64_t now_ms);

/* Turns, then adds to what there was, or marks one (which adds nothing to `all`). */
void sheaf_tally_add(sheaf_tally_t *tally, uint64_t now_ms);
void sheaf_tally_mark(sheaf_tally_t *tally, uint64_t now_ms);

#endif
