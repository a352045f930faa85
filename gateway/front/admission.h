/* front/admission.h - how much work a worker takes on: batches in flight and the items they hold (limits.batches,
 * limits.items), and direct requests (limits.requests), which are counted apart: an event stream may stand for hours, and
 * no batch is to be refused for it. What goes beyond is refused with OVERLOADED before a backend has been called. */
#ifndef SHEAF_FRONT_ADMISSION_H
#define SHEAF_FRONT_ADMISSION_H

#include "gateway/front/visit.h"

/* One batch more, or one direct request; before its body is read. Leave is due once it is admitted. */
sheaf_err_t sheaf_admission_enter(sheaf_visit_t *visit, sheaf_fail_t *fail);

/* The items of its batch, which is sealed; a direct request has none. A batch beside which there is no item is admitted
 * whatever its size: else no worker would ever take it. */
sheaf_err_t sheaf_admission_load(sheaf_visit_t *visit, sheaf_fail_t *fail);

/* The batch has grown (forEach): counts, and refuses nothing. */
void sheaf_admission_grow(sheaf_visit_t *visit);

/* The visit ends; fine when it was never admitted. */
void sheaf_admission_leave(sheaf_visit_t *visit);

#endif
