/* idempotency_answer.h - an answer as it is kept, and given again. */
#ifndef IDEMPOTENCY_ANSWER_H
#define IDEMPOTENCY_ANSWER_H

#include "idempotency_record.h"

typedef enum idempotency_end {
    IDEMPOTENCY_END_FINAL,  /* it is what it is */
    IDEMPOTENCY_END_UNSEEN, /* a backend answered, and the answer was not taken */
    IDEMPOTENCY_END_FREE,   /* a second try might do better: it was not sent, or failed, or may not yet */
    IDEMPOTENCY_END_DOUBT,  /* a backend may have been asked and may still be at it */
} idempotency_end_t;

/* What the item's result means for its key. */
idempotency_end_t idempotency_answer_end(const sheaf_p_api_t *api, sheaf_p_ref_t item);

/* The item's result as a record in `room` bytes at `base`, with `body`; one that is not kept where it does not fit. */
void idempotency_answer_keep(const sheaf_p_api_t *api, sheaf_p_ref_t item, sheaf_p_str_t body, char *base,
                             uint32_t room, idempotency_record_t *ret_record);
/* No more than that it was given: not kept, or coming. */
void idempotency_answer_note(const sheaf_p_api_t *api, sheaf_p_ref_t item, idempotency_kept_t kept, char *base,
                             uint32_t room, idempotency_record_t *ret_record);

/* Answers the item with a record that was kept. Anything else: nothing is said, and it is returned what it is. */
idempotency_kept_t idempotency_answer_replay(const sheaf_p_api_t *api, sheaf_p_ref_t item, const char *base,
                                             uint32_t len);

#endif
