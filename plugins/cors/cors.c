/* plugins/cors/cors.c - which pages of other origins may read the answers (Fetch, "CORS protocol").
 *
 *   OPTIONS with Origin and Access-Control-Request-Method --> 204 here, no backend is asked
 *   any other request --> fields of the answer to the client, whoever gives it: a batch, a backend, a refusal
 *
 * An origin is said back only when a pattern of the configuration names it. What is not allowed is not refused here: its page
 * cannot read the answer, and a client that is no browser never could be kept from it. */
#include "plugins/cors/cors_origin.h"
#include "plugins/cors/cors_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ORIGINS_MAX 256

enum { KEY_ORIGINS, KEY_METHODS, KEY_HEADERS, KEY_EXPOSE, KEY_CREDENTIALS, KEY_MAX_AGE };
enum { COUNTER_PREFLIGHTS, COUNTER_UNKNOWN };

typedef struct cors {
    const sheaf_p_api_t *api;
    sheaf_p_worker_t *worker;
    cors_pattern_t *patterns;
    uint32_t count;
    int is_any;            /* the answer is the same for all: nothing varies */
    int says_headers_back; /* headers: ["*"] */
    int has_credentials;
    char *methods, *headers, *expose, max_age[24]; /* as fields; expose NULL: none */
} cors_t;

static sheaf_p_str_t text_of(const char *text)
{
    return sheaf_p_str(text, strlen(text));
}

static void reply(const cors_t *self, sheaf_p_ref_t request, const char *name, sheaf_p_str_t value)
{
    self->api->header_set(request, SHEAF_P_REPLY, name, value);
}

/* 1: there is one. Several are none: a browser sends one. */
static int origin_of(const cors_t *self, sheaf_p_ref_t request, sheaf_p_str_t *ret_origin)
{
    sheaf_p_str_t second;

    if (!self->api->header(request, SHEAF_P_CLIENT, "origin", 0, ret_origin))
        return 0;
    return !self->api->header(request, SHEAF_P_CLIENT, "origin", 1, &second);
}

static int is_allowed(const cors_t *self, sheaf_p_str_t text)
{
    cors_origin_t origin;

    if (!cors_origin_read(text, &origin))
        return 0;
    for (uint32_t i = 0; i < self->count; i++)
        if (cors_pattern_matches(&self->patterns[i], &origin))
            return 1;
    return 0;
}

/* Writes whom the answer is for; 1: for this origin. The caches between must know that another origin gets another answer,
 * also when this one has none. */
static int write_origin(const cors_t *self, sheaf_p_ref_t request)
{
    sheaf_p_str_t origin;

    if (self->is_any) {
        reply(self, request, "access-control-allow-origin", text_of("*"));
        return 1;
    }
    self->api->header_add(request, SHEAF_P_REPLY, "vary", text_of("Origin"));
    if (!origin_of(self, request, &origin))
        return 0;
    if (!is_allowed(self, origin)) {
        self->api->count(self->worker, COUNTER_UNKNOWN, 1);
        return 0;
    }
    reply(self, request, "access-control-allow-origin", origin);
    if (self->has_credentials)
        reply(self, request, "access-control-allow-credentials", text_of("true"));
    return 1;
}

static int is_preflight(const cors_t *self, sheaf_p_ref_t request)
{
    sheaf_p_str_t text;

    return self->api->text(request, SHEAF_P_METHOD, &text) && text.len == 7 && memcmp(text.base, "OPTIONS", 7) == 0 &&
           self->api->header(request, SHEAF_P_CLIENT, "origin", 0, &text) &&
           self->api->header(request, SHEAF_P_CLIENT, "access-control-request-method", 0, &text);
}

static void allow_headers(const cors_t *self, sheaf_p_ref_t request)
{
    sheaf_p_str_t asked;

    if (!self->says_headers_back) {
        if (*self->headers != '\0')
            reply(self, request, "access-control-allow-headers", text_of(self->headers));
        return;
    }
    self->api->header_add(request, SHEAF_P_REPLY, "vary", text_of("Access-Control-Request-Headers"));
    if (self->api->header(request, SHEAF_P_CLIENT, "access-control-request-headers", 0, &asked) && cors_is_list(asked))
        reply(self, request, "access-control-allow-headers", asked);
}

static sheaf_p_verdict_t answer_preflight(const cors_t *self, sheaf_p_ref_t request)
{
    self->api->count(self->worker, COUNTER_PREFLIGHTS, 1);
    if (self->api->answer(request, 204, NULL, text_of("")) != 0)
        return SHEAF_P_ANSWER;
    if (!write_origin(self, request))
        return SHEAF_P_ANSWER;
    reply(self, request, "access-control-allow-methods", text_of(self->methods));
    allow_headers(self, request);
    reply(self, request, "access-control-max-age", text_of(self->max_age));
    return SHEAF_P_ANSWER;
}

static sheaf_p_verdict_t on_request(void *data, sheaf_p_ref_t request)
{
    const cors_t *self = data;

    if (is_preflight(self, request))
        return answer_preflight(self, request);
    if (write_origin(self, request) && self->expose != NULL)
        reply(self, request, "access-control-expose-headers", text_of(self->expose));
    return SHEAF_P_PASS;
}

/* A backend has no say in it: its fields would stand beside ours, and a browser refuses two. Those of an item stay: they are
 * data of its result and no browser looks at them. */
static void on_result(void *data, sheaf_p_ref_t item)
{
    static const char *const names[] = {"access-control-allow-origin",   "access-control-allow-credentials",
                                        "access-control-allow-methods",  "access-control-allow-headers",
                                        "access-control-expose-headers", "access-control-max-age"};
    const cors_t *self = data;
    int64_t is_direct;

    if (!self->api->number(item, SHEAF_P_IS_DIRECT, &is_direct) || !is_direct)
        return;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        self->api->header_remove(item, SHEAF_P_RESULT, names[i]);
}

/* --- configuration --- */

static const sheaf_p_key_t keys[] = {
    {.name = "origins",
     .type = SHEAF_P_TEXTS,
     .required = 1,
     .manual =
         "Origins whose pages may read answers: https://app.example, https://*.example.com, *.example.com (https), "
         "http://localhost:*, null, or * for any."},
    {.name = "methods",
     .type = SHEAF_P_TEXTS,
     .preset = "[GET, HEAD, POST, PUT, PATCH, DELETE]",
     .manual = "What a preflight allows."},
    {.name = "headers",
     .type = SHEAF_P_TEXTS,
     .preset = "[content-type]",
     .manual = "Names of request headers that a preflight allows; * allows those that it asks for."},
    {.name = "expose", .type = SHEAF_P_TEXTS, .manual = "Names of response headers that pages may read."},
    {.name = "credentials",
     .type = SHEAF_P_BOOL,
     .preset = "false",
     .manual = "Whether cookies and Authorization may come along. Not with origins * or null."},
    {.name = "max_age",
     .type = SHEAF_P_DURATION,
     .preset = "10m",
     .min = 0,
     .max = 86400000,
     .manual = "How long a browser may keep what a preflight said."},
    {.name = NULL},
};

static int refuse(sheaf_p_fail_t *fail, uint32_t key, sheaf_p_str_t what, const char *why)
{
    int len = what.len > 64 ? 64 : (int)what.len;

    snprintf(fail->key, sizeof(fail->key), "%s", keys[key].name);
    snprintf(fail->why, sizeof(fail->why), "%.*s %s", len, what.base == NULL ? "" : what.base, why);
    return -1;
}

static int check_origins(const sheaf_p_value_t *values, sheaf_p_fail_t *fail)
{
    const sheaf_p_value_t *origins = &values[KEY_ORIGINS];

    if (origins->count == 0 || origins->count > ORIGINS_MAX)
        return refuse(fail, KEY_ORIGINS, text_of("a list of"), "1 to 256 is needed");
    for (uint32_t i = 0; i < origins->count; i++) {
        cors_pattern_t pattern;
        const char *why = cors_pattern_read(origins->texts[i], &pattern);

        if (why != NULL)
            return refuse(fail, KEY_ORIGINS, origins->texts[i], why);
        if (values[KEY_CREDENTIALS].number && pattern.is_any)
            return refuse(fail, KEY_ORIGINS, origins->texts[i],
                          "with credentials would let every site act for its visitors");
        if (values[KEY_CREDENTIALS].number && pattern.origin.is_null)
            return refuse(fail, KEY_ORIGINS, origins->texts[i],
                          "with credentials: every site can make a frame of that origin");
    }
    return 0;
}

static int check_names(const sheaf_p_value_t *values, uint32_t key, int stars, sheaf_p_fail_t *fail)
{
    for (uint32_t i = 0; i < values[key].count; i++) {
        sheaf_p_str_t name = values[key].texts[i];

        if (!cors_is_token(name))
            return refuse(fail, key, name, "is no name");
        if (name.len == 1 && *name.base == '*' && !stars)
            return refuse(fail, key, name, "means nothing to a browser when credentials come along");
    }
    return 0;
}

static int check(const sheaf_p_value_t *values, sheaf_p_fail_t *fail)
{
    int stars = !values[KEY_CREDENTIALS].number;

    if (check_origins(values, fail) != 0 || check_names(values, KEY_METHODS, stars, fail) != 0 ||
        check_names(values, KEY_EXPOSE, stars, fail) != 0)
        return -1;
    return check_names(values, KEY_HEADERS, 1, fail);
}

static void close_one(void *data)
{
    cors_t *self = data;

    free(self->patterns);
    free(self->methods);
    free(self->headers);
    free(self->expose);
    free(self);
}

static int has_star(const sheaf_p_value_t *value)
{
    for (uint32_t i = 0; i < value->count; i++)
        if (value->texts[i].len == 1 && *value->texts[i].base == '*')
            return 1;
    return 0;
}

static int take(cors_t *self, const sheaf_p_value_t *values)
{
    const sheaf_p_value_t *origins = &values[KEY_ORIGINS], *expose = &values[KEY_EXPOSE];

    self->patterns = calloc(origins->count + 1, sizeof(*self->patterns));
    self->methods = cors_join(values[KEY_METHODS].texts, values[KEY_METHODS].count);
    self->headers = cors_join(values[KEY_HEADERS].texts, values[KEY_HEADERS].count);
    if (expose->count > 0)
        self->expose = cors_join(expose->texts, expose->count);
    if (self->patterns == NULL || self->methods == NULL || self->headers == NULL)
        return -1;
    for (uint32_t i = 0; i < origins->count; i++)
        if (cors_pattern_read(origins->texts[i], &self->patterns[self->count]) == NULL)
            self->count++;
    self->is_any = has_star(origins);
    self->says_headers_back = has_star(&values[KEY_HEADERS]);
    self->has_credentials = values[KEY_CREDENTIALS].number != 0;
    snprintf(self->max_age, sizeof(self->max_age), "%lld", (long long)(values[KEY_MAX_AGE].number / 1000));
    return expose->count > 0 && self->expose == NULL ? -1 : 0;
}

static void *open_one(const sheaf_p_open_t *open, sheaf_p_fail_t *fail)
{
    cors_t *self = calloc(1, sizeof(*self));

    if (self != NULL && take(self, open->values) == 0) {
        self->api = open->api;
        self->worker = open->worker;
        return self;
    }
    strcpy(fail->why, "no memory");
    if (self != NULL)
        close_one(self);
    return NULL;
}

static const sheaf_p_counter_t counters[] = {
    {"preflights", "Preflight requests that were answered."},
    {"unknown_origins", "Requests and preflights of origins that are not allowed."},
    {NULL, NULL},
};

SHEAF_PLUGIN(cors) = {
    .size = sizeof(sheaf_plugin_t),
    .abi_major = SHEAF_P_ABI_MAJOR,
    .name = "cors",
    .version = "1.0",
    .manual = "Lets pages of other origins read answers (CORS).",
    .keys = keys,
    .counters = counters,
    .check = check,
    .open = open_one,
    .close = close_one,
    .on_request = on_request,
    .on_result = on_result,
    .traits = SHEAF_P_GUARDS_NOTHING,
};
