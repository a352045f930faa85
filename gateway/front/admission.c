#include "gateway/front/admission.h"

/* A window is there whole as long as the batch is; its slots are used again and again. */
static uint32_t items_of(const sheaf_batch_t *batch)
{
    if (batch->feed.next == NULL)
        return batch->count;
    return batch->total < batch->size ? batch->total : batch->size;
}

static void count_items(sheaf_visit_t *visit, uint32_t items)
{
    sheaf_front_t *front = visit->front;

    sheaf_gauge(front->env.metrics, SHEAF_METRIC_ITEMS_HELD, (int64_t)items - visit->admitted_items);
    front->item_count += items;
    front->item_count -= visit->admitted_items;
    visit->admitted_items = items;
}

/* Those among which the visit counts. */
static uint32_t *count_of(const sheaf_visit_t *visit)
{
    return visit->is_direct ? &visit->front->request_count : &visit->front->batch_count;
}

static sheaf_err_t refuse(const sheaf_visit_t *visit, uint64_t most, sheaf_fail_t *fail)
{
    sheaf_count(visit->front->env.metrics,
                visit->is_direct ? SHEAF_METRIC_REFUSED_REQUESTS : SHEAF_METRIC_REFUSED_BATCHES, 1);
    return sheaf_fail(fail, SHEAF_ERR_OVERLOADED, "this worker has as many %s as it may, %llu",
                      visit->is_direct ? "requests" : "batches", (unsigned long long)most);
}

sheaf_err_t sheaf_admission_enter(sheaf_visit_t *visit, sheaf_fail_t *fail)
{
    const sheaf_limits_conf_t *limits = sheaf_front_limits(visit->front);
    uint64_t most = visit->is_direct ? limits->requests : limits->batches;

    if (most > 0 && *count_of(visit) >= most)
        return refuse(visit, most, fail);
    ++*count_of(visit);
    visit->is_admitted = true;
    return SHEAF_OK;
}

sheaf_err_t sheaf_admission_load(sheaf_visit_t *visit, sheaf_fail_t *fail)
{
    sheaf_front_t *front = visit->front;
    uint64_t most = sheaf_front_limits(front)->items;
    uint32_t items = items_of(visit->batch);

    if (most > 0 && front->item_count > 0 && front->item_count + items > most) {
        sheaf_count(front->env.metrics, SHEAF_METRIC_REFUSED_ITEMS, 1);
        return sheaf_fail(fail, SHEAF_ERR_OVERLOADED,
                          "this worker has %llu items and may have %llu: no room for %u more",
                          (unsigned long long)front->item_count, (unsigned long long)most, items);
    }
    count_items(visit, items);
    return SHEAF_OK;
}

void sheaf_admission_grow(sheaf_visit_t *visit)
{
    count_items(visit, items_of(visit->batch));
}

void sheaf_admission_leave(sheaf_visit_t *visit)
{
    count_items(visit, 0);
    *count_of(visit) -= visit->is_admitted;
    visit->is_admitted = false;
}
