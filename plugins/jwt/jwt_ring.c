#include "plugins/jwt/jwt_ring.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct jwt_ring {
    const jwt_conf_t *conf;
    const sheaf_p_api_t *api;
    sheaf_p_worker_t *worker;
    jwt_ring_events_t events;
    jwt_keys_t *own, *fetched;         /* fetched NULL: none came yet */
    uint8_t document[EVP_MAX_MD_SIZE]; /* hash of the document that `fetched` is of */
    uint64_t tried_ms;
    bool has_tried;
    sheaf_p_call_t call; /* value 0: none is under way */
    sheaf_p_timer_t timer;
    uint32_t waiter_count;
    sheaf_p_ref_t waiters[JWT_WAITERS_MAX];
};

static void fetch(jwt_ring_t *ring); /* asks the upstream                       */
static void on_time(void *data);     /* the next fetch is due                   */
static void on_answer(void *data, uint32_t status, const sheaf_p_field_t *fields, uint32_t field_count,
                      sheaf_p_str_t body, const char *error);
static void wake(jwt_ring_t *ring); /* tells those who wait                    */

jwt_ring_t *jwt_ring_open(const jwt_conf_t *conf, const sheaf_p_open_t *open, jwt_keys_t *own,
                          const jwt_ring_events_t *events)
{
    jwt_ring_t *ring = calloc(1, sizeof(*ring));

    if (ring == NULL) {
        jwt_keys_free(own);
        return NULL;
    }
    ring->conf = conf;
    ring->api = open->api;
    ring->worker = open->worker;
    ring->own = own;
    ring->events = *events;
    if (conf->remote.is_set) /* upstreams may not be there before the loop runs */
        ring->timer = ring->api->timer_start(ring->worker, 0, on_time, ring);
    return ring;
}

void jwt_ring_close(jwt_ring_t *ring)
{
    if (ring == NULL)
        return;
    ring->api->timer_stop(ring->worker, ring->timer);
    ring->api->call_cancel(ring->worker, ring->call);
    jwt_keys_free(ring->own);
    jwt_keys_free(ring->fetched);
    free(ring);
}

/* --- fetching --- */

static void again_in(jwt_ring_t *ring, uint64_t after_ms)
{
    ring->api->timer_stop(ring->worker, ring->timer);
    ring->timer = ring->api->timer_start(ring->worker, after_ms, on_time, ring);
}

static void fetch_failed(jwt_ring_t *ring, const char *why)
{
    char line[256];

    snprintf(line, sizeof(line), "keys could not be fetched: %s; %s", why,
             ring->fetched != NULL ? "those that are known stay" : "none are known");
    ring->api->log(ring->worker, SHEAF_P_WARN, line);
    again_in(ring, ring->conf->remote.refresh_min_ms);
}

static void fetch(jwt_ring_t *ring)
{
    const jwt_remote_t *remote = &ring->conf->remote;
    const sheaf_p_field_t accept = {.name = sheaf_p_str("accept", 6), .value = sheaf_p_str("application/json", 16)};
    const sheaf_p_request_t request = {.size = sizeof(request),
                                       .field_count = 1,
                                       .upstream = remote->upstream,
                                       .method = sheaf_p_str("GET", 3),
                                       .target = remote->path,
                                       .fields = &accept,
                                       .timeout_ms = remote->timeout_ms,
                                       .max_bytes = JWT_JWKS_MAX,
                                       .data = ring,
                                       .on_answer = on_answer};

    ring->has_tried = true;
    ring->tried_ms = ring->api->now_ms(ring->worker);
    ring->call = ring->api->call(ring->worker, &request);
    if (ring->call.value == 0)
        fetch_failed(ring, "the upstream takes no request");
}

static void on_time(void *data)
{
    jwt_ring_t *ring = data;

    ring->timer.value = 0;
    if (ring->call.value == 0)
        fetch(ring);
}

/* NULL, or why the document is not taken. One without a key is not: it would lock everybody out, and is an issuer's mishap more
 * often than its will. */
static const char *take(jwt_ring_t *ring, sheaf_p_str_t document)
{
    uint8_t hash[EVP_MAX_MD_SIZE] = {0};
    const char *why = NULL;
    jwt_keys_t *keys;

    if (!EVP_Digest(document.base, document.len, hash, NULL, EVP_sha256(), NULL))
        return "it cannot be hashed";
    if (ring->fetched != NULL && memcmp(hash, ring->document, sizeof(hash)) == 0)
        return NULL;
    keys = jwt_keys_read(document, &why);
    if (keys == NULL)
        return why;
    if (keys->count == 0) {
        jwt_keys_free(keys);
        return "it has no key that verifies";
    }
    jwt_keys_free(ring->fetched);
    ring->fetched = keys;
    memcpy(ring->document, hash, sizeof(hash));
    ring->events.on_change(ring->events.data);
    return NULL;
}

static void on_answer(void *data, uint32_t status, const sheaf_p_field_t *fields, uint32_t field_count,
                      sheaf_p_str_t body, const char *error)
{
    jwt_ring_t *ring = data;
    char words[64];
    const char *why = words;

    (void)fields;
    (void)field_count;
    ring->call.value = 0;
    if (status == 200)
        why = take(ring, body);
    else if (status == 0)
        why = error != NULL ? error : "no answer";
    else
        snprintf(words, sizeof(words), "status %u", (unsigned)status);
    if (why == NULL)
        again_in(ring, ring->conf->remote.refresh_ms);
    else
        fetch_failed(ring, why);
    ring->events.on_fetched(ring->events.data, why == NULL);
    wake(ring);
}

/* --- waiting --- */

static void wake(jwt_ring_t *ring)
{
    uint32_t count = ring->waiter_count;

    ring->waiter_count = 0; /* nobody waits anew from inside: on_again's word */
    for (uint32_t i = 0; i < count; i++)
        ring->events.on_again(ring->events.data, ring->waiters[i]);
}

static bool may_fetch(const jwt_ring_t *ring)
{
    return !ring->has_tried || ring->api->now_ms(ring->worker) - ring->tried_ms >= ring->conf->remote.refresh_min_ms;
}

bool jwt_ring_wait(jwt_ring_t *ring, sheaf_p_ref_t ref)
{
    if (!ring->conf->remote.is_set || ring->waiter_count == JWT_WAITERS_MAX)
        return false;
    if (ring->call.value == 0 && may_fetch(ring))
        fetch(ring);
    if (ring->call.value == 0)
        return false;
    ring->waiters[ring->waiter_count++] = ref;
    return true;
}

bool jwt_ring_is_blind(const jwt_ring_t *ring)
{
    return ring->conf->remote.is_set && ring->fetched == NULL;
}

/* --- verifying --- */

/* What is fetched never brings a secret: whoever can read the document could sign with it. */
jwt_verdict_t jwt_ring_verify(const jwt_ring_t *ring, const jwt_token_t *token)
{
    jwt_verdict_t own, fetched;

    if ((ring->conf->algs & token->alg) == 0)
        return JWT_ALGORITHM;
    own = jwt_keys_verify(ring->own, ring->conf->algs, token);
    if (own == JWT_OK || ring->fetched == NULL || (token->alg & JWT_ALGS_PUBLIC) == 0)
        return own;
    fetched = jwt_keys_verify(ring->fetched, ring->conf->algs, token);
    return fetched == JWT_UNKNOWN_KEY ? own : fetched;
}
