/* tests/plugins/rogue/rogue.c - a plugin that does what the field x-rogue says: mostly what a plugin must not do. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plugins/sheaf_plugin.h"

enum { REFUSE, FIELD };

static const sheaf_p_key_t keys[] = {
    {.name = "refuse", .preset = "", .manual = "Whether open() or check() refuses."},
    {.name = "field", .preset = "x-rogue", .manual = "Which field of an item says what to do."},
    {.name = NULL},
};

enum { STALE, TOO_LATE };

static const sheaf_p_counter_t counters[] = {{"stale", "Late words that were recognised."},
                                             {"too_late", "Changes of the answer's head that were refused."},
                                             {NULL, NULL}};

typedef struct rogue {
    const sheaf_p_api_t *api;
    sheaf_p_worker_t *worker;
    _Atomic uint64_t *shared;
    const char *field;
} rogue_t;

/* A word that comes later. */
typedef struct later {
    rogue_t *self;
    sheaf_p_ref_t ref;
    char what[16];
} later_t;

static int is(const char *what, const char *word)
{
    return strcmp(what, word) == 0;
}

static void answer(const rogue_t *self, sheaf_p_ref_t ref, const char *text)
{
    self->api->answer(ref, 200, "text/plain", sheaf_p_str(text, strlen(text)));
}

static void on_time(void *data)
{
    later_t *later = data;
    const sheaf_p_api_t *api = later->self->api;

    if (is(later->what, "stale")) {
        api->count(later->self->worker, STALE,
                   api->resume(later->ref) == -1 && api->set(later->ref, "user", sheaf_p_str("x", 1)) == -1);
    } else if (is(later->what, "later-answer")) {
        answer(later->self, later->ref, "late");
        api->header_set(later->ref, SHEAF_P_RESULT, "x-late", sheaf_p_str("yes", 3));
        api->header_set(later->ref, SHEAF_P_REPLY, "x-late", sheaf_p_str("yes", 3));
    } else if (is(later->what, "strange-answer")) {
        answer(later->self, later->ref, "strange");
    } else if (is(later->what, "strange-change")) {
        api->header_set(later->ref, SHEAF_P_QUESTION, "x-strange", sheaf_p_str("yes", 3));
        api->body_set(later->ref, SHEAF_P_QUESTION, sheaf_p_str("[]", 2));
    } else {
        api->resume(later->ref);
        if (is(later->what, "resume-twice"))
            api->resume(later->ref);
        if (is(later->what, "answer-twice")) {
            answer(later->self, later->ref, "one");
            answer(later->self, later->ref, "two");
        }
    }
    free(later);
}

static void come_back(rogue_t *self, sheaf_p_ref_t ref, const char *what)
{
    later_t *later = calloc(1, sizeof(*later));

    if (later == NULL)
        abort();
    later->self = self;
    later->ref = ref;
    snprintf(later->what, sizeof(later->what), "%s", what);
    self->api->timer_start(self->worker, 20, on_time, later);
}

static sheaf_p_verdict_t count(const rogue_t *self, sheaf_p_ref_t ref)
{
    char text[32];

    snprintf(text, sizeof(text), "%llu", (unsigned long long)atomic_fetch_add(self->shared, 1) + 1);
    answer(self, ref, text);
    return SHEAF_P_ANSWER;
}

static sheaf_p_verdict_t mark(const rogue_t *self, sheaf_p_ref_t ref)
{
    self->api->header_set(ref, SHEAF_P_QUESTION, "x-mark", sheaf_p_str("made", 4));
    self->api->header_remove(ref, SHEAF_P_QUESTION, "authorization");
    self->api->header_set(ref, SHEAF_P_QUESTION, "x-forwarded-for", sheaf_p_str("6.6.6.6", 7)); /* is refused */
    self->api->header_set(ref, SHEAF_P_REPLY, "x-mark", sheaf_p_str("made", 4));
    return SHEAF_P_PASS;
}

/* Takes a field of the answer's head away, so many times. */
static sheaf_p_verdict_t change(const rogue_t *self, sheaf_p_ref_t ref, uint32_t times)
{
    for (uint32_t i = 0; i < times; i++)
        if (self->api->header_remove(ref, SHEAF_P_REPLY, "x-none") != 0)
            self->api->count(self->worker, TOO_LATE, 1);
    return SHEAF_P_PASS;
}

static sheaf_p_verdict_t obey(rogue_t *self, sheaf_p_ref_t ref, const char *what)
{
    if (is(what, "mark"))
        return mark(self, ref);
    if (is(what, "count"))
        return count(self, ref);
    if (is(what, "change"))
        return change(self, ref, 300);
    if (is(what, "twice"))
        answer(self, ref, "one");
    if (is(what, "twice") || is(what, "answer-and-pass"))
        answer(self, ref, "two");
    if (is(what, "stale") || strncmp(what, "strange", 7) == 0) /* it passes, and comes back to what another one holds */
        come_back(self, ref, what);
    if (is(what, "later") || is(what, "later-answer") || is(what, "resume-twice") || is(what, "answer-twice"))
        come_back(self, ref, what);
    if (is(what, "twice") || is(what, "none"))
        return SHEAF_P_ANSWER;
    if (is(what, "wrong"))
        return (sheaf_p_verdict_t)77;
    return is(what, "never") || strncmp(what, "later", 5) == 0 || is(what, "resume-twice") || is(what, "answer-twice")
               ? SHEAF_P_LATER
               : SHEAF_P_PASS;
}

static sheaf_p_verdict_t ask(void *data, sheaf_p_ref_t ref, sheaf_p_part_t part, const char *name)
{
    rogue_t *self = data;
    sheaf_p_str_t value;
    char what[32];

    if (!self->api->header(ref, part, name, 0, &value))
        return SHEAF_P_PASS;
    snprintf(what, sizeof(what), "%.*s", (int)value.len, value.base);
    return obey(self, ref, what);
}

static sheaf_p_verdict_t on_request(void *self, sheaf_p_ref_t request)
{
    return ask(self, request, SHEAF_P_CLIENT, "x-rogue-request");
}

static sheaf_p_verdict_t on_item(void *self, sheaf_p_ref_t item)
{
    const rogue_t *rogue = self;

    rogue->api->query_remove(item, "rogue");
    return ask(self, item, SHEAF_P_QUESTION, rogue->field);
}

static void on_result(void *data, sheaf_p_ref_t item)
{
    rogue_t *self = data;
    sheaf_p_str_t value;
    char name[64];

    snprintf(name, sizeof(name), "%s-result", self->field);
    if (!self->api->header(item, SHEAF_P_QUESTION, name, 0, &value))
        return;
    if (value.len > 4 && memcmp(value.base, "keep", 4) == 0) /* keepN: up to N bytes */
        self->api->header_set(item, SHEAF_P_RESULT, "x-kept",
                              self->api->keep_body(item, strtoull(value.base + 4, NULL, 10)) == 0
                                  ? sheaf_p_str("yes", 3)
                                  : sheaf_p_str("no", 2));
    if (value.len == 7 && memcmp(value.base, "replace", 7) == 0) {
        self->api->header_set(item, SHEAF_P_RESULT, "x-gone", sheaf_p_str("yes", 3));
        answer(self, item, "in its place");
        self->api->header_set(item, SHEAF_P_RESULT, "x-given", sheaf_p_str("yes", 3));
    }
}

/* What it has goes to the log, which is where a test can see it. */
static void on_body(void *data, sheaf_p_ref_t item)
{
    rogue_t *self = data;
    sheaf_p_str_t body, type;
    char text[160];
    int64_t status;
    int is_whole = self->api->body(item, SHEAF_P_RESULT, &body);

    self->api->number(item, SHEAF_P_STATUS, &status);
    self->api->header(item, SHEAF_P_RESULT, "content-type", 0, &type);
    snprintf(text, sizeof(text), "kept %s %zu bytes of %lld %.*s", is_whole ? "all" : "no", body.len, (long long)status,
             (int)type.len, type.base);
    self->api->log(self->worker, SHEAF_P_WARN, text);
    if (self->api->header_set(item, SHEAF_P_RESULT, "x-late", type) != -1 || self->api->keep_body(item, 1) != -1)
        self->api->log(self->worker, SHEAF_P_WARN, "too late is not too late");
}

static void on_done(void *data, sheaf_p_ref_t request)
{
    const rogue_t *self = data;
    sheaf_p_str_t value;

    if (self->api->header(request, SHEAF_P_CLIENT, "x-rogue-done", 0, &value))
        change(self, request, 1);
}

static int rogue_check(const sheaf_p_value_t *values, sheaf_p_fail_t *fail)
{
    if (!is(values[REFUSE].text.base, "check"))
        return 0;
    snprintf(fail->key, sizeof(fail->key), "refuse");
    snprintf(fail->why, sizeof(fail->why), "it was to refuse");
    return -1;
}

static uint64_t shared_bytes(const sheaf_p_value_t *values)
{
    (void)values;
    return sizeof(uint64_t);
}

static void *rogue_open(const sheaf_p_open_t *open, sheaf_p_fail_t *fail)
{
    rogue_t *self = calloc(1, sizeof(*self));

    if (self == NULL || is(open->values[REFUSE].text.base, "open")) {
        snprintf(fail->why, sizeof(fail->why), "it was to refuse");
        free(self);
        return NULL;
    }
    self->api = open->api;
    self->worker = open->worker;
    self->shared = open->shared;
    self->field = open->values[FIELD].text.base;
    return self;
}

SHEAF_PLUGIN(rogue) = {
    .size = sizeof(sheaf_plugin_t),
    .abi_major = SHEAF_P_ABI_MAJOR + ROGUE_MAJOR,
    .name = "rogue",
    .version = "1.0",
    .manual = "Breaks every rule.",
    .keys = keys,
    .counters = counters,
    .check = rogue_check,
    .shared_bytes = shared_bytes,
    .open = rogue_open,
    .close = free,
    .on_request = on_request,
    .on_item = on_item,
    .on_result = on_result,
    .on_body = on_body,
    .on_done = on_done,
};
