/* batch/kept.h - a copy of a body that is handed on while it comes, for hooks that want it whole (hooks.h).
 *
 *   none --ask--> KEEPING --end--> WHOLE
 *                    '--------------> LOST    too long, cut, or there was no memory for it: the bytes go at once
 *
 * Nobody waits for the copy, and what is handed on does not wait for it either. */
#ifndef SHEAF_BATCH_KEPT_H
#define SHEAF_BATCH_KEPT_H

#include "gateway/base/out.h"

typedef enum sheaf_kept_state {
    SHEAF_KEPT_NONE, /* nobody asked */
    SHEAF_KEPT_KEEPING,
    SHEAF_KEPT_WHOLE,
    SHEAF_KEPT_LOST,
} sheaf_kept_state_t;

typedef struct sheaf_kept {
    sheaf_kept_state_t state;
    bool is_filled; /* with what had come before somebody asked */
    bool is_told;   /* hooks know how it ended */
    uint64_t most_bytes;
    sheaf_buf_t *body; /* NULL: nothing has come, or it is LOST */
} sheaf_kept_t;

/* Is wanted, up to so much; of several that ask the largest bound holds. */
void sheaf_kept_ask(sheaf_kept_t *kept, uint64_t most_bytes);
/* More has come. Fine in any state. */
void sheaf_kept_put(sheaf_kept_t *kept, const char *bytes, size_t len);
/* The same of all that waits in `out`, once: what came before somebody asked. */
void sheaf_kept_fill(sheaf_kept_t *kept, const sheaf_out_t *out);
/* `body` (NULL: it is empty) is all of it, and is held; LOST when that is too long. */
void sheaf_kept_take(sheaf_kept_t *kept, sheaf_buf_t *body);
/* No more comes: it is whole, or was cut. */
void sheaf_kept_end(sheaf_kept_t *kept, bool is_whole);
/* Gives the bytes back. */
void sheaf_kept_lose(sheaf_kept_t *kept);

#endif
