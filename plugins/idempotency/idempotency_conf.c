#include "idempotency_conf.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Numbers of the keys, in their order. */
enum { REDIS_ON_ERROR = REDIS_OWN };
enum {
    KEY_METHODS,
    KEY_REQUIRED,
    KEY_IDENTITY,
    KEY_TTL,
    KEY_LEASE,
    KEY_ENTRIES,
    KEY_MAX_ANSWER,
    KEY_REDIS,
};

static const sheaf_p_key_t redis_keys[] = {
    REDIS_KEYS("sheaf:idem:", "What its keys begin with. Instances of one prefix know of each other's.", "250ms"),
    [REDIS_ON_ERROR] = {.name = "on_error",
                        .type = SHEAF_P_WORD,
                        .preset = "deny",
                        .words = "deny|allow",
                        .manual = "What becomes of a request with a key while Redis does not answer: it gets 503, or "
                                  "is done without protection."},
    {.name = NULL},
};

const sheaf_p_key_t idempotency_conf_keys[] = {
    [KEY_METHODS] = {.name = "methods", .type = SHEAF_P_TEXTS, .manual = "What is protected. Default: POST and PATCH."},
    [KEY_REQUIRED] = {.name = "required",
                      .type = SHEAF_P_BOOL,
                      .preset = "false",
                      .manual = "Whether one of these methods without a key is refused (400)."},
    [KEY_IDENTITY] = {.name = "identity",
                      .type = SHEAF_P_TEXT,
                      .preset = "user",
                      .manual = "The attribute that says whose a key is, beside user, consumer and the client's "
                                "certificate. Where it "
                                "and user are missing Authorization, Cookie and X-Api-Key do too; the client's address "
                                "where nothing "
                                "does."},
    [KEY_TTL] = {.name = "ttl",
                 .type = SHEAF_P_DURATION,
                 .preset = "24h",
                 .min = 1000,
                 .max = 2678400000,
                 .manual = "How long an answer is remembered."},
    [KEY_LEASE] = {.name = "lease",
                   .type = SHEAF_P_DURATION,
                   .preset = "60s",
                   .min = 1000,
                   .max = 3600000,
                   .manual = "How long one may run before its key is free again, also where nobody knows what became "
                             "of it (a timeout, "
                             "a client that left); longer than every timeout."},
    [KEY_ENTRIES] = {.name = "entries",
                     .type = SHEAF_P_NUMBER,
                     .preset = "4096",
                     .min = 64,
                     .max = 1048576,
                     .manual = "How many keys are known at once, in the memory of this machine."},
    [KEY_MAX_ANSWER] = {.name = "max_answer",
                        .type = SHEAF_P_SIZE,
                        .preset = "16KiB",
                        .min = 1024,
                        .max = 1048576,
                        .manual =
                            "Head and body of an answer that is remembered; of a larger one only that it was given."},
    [KEY_REDIS] = {.name = "redis",
                   .type = SHEAF_P_SECTION,
                   .keys = redis_keys,
                   .manual = "Remembers in Redis, for all machines together."},
    {.name = NULL},
};

static int read_redis(const sheaf_p_value_t *redis, idempotency_conf_t *conf, sheaf_p_fail_t *fail)
{
    if (redis_conf_read(redis, 0, &conf->redis, fail) != 0)
        return -1;
    conf->prefix = redis[REDIS_PREFIX].text;
    conf->on_error = (idempotency_on_error_t)redis[REDIS_ON_ERROR].number;
    conf->asks_redis = true;
    return 0;
}

int idempotency_conf_read(const sheaf_p_value_t *values, idempotency_conf_t *ret_conf, sheaf_p_fail_t *fail)
{
    const sheaf_p_value_t *redis = &values[KEY_REDIS];
    const sheaf_p_str_t identity = values[KEY_IDENTITY].text;

    *ret_conf = (idempotency_conf_t){
        .methods = &values[KEY_METHODS],
        .is_required = values[KEY_REQUIRED].number == 1,
        .ttl_ms = (uint64_t)values[KEY_TTL].number,
        .lease_ms = (uint64_t)values[KEY_LEASE].number,
        .entries = (uint64_t)values[KEY_ENTRIES].number,
        .answer_bytes = (uint32_t)values[KEY_MAX_ANSWER].number,
    };
    if (identity.len == 0 || identity.len >= sizeof(ret_conf->identity)) {
        snprintf(fail->key, sizeof(fail->key), "identity");
        snprintf(fail->why, sizeof(fail->why), "must be the name of an attribute, at most 64 bytes");
        return -1;
    }
    memcpy(ret_conf->identity, identity.base, identity.len);
    return redis->is_set && redis->sections != NULL ? read_redis(redis->sections[0], ret_conf, fail) : 0;
}

/* FNV-1a. */
static uint64_t mixed(uint64_t hash, const void *base, size_t len)
{
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ ((const uint8_t *)base)[i]) * 1099511628211u;
    return hash;
}

uint64_t idempotency_conf_place(const idempotency_conf_t *conf)
{
    const redis_conn_conf_t *redis = &conf->redis;
    uint64_t hash = mixed(14695981039346656037u, redis->address.host, strlen(redis->address.host) + 1);

    hash = mixed(hash, &redis->address.port, sizeof(redis->address.port));
    hash = mixed(hash, &redis->database, sizeof(redis->database));
    return mixed(hash, conf->prefix.base, conf->prefix.len);
}

static bool is_method(sheaf_p_str_t method, const char *word, size_t len)
{
    return method.len == len && strncasecmp(method.base, word, len) == 0;
}

bool idempotency_conf_protects(const idempotency_conf_t *conf, const sheaf_p_api_t *api, sheaf_p_ref_t item)
{
    sheaf_p_str_t method;

    if (api->text(item, SHEAF_P_METHOD, &method) != 1)
        return false;
    if (conf->methods->count == 0)
        return is_method(method, "POST", 4) || is_method(method, "PATCH", 5);
    for (uint32_t i = 0; i < conf->methods->count; i++)
        if (is_method(method, conf->methods->texts[i].base, conf->methods->texts[i].len))
            return true;
    return false;
}
