/* jwt/jwt.c - who may pass: the bearer of a good token (RFC 6750, 7519), asked for every request and every item. */
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "plugins/jwt/jwt_cache.h"
#include "plugins/jwt/jwt_conf.h"
#include "plugins/jwt/jwt_ring.h"
#include "plugins/jwt/jwt_turn.h"

/* Set on an item whose token was taken away from its question: whether that was its OWN, which nobody can look at any more, or
 * the one of the OUTER request. Without it an item that shows no token has none, whatever the outer request has. */
#define TAKEN "jwt.taken"
#define OWN   "own"
#define OUTER "outer"

/* Says that there was a good token, whatever is in it, and which: SHA-256 of the token, in hex. */
#define PROVEN "jwt.verified"

enum { ACCEPTED, REFUSED, FORBIDDEN, ANONYMOUS, VERIFIED, FETCHED, FETCH_FAILED };

static const sheaf_p_counter_t counters[] = {
    [ACCEPTED] = {.name = "accepted", .manual = "Requests and items whose token was good."},
    [REFUSED] = {.name = "refused", .manual = "Requests and items refused with 401."},
    [FORBIDDEN] = {.name = "forbidden", .manual = "Requests and items refused with 403: a scope was missing."},
    [ANONYMOUS] = {.name = "anonymous", .manual = "Requests and items that passed without a token."},
    [VERIFIED] = {.name = "verified", .manual = "Signatures checked: tokens that were not in the cache."},
    [FETCHED] = {.name = "fetched", .manual = "Key documents fetched."},
    [FETCH_FAILED] = {.name = "fetch_failed", .manual = "Key documents that could not be fetched or read."},
    {.name = NULL},
};

typedef struct jwt {
    const sheaf_p_api_t *api;
    sheaf_p_worker_t *worker;
    jwt_conf_t conf;
    jwt_ring_t *ring;
    jwt_cache_t *cache;
    jwt_turn_t turn;
} jwt_t;

/* Who is asked about: a request, or an item and then its question too. */
typedef struct bearer {
    sheaf_p_ref_t ref;
    bool is_item, may_wait;
    enum { NO_TOKEN, TOKEN, BAD_FIELD, TAKEN_TOKEN } kind;
    sheaf_p_str_t token;
    uint8_t hash[JWT_HASH_LEN]; /* of the token, once its claims were looked for */
} bearer_t;

/* --- the token of a request, of an item --- */

/* "Bearer" in any case, spaces, the token. Another scheme is no token: it is the backend's. */
static void read_field(bearer_t *bearer, sheaf_p_str_t value)
{
    static const char scheme[] = "bearer";
    size_t at = sizeof(scheme) - 1;

    if (value.len < at || strncasecmp(value.base, scheme, at) != 0 || (value.len > at && value.base[at] != ' '))
        return;
    while (at < value.len && value.base[at] == ' ')
        at++;
    bearer->kind = TOKEN;
    bearer->token = sheaf_p_str(value.base + at, value.len - at);
}

/* True: there is an Authorization field, whatever is in it. Two say two things, and a backend may believe the other one. */
static bool read_head(const jwt_t *self, bearer_t *bearer, sheaf_p_part_t part)
{
    sheaf_p_str_t value, second;

    if (!self->api->header(bearer->ref, part, "authorization", 0, &value))
        return false;
    if (self->api->header(bearer->ref, part, "authorization", 1, &second))
        bearer->kind = BAD_FIELD;
    else
        read_field(bearer, value);
    return true;
}

static bool was_taken(const jwt_t *self, sheaf_p_ref_t item, const char *whose)
{
    sheaf_p_str_t value;

    return self->api->get(item, TAKEN, &value) && value.len == strlen(whose) &&
           memcmp(value.base, whose, value.len) == 0;
}

/* An item's: the field of its question, which is its own, else the envelope's, else the outer one. */
static void find_token(const jwt_t *self, bearer_t *bearer)
{
    if (bearer->is_item && read_head(self, bearer, SHEAF_P_QUESTION))
        return;
    if (bearer->is_item && was_taken(self, bearer->ref, OWN))
        bearer->kind = TAKEN_TOKEN;
    else if (!bearer->is_item || was_taken(self, bearer->ref, OUTER))
        read_head(self, bearer, SHEAF_P_CLIENT);
}

/* --- whether it is good --- */

static jwt_verdict_t check_signature(jwt_t *self, const bearer_t *bearer, const jwt_token_t *token)
{
    if (self->conf.typ.len > 0 && !jwt_token_is_typ(token, self->conf.typ))
        return JWT_TYPE;
    if (!jwt_turn_take(&self->turn, bearer->ref))
        return JWT_BUSY;
    self->api->count(self->worker, VERIFIED, 1);
    return jwt_ring_verify(self->ring, token);
}

/* The claims, counted up; NULL and a verdict. */
static json_t *verify(jwt_t *self, const bearer_t *bearer, jwt_verdict_t *ret_verdict)
{
    json_t *claims = NULL;
    jwt_token_t token;

    *ret_verdict = jwt_token_read(bearer->token, self->conf.max_token, &token);
    if (*ret_verdict != JWT_OK)
        return NULL;
    *ret_verdict = check_signature(self, bearer, &token);
    if (*ret_verdict == JWT_OK)
        claims = jwt_token_claims(&token);
    if (*ret_verdict == JWT_OK && claims == NULL)
        *ret_verdict = JWT_MALFORMED;
    jwt_token_fini(&token);
    return claims;
}

static json_t *claims_of(jwt_t *self, bearer_t *bearer, jwt_verdict_t *ret_verdict)
{
    sheaf_p_str_t text = bearer->token;
    json_t *claims;

    *ret_verdict = text.len > self->conf.max_token ? JWT_TOO_LONG : JWT_OK;
    if (*ret_verdict != JWT_OK)
        return NULL;
    if (!jwt_cache_hash(self->cache, text, bearer->hash)) {
        *ret_verdict = JWT_MALFORMED;
        return NULL;
    }
    claims = jwt_cache_find(self->cache, bearer->hash);
    if (claims != NULL)
        return json_incref(claims);
    claims = verify(self, bearer, ret_verdict);
    if (claims != NULL)
        jwt_cache_put(self->cache, bearer->hash, claims);
    return claims;
}

/* --- what a good one gives --- */

/* What shows already, as the request's mostly does for its items, is not set again. Who has a token has all its attributes, if
 * only empty: that one is there says that somebody is known. */
static bool set_attribute(const jwt_t *self, sheaf_p_ref_t ref, const char *name, sheaf_p_str_t value, bool is_known)
{
    sheaf_p_str_t shown = {"", 0};
    const bool is_there = self->api->get(ref, name, &shown) == 1;

    if ((is_there || !is_known) && shown.len == value.len &&
        (value.len == 0 || memcmp(shown.base, value.base, value.len) == 0))
        return true;
    return self->api->set(ref, name, value) == 0;
}

static bool set_proven(const jwt_t *self, const bearer_t *bearer, bool is_known)
{
    char hex[2 * JWT_HASH_LEN + 1] = "";

    for (size_t i = 0; is_known && i < JWT_HASH_LEN; i++)
        snprintf(hex + 2 * i, 3, "%02x", bearer->hash[i]);
    return set_attribute(self, bearer->ref, PROVEN, sheaf_p_str(hex, strlen(hex)), is_known);
}

/* An empty attribute hides the request's: an item has the identity of its own token, as a whole. `scp` is what some issuers call
 * `scope`. False: there is no room for one, so that the request's would show. */
static bool set_attributes(const jwt_t *self, const bearer_t *bearer, const json_t *claims)
{
    char text[JWT_CLAIM_MAX];

    if (!set_proven(self, bearer, claims != NULL))
        return false;
    for (uint32_t i = 0; i < self->conf.attribute_count; i++) {
        const jwt_grant_t *grant = &self->conf.attributes[i];
        bool is_scope = grant->claim.len == 5 && memcmp(grant->claim.base, "scope", 5) == 0;
        sheaf_p_str_t value = sheaf_p_str("", 0);
        size_t len;

        if (jwt_claims_text(claims, grant->claim, ' ', text, &len) ||
            (is_scope && jwt_claims_text(claims, sheaf_p_str("scp", 3), ' ', text, &len)))
            value = sheaf_p_str(text, len);
        if (!set_attribute(self, bearer->ref, grant->name, value, claims != NULL))
            return false;
    }
    return true;
}

/* The same name to a backend that makes variables of fields: any case, and '_' for '-'. */
static bool is_alike(sheaf_p_str_t name, const char *want)
{
    if (name.len != strlen(want))
        return false;
    for (size_t i = 0; i < name.len; i++) {
        char a = name.base[i] == '_' ? '-' : name.base[i], b = want[i] == '_' ? '-' : want[i];

        if (strncasecmp(&a, &b, 1) != 0)
            return false;
    }
    return true;
}

static bool is_ours(const jwt_t *self, sheaf_p_str_t name)
{
    for (uint32_t i = 0; i < self->conf.field_count; i++)
        if (is_alike(name, self->conf.fields[i].name))
            return true;
    return false;
}

static void remove_ours(const jwt_t *self, sheaf_p_ref_t item)
{
    char copy[JWT_NAME_MAX + 1];
    sheaf_p_str_t name, value;
    uint32_t index = 0;

    while (self->api->header_at(item, SHEAF_P_QUESTION, index, &name, &value)) {
        index++;
        if (!is_ours(self, name))
            continue;
        memcpy(copy, name.base, name.len);
        copy[name.len] = '\0';
        if (self->api->header_remove(item, SHEAF_P_QUESTION, copy) == 0)
            index = 0; /* the others have moved */
    }
}

/* What a client wrote under these names goes, whether or not there is a claim to stand there. */
static void set_fields(const jwt_t *self, sheaf_p_ref_t item, const json_t *claims)
{
    char text[JWT_CLAIM_MAX];
    size_t len;

    if (self->conf.field_count == 0)
        return;
    remove_ours(self, item);
    for (uint32_t i = 0; i < self->conf.field_count; i++)
        if (jwt_claims_text(claims, self->conf.fields[i].claim, ',', text, &len))
            self->api->header_set(item, SHEAF_P_QUESTION, self->conf.fields[i].name, sheaf_p_str(text, len));
}

static void strip(const jwt_t *self, const bearer_t *bearer)
{
    sheaf_p_str_t own, outer = {NULL, 0};
    bool is_outers;

    if (!self->api->header(bearer->ref, SHEAF_P_QUESTION, "authorization", 0, &own))
        return;
    self->api->header(bearer->ref, SHEAF_P_CLIENT, "authorization", 0, &outer);
    is_outers = own.len == outer.len && CRYPTO_memcmp(own.base, outer.base, own.len) == 0;
    self->api->set(bearer->ref, TAKEN, is_outers ? sheaf_p_str(OUTER, strlen(OUTER)) : sheaf_p_str(OWN, strlen(OWN)));
    self->api->header_remove(bearer->ref, SHEAF_P_QUESTION, "authorization");
}

/* claims   NULL: nobody is known */
static sheaf_p_verdict_t grant(const jwt_t *self, const bearer_t *bearer, const json_t *claims)
{
    if (!set_attributes(self, bearer, claims)) {
        self->api->problem(bearer->ref, 500, "no-room-for-identity", "there are too many attributes");
        return SHEAF_P_ANSWER;
    }
    self->api->count(self->worker, claims != NULL ? ACCEPTED : ANONYMOUS, 1);
    if (!bearer->is_item)
        return SHEAF_P_PASS;
    set_fields(self, bearer->ref, claims);
    if (!self->conf.is_forwarded && bearer->kind == TOKEN)
        strip(self, bearer);
    return SHEAF_P_PASS;
}

/* --- what is said to others --- */

/* RFC 6750 3: the error is named only to who brought a token. */
static void challenge(const jwt_t *self, const bearer_t *bearer, const char *error, const char *description)
{
    char text[JWT_CHALLENGE_MAX];
    int len = snprintf(text, sizeof(text), "Bearer realm=\"%.*s\"", (int)self->conf.realm.len, self->conf.realm.base);
    const jwt_texts_t *scopes = &self->conf.rules.scopes;

    if (error != NULL)
        len += snprintf(text + len, sizeof(text) - (size_t)len, ", error=\"%s\", error_description=\"%s\"", error,
                        description);
    for (uint32_t i = 0; i < scopes->count; i++) /* bounded by jwt_conf_read */
        len += snprintf(text + len, sizeof(text) - (size_t)len, "%s%.*s", i == 0 ? ", scope=\"" : " ",
                        (int)scopes->texts[i].len, scopes->texts[i].base);
    if (scopes->count > 0)
        len += snprintf(text + len, sizeof(text) - (size_t)len, "\"");
    self->api->header_set(bearer->ref, bearer->is_item ? SHEAF_P_RESULT : SHEAF_P_REPLY, "www-authenticate",
                          sheaf_p_str(text, (size_t)len));
}

static sheaf_p_verdict_t refuse(const jwt_t *self, const bearer_t *bearer, const char *why)
{
    self->api->count(self->worker, REFUSED, 1);
    self->api->problem(bearer->ref, 401, bearer->kind == NO_TOKEN ? "token-required" : "invalid-token", why);
    challenge(self, bearer, bearer->kind == NO_TOKEN ? NULL : "invalid_token", why);
    return SHEAF_P_ANSWER;
}

static sheaf_p_verdict_t forbid(const jwt_t *self, const bearer_t *bearer)
{
    const char *why = jwt_verdict_text(JWT_SCOPE);

    self->api->count(self->worker, FORBIDDEN, 1);
    self->api->problem(bearer->ref, 403, "insufficient-scope", why);
    challenge(self, bearer, "insufficient_scope", why);
    return SHEAF_P_ANSWER;
}

/* --- the decision --- */

/* Whether a request may go on to its items without being granted anything. */
static bool is_items_matter(const jwt_t *self, const bearer_t *bearer)
{
    return !bearer->is_item && self->conf.takes_anonymous_batch;
}

static sheaf_p_verdict_t decide_anonymous(const jwt_t *self, const bearer_t *bearer)
{
    if (is_items_matter(self, bearer))
        return SHEAF_P_PASS;
    return self->conf.is_required ? refuse(self, bearer, "a token is required") : grant(self, bearer, NULL);
}

/* The key is not known, or none is. */
static sheaf_p_verdict_t decide_unknown(const jwt_t *self, const bearer_t *bearer)
{
    if (bearer->may_wait && jwt_ring_wait(self->ring, bearer->ref))
        return SHEAF_P_LATER;
    if (!jwt_ring_is_blind(self->ring))
        return refuse(self, bearer, jwt_verdict_text(JWT_UNKNOWN_KEY));
    self->api->problem(bearer->ref, 503, "keys-unavailable",
                       "the keys that tokens are checked with could not be fetched");
    return SHEAF_P_ANSWER;
}

static sheaf_p_verdict_t decide_token(jwt_t *self, bearer_t *bearer)
{
    jwt_verdict_t verdict;
    sheaf_p_verdict_t what;
    json_t *claims = claims_of(self, bearer, &verdict);

    if (verdict == JWT_OK)
        verdict = jwt_claims_check(claims, &self->conf.rules, self->api->wall_s(self->worker));
    if (verdict == JWT_OK || (verdict == JWT_SCOPE && is_items_matter(self, bearer)))
        what = grant(self, bearer, claims);
    else if (verdict == JWT_BUSY)
        what = SHEAF_P_LATER;
    else if (verdict == JWT_UNKNOWN_KEY)
        what = decide_unknown(self, bearer);
    else if (verdict == JWT_SCOPE)
        what = forbid(self, bearer);
    else
        what = refuse(self, bearer, jwt_verdict_text(verdict));
    json_decref(claims);
    return what;
}

static sheaf_p_verdict_t decide(jwt_t *self, sheaf_p_ref_t ref, bool is_item, bool may_wait)
{
    bearer_t bearer = {.ref = ref, .is_item = is_item, .may_wait = may_wait};

    find_token(self, &bearer);
    switch (bearer.kind) {
    case NO_TOKEN:
        return decide_anonymous(self, &bearer);
    case BAD_FIELD:
        return refuse(self, &bearer, "there is more than one Authorization field");
    case TAKEN_TOKEN:
        return refuse(self, &bearer, "the token of the item was taken away by an instance before this one");
    case TOKEN:
        break;
    }
    return decide_token(self, &bearer);
}

static sheaf_p_verdict_t on_request(void *self, sheaf_p_ref_t request)
{
    return decide(self, request, false, true);
}

static sheaf_p_verdict_t on_item(void *self, sheaf_p_ref_t item)
{
    return decide(self, item, true, true);
}

/* --- life --- */

static void on_change(void *data)
{
    jwt_cache_clear(((jwt_t *)data)->cache);
}

static void on_fetched(void *data, int is_good)
{
    jwt_t *self = data;

    self->api->count(self->worker, is_good ? FETCHED : FETCH_FAILED, 1);
}

/* Nobody may be there any more. */
static void look_again(jwt_t *self, sheaf_p_ref_t ref, bool may_wait)
{
    sheaf_p_ref_t request = self->api->request_of(ref);

    if (request.value != 0 && decide(self, ref, request.value != ref.value, may_wait) == SHEAF_P_PASS)
        self->api->resume(ref);
}

static void on_keys(void *data, sheaf_p_ref_t ref)
{
    look_again(data, ref, false);
}

static void on_turn(void *data, sheaf_p_ref_t ref)
{
    look_again(data, ref, true);
}

static void jwt_close(void *data)
{
    jwt_t *self = data;

    jwt_turn_fini(&self->turn);
    jwt_ring_close(self->ring);
    jwt_cache_free(self->cache);
    free(self);
}

static void *jwt_open(const sheaf_p_open_t *open, sheaf_p_fail_t *fail)
{
    jwt_t *self = calloc(1, sizeof(*self));
    const jwt_ring_events_t events = {
        .data = self, .on_change = on_change, .on_fetched = on_fetched, .on_again = on_keys};
    jwt_keys_t *own = NULL;

    if (self == NULL)
        return NULL;
    self->api = open->api;
    self->worker = open->worker;
    jwt_turn_init(&self->turn, open, self, on_turn);
    if (jwt_conf_read(open->values, &self->conf, fail) == 0)
        own = jwt_conf_own_keys(&self->conf, fail);
    if (own != NULL) {
        self->cache = jwt_cache_new(self->conf.cache_limit);
        self->ring = jwt_ring_open(&self->conf, open, own, &events);
    }
    if (self->cache != NULL && self->ring != NULL)
        return self;
    jwt_close(self);
    return NULL;
}

static int jwt_check(const sheaf_p_value_t *values, sheaf_p_fail_t *fail)
{
    jwt_conf_t conf;
    jwt_keys_t *keys;

    if (jwt_conf_read(values, &conf, fail) != 0)
        return -1;
    keys = jwt_conf_own_keys(&conf, fail);
    jwt_keys_free(keys);
    return keys != NULL ? 0 : -1;
}

SHEAF_PLUGIN(jwt) = {
    .size = sizeof(sheaf_plugin_t),
    .abi_major = SHEAF_P_ABI_MAJOR,
    .abi_minor = 0,
    .name = "jwt",
    .version = "1.0",
    .manual = "Lets bearers of a signed token (JWT) pass and tells who they are.",
    .keys = jwt_conf_keys,
    .counters = counters,
    .check = jwt_check,
    .open = jwt_open,
    .close = jwt_close,
    .on_request = on_request,
    .on_item = on_item,
    .lets_pass = jwt_conf_lets_pass,
};
