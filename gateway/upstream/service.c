/* upstream/service.c - see service.h. */
#include "gateway/upstream/service.h"

#include "gateway/base/log.h"

static void on_answer(sheaf_name_waiter_t *watcher);

void sheaf_service_init(sheaf_service_t *service, sheaf_server_t *gate, const sheaf_upstream_conf_t *upstream,
                        const sheaf_server_conf_t *conf, struct ssl_ctx_st *context, sheaf_resolver_t *resolver)
{
    for (uint32_t i = 0; i < SHEAF_SERVICE_SIZE; i++) {
        sheaf_server_init(&gate[i], upstream, conf, context, resolver);
        gate[i].is_gate = i == 0;
        gate[i].is_vacant = i != 0;
    }
    *service = (sheaf_service_t){
        .name = gate->service,
        .watcher.on_resolved = on_answer,
        .gate = gate,
        .resolver = resolver,
        .weight = gate->weight,
        .rank = gate->rank,
    };
    sheaf_name_watch(service->name, &service->watcher);
}

void sheaf_service_fini(sheaf_service_t *service)
{
    sheaf_name_forget(&service->watcher);
}

/* --- slots --- */

static bool is_of(const sheaf_server_t *slot, const sheaf_target_t *target)
{
    return !slot->name->is_service && slot->port == target->port && strcmp(slot->name->text, target->host) == 0;
}

/* That of the target, even if it had left; else one that nothing points at; else NULL. */
static sheaf_server_t *slot_for(const sheaf_service_t *service, const sheaf_target_t *target)
{
    sheaf_server_t *slots = service->gate + 1, *unused = NULL;

    for (uint32_t i = 0; i < SHEAF_SERVICE_SLOTS; i++) {
        if (is_of(&slots[i], target))
            return &slots[i];
        if (unused == NULL && slots[i].is_vacant && slots[i].conn_count == 0)
            unused = &slots[i];
    }
    return unused;
}

typedef struct change {
    uint32_t came, left, placed;
    bool is_weighed_anew; /* or of another rank */
    bool is_wanted[SHEAF_SERVICE_SIZE];
} change_t;

/* Its conns and what is known of it stay as they are when it is there already. */
static void place_target(const sheaf_service_t *service, const sheaf_target_t *target, change_t *change)
{
    uint32_t weight = service->weight * (target->weight != 0 ? target->weight : 1u);
    uint32_t rank = service->rank + target->priority - service->name->targets[0].priority;
    sheaf_server_t *slot = slot_for(service, target);

    if (slot == NULL || change->is_wanted[slot - service->gate])
        return;
    if (!is_of(slot, target))
        sheaf_server_move(slot, service->resolver, sheaf_str_of(target->host), target->port);
    change->is_weighed_anew |= slot->weight != weight || slot->rank != rank;
    slot->weight = weight;
    slot->rank = rank;
    change->came += slot->is_vacant;
    change->placed++;
    change->is_wanted[slot - service->gate] = true;
    slot->is_vacant = false;
}

static void vacate(const sheaf_service_t *service, sheaf_server_t *slot)
{
    slot->is_vacant = true;
    if (service->on_left != NULL)
        service->on_left(service->keeper, slot);
}

static void log_change(const sheaf_service_t *service, const change_t *change)
{
    sheaf_log_line_t line;

    sheaf_log_begin(&line, SHEAF_LOG_INFO, "service changed");
    sheaf_log_str(&line, "service", sheaf_str_of(service->name->text));
    sheaf_log_u64(&line, "came", change->came);
    sheaf_log_u64(&line, "left", change->left);
    sheaf_log_u64(&line, "servers", change->placed);
    sheaf_log_end(&line);
}

/* --- answers --- */

static void place_all(const sheaf_service_t *service, change_t *change)
{
    for (uint32_t i = 0; i < service->name->count; i++)
        place_target(service, &service->name->targets[i], change);
}

static void vacate_others(const sheaf_service_t *service, change_t *change)
{
    for (uint32_t i = 1; i < SHEAF_SERVICE_SIZE; i++) {
        if (service->gate[i].is_vacant || change->is_wanted[i])
            continue;
        change->left++;
        vacate(service, &service->gate[i]);
    }
}

/* Those that are not in the answer leave, unless none of those that are in it has found room; and may make room for more.
 * Who finds none, because so much flies at those who left, has to wait for the next answer. */
static void apply(sheaf_service_t *service)
{
    change_t change = {0};

    place_all(service, &change);
    if (change.placed == 0 && service->name->count != 0)
        return;
    vacate_others(service, &change);
    place_all(service, &change);
    service->gate->is_vacant = change.placed != 0;
    if (change.came != 0 || change.left != 0)
        log_change(service, &change);
    else if (!change.is_weighed_anew) /* most answers are: a ring is not made anew each second */
        return;
    if (service->on_changed != NULL)
        service->on_changed(service->keeper);
}

/* A lookup that failed brings no new version. */
static void on_answer(sheaf_name_waiter_t *watcher)
{
    sheaf_service_t *service = SHEAF_OWNER(watcher, sheaf_service_t, watcher);

    if (service->gate->version == service->name->version)
        return;
    service->gate->version = service->name->version;
    apply(service);
}
