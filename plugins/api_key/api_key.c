/* api_key/api_key.c - who may pass: those who know a key, asked for every request and every item. */
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plugins/api_key/api_key_table.h"

#define KEY_MAX        1024 /* bytes of what a client shows */
#define SHOWN_NAME_MAX 64
#define CONSUMER       "consumer"
/* TAKEN and the header's name, or "?" and the parameter's: set on an item whose key was taken away from its question. It says whether that was its OWN, which
 * nobody can look at any more, or the one of the OUTER request. */
#define TAKEN "api_key.taken."
#define OWN   "own"
#define OUTER "outer"

enum { KEYS, HEADER, QUERY, REQUIRED, ANONYMOUS_BATCH, FORWARD };

static const sheaf_p_key_t keys[] = {
    [KEYS] = {.name = "keys",
              .type = SHEAF_P_FILE,
              .required = 1,
              .manual = "A file with a line for each key: NAME SHA256HEX [routes=/a,/b/*] [ATTRIBUTE=VALUE]..."},
    [HEADER] = {.name = "header",
                .type = SHEAF_P_TEXT,
                .preset = "x-api-key",
                .manual = "The header that has the key."},
    [QUERY] = {.name = "query",
               .type = SHEAF_P_TEXT,
               .manual = "A query parameter that may have it, where the header is not there."},
    [REQUIRED] = {.name = "required",
                  .type = SHEAF_P_BOOL,
                  .preset = "true",
                  .manual = "false: who has no key passes, without identity; a wrong key is 401 all the same."},
    [ANONYMOUS_BATCH] = {.name = "anonymous_batch",
                         .type = SHEAF_P_BOOL,
                         .preset = "false",
                         .manual =
                             "true: a batch without a key is read, and each of its items must bring a key of its own."},
    [FORWARD] = {.name = "forward",
                 .type = SHEAF_P_BOOL,
                 .preset = "false",
                 .manual = "Whether backends get the key, in the header or in the url."},
    {.name = NULL},
};

enum { ACCEPTED, REFUSED, FORBIDDEN, ANONYMOUS };

static const sheaf_p_counter_t counters[] = {
    [ACCEPTED] = {.name = "accepted", .manual = "Requests and items whose key was good."},
    [REFUSED] = {.name = "refused", .manual = "Requests and items refused with 401."},
    [FORBIDDEN] = {.name = "forbidden", .manual = "Items refused with 403: the key is not for their route."},
    [ANONYMOUS] = {.name = "anonymous", .manual = "Requests and items that passed without a key."},
    {.name = NULL},
};

typedef struct keeper {
    const sheaf_p_api_t *api;
    sheaf_p_worker_t *worker;
    api_key_table_t *table;
    char header[SHOWN_NAME_MAX + 1], taken[SHOWN_NAME_MAX + sizeof(TAKEN)];
    char parameter[SHOWN_NAME_MAX + 1], taken_query[SHOWN_NAME_MAX + sizeof(TAKEN "?")];
    sheaf_p_str_t query;
    bool is_required, takes_anonymous_batch, is_forwarded;
    EVP_MD *digest;
    EVP_MD_CTX *ctx;
} keeper_t;

/* Who is asked about: a request, or an item and then its question too. */
typedef struct asker {
    sheaf_p_ref_t ref;
    bool is_item;
    enum { NO_KEY, SHOWN, BAD_FIELD, TAKEN_KEY } kind;
    sheaf_p_str_t shown;
    char plain[KEY_MAX]; /* of a query, without its percents */
} asker_t;

/* --- the key of a request, of an item --- */

/* True: the header is there, whatever is in it. */
static bool read_head(const keeper_t *self, asker_t *asker, sheaf_p_part_t part)
{
    sheaf_p_str_t second;

    if (!self->api->header(asker->ref, part, self->header, 0, &asker->shown))
        return false;
    asker->kind = self->api->header(asker->ref, part, self->header, 1, &second) ? BAD_FIELD : SHOWN;
    return true;
}

static int digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* What is no percent-encoding stays as it is; too long a value becomes a key that is none. */
static void decode(asker_t *asker, sheaf_p_str_t value)
{
    size_t len = 0;

    for (size_t i = 0; i < value.len && len < KEY_MAX; i++) {
        int high = value.base[i] == '%' && i + 2 < value.len ? digit_of(value.base[i + 1]) : -1;
        int low = high >= 0 ? digit_of(value.base[i + 2]) : -1;

        asker->plain[len++] = (char)(low >= 0 ? high << 4 | low : value.base[i]);
        i += low >= 0 ? 2 : 0;
    }
    asker->shown = sheaf_p_str(asker->plain, value.len <= KEY_MAX ? len : KEY_MAX + 1);
}

/* True: the parameter is there. Twice is one too many. */
static bool read_query(const keeper_t *self, asker_t *asker, sheaf_p_ref_t ref)
{
    sheaf_p_str_t query;
    uint32_t count = 0;

    if (self->query.len == 0 || !self->api->text(ref, SHEAF_P_QUERY, &query))
        return false;
    while (query.len > 0) {
        const char *end = memchr(query.base, '&', query.len);
        size_t len = end != NULL ? (size_t)(end - query.base) : query.len;

        if (len > self->query.len && query.base[self->query.len] == '=' &&
            memcmp(query.base, self->query.base, self->query.len) == 0) {
            decode(asker, sheaf_p_str(query.base + self->query.len + 1, len - self->query.len - 1));
            count++;
        }
        len += end != NULL;
        query = sheaf_p_str(query.base + len, query.len - len);
    }
    if (count > 0)
        asker->kind = count == 1 ? SHOWN : BAD_FIELD;
    return count > 0;
}

/* name      `taken` or `taken_query` */
static bool was_taken(const keeper_t *self, sheaf_p_ref_t item, const char *name, const char *whose)
{
    sheaf_p_str_t value;

    return self->api->get(item, name, &value) && value.len == strlen(whose) &&
           memcmp(value.base, whose, value.len) == 0;
}

/* A key in the header and one in the same url say two things, and a backend may believe the other one. */
static void refuse_second(const keeper_t *self, asker_t *asker)
{
    const sheaf_p_str_t shown = asker->shown;

    if (read_query(self, asker, asker->ref))
        asker->kind = BAD_FIELD;
    asker->shown = shown;
}

/* An item's: the header of its question, which is its own, else the envelope's, else the outer one; then its own query, then the
 * outer one. */
static void find_key(const keeper_t *self, asker_t *asker)
{
    sheaf_p_part_t part = asker->is_item ? SHEAF_P_QUESTION : SHEAF_P_CLIENT;

    if (read_head(self, asker, part)) {
        refuse_second(self, asker);
        return;
    }
    if (asker->is_item &&
        (was_taken(self, asker->ref, self->taken, OWN) || was_taken(self, asker->ref, self->taken_query, OWN))) {
        asker->kind = TAKEN_KEY;
        return;
    }
    if (asker->is_item && was_taken(self, asker->ref, self->taken, OUTER) && read_head(self, asker, SHEAF_P_CLIENT)) {
        refuse_second(self, asker);
        return;
    }
    if (!read_query(self, asker, asker->ref) && asker->is_item)
        read_query(self, asker, self->api->request_of(asker->ref));
}

static const api_key_t *look_up(const keeper_t *self, sheaf_p_str_t shown)
{
    uint8_t hash[API_KEY_HASH_LEN];
    unsigned len = API_KEY_HASH_LEN;
    const api_key_t *key = NULL;

    if (shown.len > 0 && shown.len <= KEY_MAX && EVP_DigestInit_ex(self->ctx, self->digest, NULL) &&
        EVP_DigestUpdate(self->ctx, shown.base, shown.len) && EVP_DigestFinal_ex(self->ctx, hash, &len))
        key = api_key_table_find(self->table, hash);
    OPENSSL_cleanse(hash, sizeof(hash));
    return key;
}

/* --- what a good one gives --- */

/* What shows already, as the request's mostly does for its items, is not set again. */
static bool set_attribute(const keeper_t *self, sheaf_p_ref_t ref, const char *name, sheaf_p_str_t value)
{
    sheaf_p_str_t shown = {"", 0};

    self->api->get(ref, name, &shown);
    if (shown.len == value.len && (value.len == 0 || memcmp(shown.base, value.base, value.len) == 0))
        return true;
    return self->api->set(ref, name, value) == 0;
}

/* All names of the table are set, to nothing where this key has none: an item has the identity of its own key, as a whole.
 * False: there is no room for one, so that the request's would show. */
static bool set_attributes(const keeper_t *self, const asker_t *asker, const api_key_t *key)
{
    sheaf_p_str_t values[API_KEY_ATTRIBUTES_MAX], nothing = sheaf_p_str("", 0);

    for (uint32_t i = 0; i < self->table->name_count; i++)
        values[i] = nothing;
    for (uint32_t i = 0; key != NULL && i < key->attribute_count; i++)
        values[key->attributes[i].name] = key->attributes[i].value;
    if (!set_attribute(self, asker->ref, CONSUMER, key != NULL ? key->name : nothing))
        return false;
    for (uint32_t i = 0; i < self->table->name_count; i++)
        if (!set_attribute(self, asker->ref, self->table->names[i], values[i]))
            return false;
    return true;
}

static void strip_query(const keeper_t *self, const asker_t *asker)
{
    if (self->query.len > 0 && self->api->query_remove(asker->ref, self->parameter) > 0)
        self->api->set(asker->ref, self->taken_query, sheaf_p_str(OWN, strlen(OWN)));
}

static void strip_header(const keeper_t *self, const asker_t *asker)
{
    sheaf_p_str_t own, outer = {NULL, 0};
    bool is_outers;

    if (!self->api->header(asker->ref, SHEAF_P_QUESTION, self->header, 0, &own))
        return;
    self->api->header(asker->ref, SHEAF_P_CLIENT, self->header, 0, &outer);
    is_outers = own.len == outer.len && CRYPTO_memcmp(own.base, outer.base, own.len) == 0;
    self->api->set(asker->ref, self->taken,
                   is_outers ? sheaf_p_str(OUTER, strlen(OUTER)) : sheaf_p_str(OWN, strlen(OWN)));
    self->api->header_remove(asker->ref, SHEAF_P_QUESTION, self->header);
}

/* key      NULL: nobody is known */
static sheaf_p_verdict_t grant(const keeper_t *self, const asker_t *asker, const api_key_t *key)
{
    if (!set_attributes(self, asker, key)) {
        self->api->problem(asker->ref, 500, "no-room-for-identity", "there are too many attributes");
        return SHEAF_P_ANSWER;
    }
    self->api->count(self->worker, key != NULL ? ACCEPTED : ANONYMOUS, 1);
    if (asker->is_item && !self->is_forwarded) {
        strip_header(self, asker);
        strip_query(self, asker);
    }
    return SHEAF_P_PASS;
}

/* --- the decision --- */

/* RFC 9110 15.5.2 wants a challenge; there is no registered scheme for keys, and this is the name in use. */
static sheaf_p_verdict_t refuse(const keeper_t *self, const asker_t *asker, const char *why)
{
    static const char challenge[] = "ApiKey realm=\"sheaf\"";

    self->api->count(self->worker, REFUSED, 1);
    self->api->problem(asker->ref, 401, asker->kind == NO_KEY ? "key-required" : "invalid-key", why);
    self->api->header_set(asker->ref, asker->is_item ? SHEAF_P_RESULT : SHEAF_P_REPLY, "www-authenticate",
                          sheaf_p_str(challenge, sizeof(challenge) - 1));
    return SHEAF_P_ANSWER;
}

static sheaf_p_verdict_t decide_anonymous(const keeper_t *self, const asker_t *asker)
{
    if (!asker->is_item && self->takes_anonymous_batch)
        return SHEAF_P_PASS;
    return self->is_required ? refuse(self, asker, "a key is required") : grant(self, asker, NULL);
}

/* The route is an item's: a batch has none, and a direct request is asked again as its item. */
static sheaf_p_verdict_t decide_known(const keeper_t *self, const asker_t *asker, const api_key_t *key)
{
    sheaf_p_str_t route = {"", 0};

    if (asker->is_item)
        self->api->text(asker->ref, SHEAF_P_ROUTE, &route);
    if (!asker->is_item || api_key_may(key, route))
        return grant(self, asker, key);
    self->api->count(self->worker, FORBIDDEN, 1);
    self->api->problem(asker->ref, 403, "key-not-for-route", "the key is not for this route");
    return SHEAF_P_ANSWER;
}

static sheaf_p_verdict_t decide(const keeper_t *self, asker_t *asker)
{
    const api_key_t *key;

    find_key(self, asker);
    if (asker->kind == NO_KEY)
        return decide_anonymous(self, asker);
    if (asker->kind == BAD_FIELD)
        return refuse(self, asker, "there is more than one key");
    if (asker->kind == TAKEN_KEY)
        return refuse(self, asker, "the key of the item was taken away by an instance before this one");
    key = look_up(self, asker->shown);
    return key != NULL ? decide_known(self, asker, key) : refuse(self, asker, "the key is not known");
}

static sheaf_p_verdict_t on_request(void *self, sheaf_p_ref_t request)
{
    asker_t asker = {.ref = request};

    return decide(self, &asker);
}

static sheaf_p_verdict_t on_item(void *self, sheaf_p_ref_t item)
{
    asker_t asker = {.ref = item, .is_item = true};

    return decide(self, &asker);
}

/* --- life --- */

static int refuse_value(sheaf_p_fail_t *fail, const char *key, const char *why)
{
    snprintf(fail->key, sizeof(fail->key), "%s", key);
    snprintf(fail->why, sizeof(fail->why), "%s", why);
    return -1;
}

/* Letters, digits and -_. make both a header's name and a parameter's that needs no encoding. */
static bool is_name(sheaf_p_str_t text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.base[i];
        bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');

        if (!is_plain && c != '-' && c != '_' && c != '.')
            return false;
    }
    return text.len > 0 && text.len <= SHOWN_NAME_MAX;
}

/* The table, freed by the caller; NULL and `fail`. */
static api_key_table_t *read_table(const sheaf_p_value_t *values, sheaf_p_fail_t *fail)
{
    const sheaf_p_value_t *file = &values[KEYS];
    api_key_table_t *table = NULL;
    uint32_t line = 0;
    const char *why = api_key_table_read(file->text.base != NULL ? file->text : sheaf_p_str("", 0), &table, &line);

    if (why == NULL)
        return table;
    refuse_value(fail, "keys", why);
    snprintf(fail->why, sizeof(fail->why), "line %u: %s", (unsigned)line, why);
    return NULL;
}

static int api_key_check(const sheaf_p_value_t *values, sheaf_p_fail_t *fail)
{
    api_key_table_t *table;

    if (!is_name(values[HEADER].text))
        return refuse_value(fail, "header", "it has letters, digits and -_. only, at most 64");
    if (values[QUERY].is_set && !is_name(values[QUERY].text))
        return refuse_value(fail, "query", "it has letters, digits and -_. only, at most 64");
    table = read_table(values, fail);
    api_key_table_free(table);
    return table != NULL ? 0 : -1;
}

static void api_key_close(void *data)
{
    keeper_t *self = data;

    api_key_table_free(self->table);
    EVP_MD_free(self->digest);
    EVP_MD_CTX_free(self->ctx);
    free(self);
}

static void *api_key_open(const sheaf_p_open_t *open, sheaf_p_fail_t *fail)
{
    const sheaf_p_value_t *values = open->values;
    keeper_t *self = calloc(1, sizeof(*self));

    if (self == NULL)
        return NULL;
    self->api = open->api;
    self->worker = open->worker;
    memcpy(self->header, values[HEADER].text.base, values[HEADER].text.len); /* bounded by api_key_check */
    snprintf(self->taken, sizeof(self->taken), TAKEN "%s", self->header);
    self->query = values[QUERY].is_set ? values[QUERY].text : sheaf_p_str(NULL, 0);
    memcpy(self->parameter, self->query.base != NULL ? self->query.base : "", self->query.len); /* bounded as well */
    snprintf(self->taken_query, sizeof(self->taken_query), TAKEN "?%s", self->parameter);
    self->is_required = values[REQUIRED].number != 0;
    self->takes_anonymous_batch = values[ANONYMOUS_BATCH].number != 0;
    self->is_forwarded = values[FORWARD].number != 0;
    self->digest = EVP_MD_fetch(NULL, "SHA256", NULL);
    self->ctx = EVP_MD_CTX_new();
    self->table = read_table(values, fail);
    if (self->digest != NULL && self->ctx != NULL && self->table != NULL)
        return self;
    api_key_close(self);
    return NULL;
}

static const char *lets_pass(const sheaf_p_value_t *values)
{
    return values[REQUIRED].number != 0 ? NULL : "who has no key (`required: false`)";
}

SHEAF_PLUGIN(api_key) = {
    .size = sizeof(sheaf_plugin_t),
    .abi_major = SHEAF_P_ABI_MAJOR,
    .abi_minor = 0,
    .name = "api_key",
    .version = "1.0",
    .manual = "Lets those pass who know a key and tells who they are.",
    .keys = keys,
    .counters = counters,
    .check = api_key_check,
    .open = api_key_open,
    .close = api_key_close,
    .on_request = on_request,
    .on_item = on_item,
    .lets_pass = lets_pass,
};
