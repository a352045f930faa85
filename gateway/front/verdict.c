#include "gateway/front/verdict.h"

void sheaf_verdict_add(sheaf_verdict_t *verdict, uint16_t status)
{
    verdict->is_mixed |= verdict->common != 0 && verdict->common != status;
    verdict->common = status;
}

/* A common 401, 405 or 407 would ask the client for things that make no sense for a batch; a common 201 or 304 speaks of
 * one resource. */
static bool may_be_common(uint16_t status)
{
    return status == 200 || (status >= 400 && status != 401 && status != 405 && status != 407);
}

bool sheaf_verdict_is_open(const sheaf_verdict_t *verdict, sheaf_status_t policy)
{
    return policy == SHEAF_STATUS_MIXED && !verdict->is_mixed &&
           (verdict->common == 0 || may_be_common(verdict->common));
}

uint16_t sheaf_verdict_status(const sheaf_verdict_t *verdict, sheaf_status_t policy, bool is_whole)
{
    switch (policy) {
    case SHEAF_STATUS_200:
        return 200;
    case SHEAF_STATUS_202:
        return 202;
    case SHEAF_STATUS_MIXED:
        return is_whole && !verdict->is_mixed && may_be_common(verdict->common) ? verdict->common : 207;
    default:
        return 207;
    }
}
