#include "gateway/front/front.h"

#include <stdlib.h>
#include <sys/random.h>
#include <sys/resource.h>

#include "gateway/base/log.h"
#include "gateway/front/chunked.h"
#include "gateway/front/client.h"
#include "gateway/front/greeting.h"
#include "gateway/front/guard/goaway.h"
#include "gateway/front/lingering.h"
#include "gateway/front/listener.h"
#include "gateway/front/refusal.h"
#include "gateway/front/tls.h"
#include "gateway/front/visit.h"

#define SERVER_NAME    "sheaf"
#define LIBRARY_MS     (24 * 3600 * 1000ull) /* its own timers are beyond any of ours, see pace.h (facts 11, 22) */
#define ENTITY_ROOM    (64u << 10) /* the library's limit lies above ours, so that the 413 is ours (fact 20) */
#define MEMORY_LOOK_MS 250
#define HURRY_MS       200
#define IDLE_IN_DRAIN_MS                                                                                               \
    1000 /* an idle HTTP/1 connection may just be sending: its next answer says that it is the last */
#define CLIENTS_MOST 10000
#define FILES_MOST   (1u << 20)
#define FILES_KEPT   64 /* never given to a client */

const char *sheaf_front_library_version(void)
{
    return H2O_VERSION;
}

static void build_face(sheaf_front_t *front, sheaf_face_t *face, int (*on_request)(h2o_handler_t *, h2o_req_t *))
{
    h2o_hostconf_t *host;
    h2o_pathconf_t *path;
    sheaf_front_handler_t *handler;

    h2o_config_init(&face->config);
    face->config.server_name = h2o_iovec_init(H2O_STRLIT(SERVER_NAME));
    face->config.http1.req_timeout = LIBRARY_MS;
    face->config.http2.idle_timeout = LIBRARY_MS;
    face->config.max_request_entity_size = ENTITY_ROOM; /* admins send none; clients: see sheaf_front_set_epoch */
    host = h2o_config_register_host(&face->config, h2o_iovec_init(H2O_STRLIT("default")), 65535);
    path = h2o_config_register_path(host, "/", 0);
    sheaf_chunked_register(path);
    if (!face->is_admin)
        sheaf_refusal_register(front, host);
    handler = (sheaf_front_handler_t *)(void *)h2o_create_handler(path, sizeof(*handler));
    handler->super.on_req = on_request;
    handler->front = front;
    h2o_context_init(&face->context, front->env.loop, &face->config);
    face->accept.ctx = &face->context;
    face->accept.hosts = face->config.hosts;
}

const sheaf_limits_conf_t *sheaf_front_limits(const sheaf_front_t *front)
{
    return &front->epoch->env.snapshot->conf.limits;
}

sheaf_memory_level_t sheaf_front_memory(sheaf_front_t *front)
{
    return sheaf_memory_level(&front->memory, sheaf_front_limits(front)->memory_bytes, front->env.clock->now_ms);
}

/* Results pile up without anybody asking: a client that does not read is never heard of. */
static void on_memory_look(sheaf_deadline_t *node)
{
    sheaf_front_t *front = SHEAF_OWNER(node, sheaf_front_t, memory_look);

    if (front->is_closing || sheaf_list_is_empty(&front->visits))
        return;
    sheaf_front_mind_memory(front);
    if (sheaf_front_memory(front) != SHEAF_MEMORY_FINE && sheaf_visit_lose_kept(front))
        return; /* that may do: the next look tells, and nobody's answer is ended for a copy */
    if (sheaf_front_memory(front) == SHEAF_MEMORY_FULL)
        sheaf_visit_end_largest(front);
}

void sheaf_front_mind_memory(sheaf_front_t *front)
{
    if (!sheaf_deadline_is_set(&front->memory_look))
        sheaf_deadline_set(front->env.deadlines, &front->memory_look, front->env.clock->now_ms + MEMORY_LOOK_MS);
}

void sheaf_front_say_too_large(const sheaf_front_t *front, sheaf_fail_t *fail)
{
    sheaf_fail(fail, SHEAF_ERR_TOO_LARGE, "the request has more bytes than any endpoint or route allows, %llu",
               (unsigned long long)front->max_body_bytes);
}

/* --- the end of things --- */

void sheaf_front_stir(sheaf_front_t *front)
{
    if (front->is_draining || front->is_closing)
        sheaf_soon(front->env.soon, &front->settle);
}

static bool is_quiet(const sheaf_front_t *front)
{
    return front->client_count == 0 && sheaf_list_is_empty(&front->visits) && sheaf_list_is_empty(&front->greetings);
}

static void on_settle(sheaf_task_t *task)
{
    sheaf_front_t *front = SHEAF_OWNER(task, sheaf_front_t, settle);

    if (front->is_closing) {
        if (!sheaf_list_is_empty(&front->clients) || !sheaf_list_is_empty(&front->visits) || front->on_closed == NULL)
            return;
        void (*on_closed)(void *) = front->on_closed;
        front->on_closed = NULL;
        sheaf_deadline_clear(front->env.deadlines, &front->hurry);
        sheaf_epoch_t *epoch = front->epoch;
        front->epoch = NULL;
        sheaf_epoch_drop(epoch);
        on_closed(front->closed_data);
    } else if (is_quiet(front) && front->on_idle != NULL) {
        void (*on_idle)(void *) = front->on_idle;
        front->on_idle = NULL;
        on_idle(front->idle_data);
    }
}

static bool has_been_idle(const sheaf_client_t *client)
{
    uint64_t since_ms = client->pace.since_ms;

    if (client->front->draining_ms > since_ms)
        since_ms = client->front->draining_ms;
    return client->pace.phase != SHEAF_PHASE_BUSY && client->front->env.clock->now_ms - since_ms >= IDLE_IN_DRAIN_MS;
}

/* Connections that no request is on are ended; HTTP/1 ones with a request end by themselves with its answer. */
static void retire_idle(sheaf_front_t *front)
{
    for (sheaf_link_t *link = front->clients.next; link != &front->clients; link = link->next) {
        sheaf_client_t *client = SHEAF_OWNER(link, sheaf_client_t, link);
        if (!client->is_admin && !client->frames.is_http2 && has_been_idle(client))
            sheaf_client_retire(client);
    }
}

static void on_hurry(sheaf_deadline_t *node)
{
    sheaf_front_t *front = SHEAF_OWNER(node, sheaf_front_t, hurry);

    retire_idle(front);
    sheaf_goaway_step(front);
    sheaf_deadline_set(front->env.deadlines, &front->hurry, front->env.clock->now_ms + HURRY_MS);
}

/* Half of the descriptors are for clients: the others are for backends, and a running batch may need a second one. */
static void take_file_limits(sheaf_front_t *front)
{
    struct rlimit files = {1024, 1024};

    getrlimit(RLIMIT_NOFILE, &files);
    front->fd_most = (uint32_t)(files.rlim_cur < FILES_MOST ? files.rlim_cur : FILES_MOST);
    front->clients_most = front->fd_most / 2 < CLIENTS_MOST ? front->fd_most / 2 : CLIENTS_MOST;
    front->fd_most -= front->fd_most > 8 * FILES_KEPT ? FILES_KEPT : front->fd_most / 8;
}

/* --- the room's face to floor 6 --- */

sheaf_front_t *sheaf_front_new(const sheaf_front_env_t *env)
{
    sheaf_front_t *front = sheaf_zalloc(sizeof(*front));

    front->env = *env;
    sheaf_list_init(&front->listeners);
    sheaf_list_init(&front->clients);
    sheaf_list_init(&front->visits);
    sheaf_list_init(&front->greetings);
    sheaf_list_init(&front->lingering);
    front->settle.run = on_settle;
    front->hurry.on_expired = on_hurry;
    front->memory_look.on_expired = on_memory_look;
    front->admin_face.is_admin = true;
    if (getrandom(&front->id_base, sizeof(front->id_base), GRND_NONBLOCK) != sizeof(front->id_base))
        front->id_base = sheaf_clock_monotonic_us(NULL);
    front->crowd = sheaf_crowd_new(front->id_base * 31);
    take_file_limits(front);
    build_face(front, &front->clients_face, sheaf_handler_on_request);
    build_face(front, &front->admin_face, sheaf_admin_on_request);
    return front;
}

/* Of any endpoint, and of any route that clients may ask themselves. */
static uint64_t most_body(const sheaf_conf_t *conf)
{
    uint64_t most = 0;

    for (uint32_t i = 0; i < conf->endpoints.count; i++) {
        if (conf->endpoints.items[i].max_body_bytes > most)
            most = conf->endpoints.items[i].max_body_bytes;
    }
    for (uint32_t i = 0; i < conf->routes.count; i++) {
        const sheaf_route_conf_t *route = &conf->routes.items[i];

        if ((route->expose & 1u << SHEAF_EXPOSURE_DIRECT) != 0 && route->max_body_bytes > most)
            most = route->max_body_bytes;
    }
    return most;
}

void sheaf_front_set_epoch(sheaf_front_t *front, sheaf_epoch_t *epoch)
{
    const sheaf_conf_t *conf = &epoch->env.snapshot->conf;
    sheaf_epoch_t *old = front->epoch;

    front->max_body_bytes = most_body(conf);
    front->clients_face.config.max_request_entity_size = front->max_body_bytes + ENTITY_ROOM;
    epoch->holds++;
    front->epoch = epoch;
    for (uint32_t i = 0; i < conf->listen.count; i++) {
        if (epoch->env.snapshot->tls[i] != NULL)
            sheaf_tls_prepare(epoch->env.snapshot->tls[i], front->env.tickets);
    }
    sheaf_listener_bind_all(front);
    if (old != NULL)
        sheaf_epoch_drop(old);
}

void sheaf_epoch_drop(sheaf_epoch_t *epoch)
{
    if (--epoch->holds == 0)
        epoch->on_last_drop(epoch);
}

sheaf_err_t sheaf_front_listen(sheaf_front_t *front, int fd, sheaf_str_t address, bool is_admin, sheaf_fail_t *fail)
{
    return sheaf_listener_open(front, fd, address, is_admin, fail);
}

void sheaf_front_unlisten(sheaf_front_t *front, int fd)
{
    sheaf_listener_close(front, fd);
}

void sheaf_front_drain(sheaf_front_t *front, void (*on_idle)(void *data), void *data)
{
    front->is_draining = true;
    front->draining_ms = front->env.clock->now_ms;
    front->on_idle = on_idle;
    front->idle_data = data;
    sheaf_listener_close(front, SHEAF_LISTENERS_CLIENT);
    sheaf_greeting_hurry(front);
    front->clients_face.context.shutdown_requested = 1; /* HTTP/1 answers say Connection: close (fact 3) */
    on_hurry(&front->hurry);
    sheaf_front_stir(front);
}

static sheaf_front_t *freed;

void sheaf_front_free(sheaf_front_t *front, void (*on_closed)(void *data), void *data)
{
    front->is_closing = true;
    front->on_closed = on_closed;
    front->closed_data = data;
    sheaf_listener_close(front, SHEAF_LISTENERS_ALL);
    sheaf_greeting_end_all(front);
    sheaf_visit_end_all(front);
    sheaf_lingering_end_all(front);
    sheaf_deadline_clear(front->env.deadlines, &front->memory_look);
    for (sheaf_link_t *link = front->clients.next; link != &front->clients; link = link->next)
        sheaf_client_cut(SHEAF_OWNER(link, sheaf_client_t, link));
    sheaf_front_stir(front);
    /* libh2o's contexts stay, their handles are closed with the loop: h2o_context_dispose turns the loop itself, and
     * the process is about to end */
    front->before = freed;
    freed = front;
}
