/* front/asking.h - plugins are asked about a request: once its head is there, and once its items are known.
 *
 *   asking_request --PASS--> go_on          one call of go_on, from inside or later from the soon-queue
 *        |   \--ANSWER-> their answer
 *        LATER: held, until they know or the endpoint's timeout is over
 *
 * Without plugins go_on is called at once. What they add to the head of the answer is added wherever one is made. */
#ifndef SHEAF_FRONT_ASKING_H
#define SHEAF_FRONT_ASKING_H

#include "gateway/front/visit.h"

/* visit->batch is there, with the outer request, and has not been decoded. */
void sheaf_asking_request(sheaf_visit_t *visit, void (*go_on)(sheaf_visit_t *visit));
/* The same for a request that is to be refused: plugins may know another answer, or want to add to its head. */
void sheaf_asking_refused(sheaf_visit_t *visit, const sheaf_fail_t *fail);
/* The batch is sealed. */
void sheaf_asking_batch(sheaf_visit_t *visit, void (*go_on)(sheaf_visit_t *visit));

/* The head of the answer is complete but for what plugins want of it. */
void sheaf_asking_edit(sheaf_visit_t *visit);

/* The visit ends: before its batch is freed. */
void sheaf_asking_end(sheaf_visit_t *visit);

#endif
