/* upstream/upstream.c - see upstream.h. */
#include "gateway/upstream/upstream.h"

#include <stdlib.h>

#include "gateway/upstream/group.h"

struct sheaf_upstreams {
    sheaf_conn_env_t env;
    sheaf_soon_t *soon;
    sheaf_resolver_t *resolver;
    bool is_prober;
    sheaf_link_t groups;
    sheaf_link_t views;
    uv_check_t closer; /* never started: its closing makes the end come from the loop, even with no conn open */
    bool is_closing;
    void (*on_closed)(void *data);
    void *data;
};

typedef struct view {
    sheaf_dispatch_t dispatch;
    sheaf_link_t link;
    sheaf_upstreams_t *upstreams;
    sheaf_snapshot_t *snapshot;
    uint32_t count;
    sheaf_group_t *groups[]; /* by the snapshot's indexes */
} view_t;

static void on_all_closed(sheaf_conn_env_t *env);
static void on_resolver_closed(void *data);

sheaf_upstreams_t *sheaf_upstreams_new(const sheaf_upstreams_env_t *env)
{
    sheaf_upstreams_t *upstreams = sheaf_zalloc(sizeof(*upstreams));

    upstreams->env.loop = env->loop;
    upstreams->env.clock = env->clock;
    upstreams->env.deadlines = env->deadlines;
    upstreams->env.metrics = env->metrics;
    upstreams->env.soon = env->soon;
    upstreams->env.on_all_closed = on_all_closed;
    upstreams->soon = env->soon;
    upstreams->env.slate = env->slate;
    upstreams->env.upstats = env->upstats;
    upstreams->env.slot = env->slot;
    upstreams->is_prober = env->is_prober && env->slate != NULL;
    upstreams->resolver = sheaf_resolver_new(env->loop, env->clock, env->deadlines, env->soon);
    sheaf_list_init(&upstreams->groups);
    sheaf_list_init(&upstreams->views);
    uv_check_init(env->loop, &upstreams->closer);
    upstreams->closer.data = upstreams;
    return upstreams;
}

static void free_if_closed(sheaf_upstreams_t *upstreams)
{
    void (*on_closed)(void *) = upstreams->on_closed;
    void *data = upstreams->data;

    if (!upstreams->is_closing || upstreams->env.open_count != 0 || upstreams->resolver != NULL)
        return;
    sheaf_flight_free_spare(&upstreams->env);
    free(upstreams);
    if (on_closed != NULL)
        on_closed(data);
}

static void on_all_closed(sheaf_conn_env_t *env)
{
    free_if_closed(SHEAF_OWNER(env, sheaf_upstreams_t, env));
}

static void on_resolver_closed(void *data)
{
    sheaf_upstreams_t *upstreams = data;

    upstreams->resolver = NULL;
    free_if_closed(upstreams);
}

static void on_closer_closed(uv_handle_t *handle)
{
    sheaf_upstreams_t *upstreams = handle->data;

    upstreams->env.open_count--;
    free_if_closed(upstreams);
}

void sheaf_upstreams_free(sheaf_upstreams_t *upstreams, void (*on_closed)(void *data), void *data)
{
    while (!sheaf_list_is_empty(&upstreams->views))
        sheaf_upstreams_close(&SHEAF_OWNER(upstreams->views.next, view_t, link)->dispatch);
    upstreams->is_closing = true;
    upstreams->on_closed = on_closed;
    upstreams->data = data;
    upstreams->env.open_count++; /* the closer: nothing ends before it */
    uv_close((uv_handle_t *)&upstreams->closer, on_closer_closed);
    sheaf_resolver_free(upstreams->resolver, on_resolver_closed, upstreams);
}

/* --- views --- */

static void view_send(sheaf_dispatch_t *self, sheaf_exchange_t *exchange)
{
    view_t *view = SHEAF_OWNER(self, view_t, dispatch);

    SHEAF_ASSERT(exchange->upstream < view->count && exchange->fallback <= view->count);
    exchange->other = exchange->fallback == 0 ? NULL : view->groups[exchange->fallback - 1];
    sheaf_group_send(view->groups[exchange->upstream], exchange);
}

static void view_cancel(sheaf_dispatch_t *self, sheaf_exchange_t *exchange)
{
    (void)self;
    sheaf_group_cancel(exchange);
}

static void view_credit(sheaf_dispatch_t *self, sheaf_exchange_t *exchange, size_t len)
{
    (void)self;
    sheaf_group_credit(exchange, len);
}

/* The group that already serves an equal configuration, moved to the newer snapshot, or a new one. */
static sheaf_group_t *group_for(sheaf_upstreams_t *upstreams, sheaf_snapshot_t *snapshot,
                                const sheaf_upstream_conf_t *conf)
{
    sheaf_group_t *group;

    for (sheaf_link_t *link = upstreams->groups.next; link != &upstreams->groups; link = link->next) {
        group = SHEAF_OWNER(link, sheaf_group_t, link);
        if (!sheaf_str_eq(group->conf->map_key, conf->map_key) || !sheaf_upstream_conf_eq(group->conf, conf))
            continue;
        sheaf_group_rebase(group, snapshot, conf);
        return group;
    }
    group = sheaf_group_new(&upstreams->env, upstreams->soon, upstreams->resolver, snapshot, conf);
    sheaf_list_push_back(&upstreams->groups, &group->link);
    return group;
}

/* --- health --- */

static void watch_those_of(sheaf_upstreams_t *upstreams, const view_t *view)
{
    for (sheaf_link_t *link = upstreams->groups.next; link != &upstreams->groups; link = link->next) {
        sheaf_group_t *group = SHEAF_OWNER(link, sheaf_group_t, link);

        if (view != NULL && group->newest == view)
            sheaf_monitor_begin(&group->monitor);
        else
            sheaf_monitor_end(&group->monitor);
    }
}

/* What is known of servers that are asked no more is wiped. */
static void watch(sheaf_upstreams_t *upstreams, const view_t *view)
{
    if (!upstreams->is_prober)
        return;
    sheaf_slate_begin_round(upstreams->env.slate);
    watch_those_of(upstreams, view);
    sheaf_slate_end_round(upstreams->env.slate);
}

void sheaf_upstreams_rest(sheaf_upstreams_t *upstreams)
{
    upstreams->is_prober = false;
    watch_those_of(upstreams, NULL); /* the others go on with what is known */
}

/* --- opening and closing --- */

sheaf_dispatch_t *sheaf_upstreams_open(sheaf_upstreams_t *upstreams, sheaf_snapshot_t *snapshot)
{
    uint32_t count = snapshot->conf.upstreams.count;
    view_t *view = sheaf_zalloc(sizeof(*view) + count * sizeof(view->groups[0]));

    view->dispatch.send = view_send;
    view->dispatch.credit = view_credit;
    view->dispatch.cancel = view_cancel;
    view->upstreams = upstreams;
    view->snapshot = sheaf_snapshot_hold(snapshot);
    view->count = count;
    sheaf_resolver_bound(upstreams->resolver, snapshot->conf.resolve.min_ms, snapshot->conf.resolve.max_ms);
    for (uint32_t i = 0; i < count; i++) {
        view->groups[i] = group_for(upstreams, snapshot, &snapshot->conf.upstreams.items[i]);
        view->groups[i]->users++;
        view->groups[i]->newest = view;
    }
    watch(upstreams, view);
    sheaf_list_push_back(&upstreams->views, &view->link);
    return &view->dispatch;
}

void sheaf_upstreams_close(sheaf_dispatch_t *dispatch)
{
    view_t *view = SHEAF_OWNER(dispatch, view_t, dispatch);

    for (uint32_t i = 0; i < view->count; i++) {
        sheaf_group_t *group = view->groups[i];

        if (group->newest == view) /* another view may get its address */
            group->newest = NULL;
        if (--group->users != 0)
            continue;
        sheaf_list_remove(&group->link);
        sheaf_group_free(group);
    }
    sheaf_list_remove(&view->link);
    sheaf_snapshot_drop(view->snapshot);
    free(view);
}
