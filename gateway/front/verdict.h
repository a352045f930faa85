/* front/verdict.h - the status of an answer, from the statuses of its items. */
#ifndef SHEAF_FRONT_VERDICT_H
#define SHEAF_FRONT_VERDICT_H

#include "config/snapshot.h"

/* Zero-initialise. */
typedef struct sheaf_verdict {
    uint16_t common; /* of all items so far; 0: none yet */
    bool is_mixed;   /* two differ */
} sheaf_verdict_t;

void sheaf_verdict_add(sheaf_verdict_t *verdict, uint16_t status);

/* More items could still make the answer anything but a 207: `status: mixed` waits then. */
bool sheaf_verdict_is_open(const sheaf_verdict_t *verdict, sheaf_status_t policy);

/* The status to answer with; is_whole: all items have been added. */
uint16_t sheaf_verdict_status(const sheaf_verdict_t *verdict, sheaf_status_t policy, bool is_whole);

#endif
