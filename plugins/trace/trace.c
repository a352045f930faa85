/* plugins/trace/trace.c - a trace for every request: a span for itself, one for each of its items.
 *
 *   traceparent of the client --> span of the request --> span of each item --> traceparent to its backend
 *
 * What is known of a trace lies in attributes: of the request its trace and span, of an item its own span. So other plugins and
 * logs can name it, and nothing has to be freed here. */
#include "plugins/trace/trace_export.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TRACE_ID "trace_id"
#define SPAN_ID  "span_id"
#define SAMPLED  "trace_sampled"
#define PARENT   "trace_parent"
#define STATE    "trace_state"

enum { KEY_UPSTREAM, KEY_PATH, KEY_FIELDS, KEY_SERVICE, KEY_RATIO, KEY_ACCEPT, KEY_FOLLOW, KEY_INTERVAL, KEY_QUEUE };
enum { COUNTER_SENT, COUNTER_DROPPED };

typedef struct trace {
    const sheaf_p_api_t *api;
    int64_t share;
    int accepts, follows, has_export;
    trace_export_t export;
} trace_t;

/* --- a trace begins, or goes on --- */

static void new_id(const trace_t *self, char *ret_text, size_t bytes)
{
    uint8_t random[16];

    self->api->random(random, bytes);
    random[bytes - 1] |= 1; /* never all zero */
    trace_hex(random, bytes, ret_text);
}

static sheaf_p_str_t field(const trace_t *self, sheaf_p_ref_t ref, const char *name)
{
    sheaf_p_str_t value, second;

    if (!self->api->header(ref, SHEAF_P_CLIENT, name, 0, &value) ||
        self->api->header(ref, SHEAF_P_CLIENT, name, 1, &second))
        return sheaf_p_str("", 0);
    return value;
}

static void begin(const trace_t *self, sheaf_p_ref_t request)
{
    trace_context_t context = {.is_sampled = 0};
    int goes_on = self->accepts && trace_context_read(field(self, request, "traceparent"), &context);
    sheaf_p_str_t state = goes_on ? field(self, request, "tracestate") : sheaf_p_str("", 0);

    if (goes_on)
        self->api->set(request, PARENT, sheaf_p_str(context.span_id, 16));
    else
        new_id(self, context.trace_id, 16);
    if (!goes_on || !self->follows)
        context.is_sampled = trace_is_chosen(context.trace_id, self->share);
    new_id(self, context.span_id, 8);
    self->api->set(request, TRACE_ID, sheaf_p_str(context.trace_id, 32));
    self->api->set(request, SPAN_ID, sheaf_p_str(context.span_id, 16));
    self->api->set(request, SAMPLED, sheaf_p_str(context.is_sampled ? "1" : "0", 1));
    if (trace_state_is_valid(state))
        self->api->set(request, STATE, state);
}

/* 1, or 0: it has none. */
static int context_of(const trace_t *self, sheaf_p_ref_t ref, trace_context_t *ret_context)
{
    sheaf_p_str_t trace, span, sampled;

    if (!self->api->get(ref, TRACE_ID, &trace) || !self->api->get(ref, SPAN_ID, &span) ||
        !self->api->get(ref, SAMPLED, &sampled) || trace.len != 32 || span.len != 16 || sampled.len != 1)
        return 0;
    memcpy(ret_context->trace_id, trace.base, 32);
    memcpy(ret_context->span_id, span.base, 16);
    ret_context->is_sampled = *sampled.base == '1';
    return 1;
}

static sheaf_p_verdict_t on_request(void *data, sheaf_p_ref_t request)
{
    begin(data, request);
    return SHEAF_P_PASS;
}

static sheaf_p_verdict_t on_item(void *data, sheaf_p_ref_t item)
{
    const trace_t *self = data;
    trace_context_t context;
    char text[TRACE_PARENT_BYTES];
    sheaf_p_str_t state;

    /* on a route the request was not asked for */
    if (!context_of(self, self->api->request_of(item), &context)) {
        begin(self, self->api->request_of(item));
        if (!context_of(self, self->api->request_of(item), &context))
            return SHEAF_P_PASS;
    }
    new_id(self, context.span_id, 8);
    self->api->set(item, SPAN_ID, sheaf_p_str(context.span_id, 16));
    trace_context_write(&context, text);
    self->api->header_set(item, SHEAF_P_QUESTION, "traceparent", sheaf_p_str(text, sizeof(text)));
    if (self->api->get(item, STATE, &state))
        self->api->header_set(item, SHEAF_P_QUESTION, "tracestate", state);
    else
        self->api->header_remove(item, SHEAF_P_QUESTION, "tracestate");
    return SHEAF_P_PASS;
}

/* --- a span ends --- */

static sheaf_p_str_t text_of(const trace_t *self, sheaf_p_ref_t ref, sheaf_p_text_t what)
{
    sheaf_p_str_t text;

    return self->api->text(ref, what, &text) ? text : sheaf_p_str("", 0);
}

static int64_t number_of(const trace_t *self, sheaf_p_ref_t ref, sheaf_p_number_t what)
{
    int64_t number;

    return self->api->number(ref, what, &number) ? number : 0;
}

static void set_times(const trace_t *self, sheaf_p_ref_t ref, trace_span_t *span)
{
    struct timespec now;
    int64_t elapsed = number_of(self, ref, SHEAF_P_ELAPSED_US);

    clock_gettime(CLOCK_REALTIME, &now);
    span->ended_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    span->begun_ns = span->ended_ns - (uint64_t)(elapsed < 0 ? 0 : elapsed) * 1000u;
}

static void write_facts(trace_t *self, sheaf_p_ref_t ref, int64_t status)
{
    trace_spans_t *spans = &self->export.spans;

    trace_span_text(spans, "url.path", text_of(self, ref, SHEAF_P_PATH));
    trace_span_text(spans, "error.type", text_of(self, ref, SHEAF_P_ERROR));
    trace_span_text(spans, "sheaf.request.id", text_of(self, ref, SHEAF_P_REQUEST_ID));
    if (status > 0)
        trace_span_number(spans, "http.response.status_code", status);
}

static void on_result(void *data, sheaf_p_ref_t item)
{
    trace_t *self = data;
    trace_spans_t *spans = &self->export.spans;
    int64_t status = number_of(self, item, SHEAF_P_STATUS);
    trace_span_t span = {.kind = TRACE_CLIENT, .is_error = status == 0 || status >= 400};
    trace_context_t outer;

    if (!self->has_export || !context_of(self, item, &span.context) || !span.context.is_sampled ||
        !context_of(self, self->api->request_of(item), &outer))
        return;
    if (memcmp(outer.span_id, span.context.span_id, 16) == 0)
        return; /* never came to on_item: refused before, or its blocker failed */
    span.parent = sheaf_p_str(outer.span_id, 16);
    self->api->get(item, STATE, &span.state);
    span.method = text_of(self, item, SHEAF_P_METHOD);
    span.route = text_of(self, item, SHEAF_P_ROUTE);
    set_times(self, item, &span);
    trace_span_begin(spans, &span);
    write_facts(self, item, status);
    trace_span_text(spans, "http.route", span.route);
    trace_span_text(spans, "server.address", text_of(self, item, SHEAF_P_UPSTREAM_NAME));
    trace_span_text(spans, "sheaf.item.id", text_of(self, item, SHEAF_P_ITEM_ID));
    trace_span_number(spans, "sheaf.item.index", number_of(self, item, SHEAF_P_INDEX));
    trace_export_wrote(&self->export, trace_span_end(spans));
}

static void on_done(void *data, sheaf_p_ref_t request)
{
    trace_t *self = data;
    trace_spans_t *spans = &self->export.spans;
    int64_t status = number_of(self, request, SHEAF_P_STATUS);
    trace_span_t span = {.kind = TRACE_SERVER, .is_error = status >= 500};

    if (!self->has_export || !context_of(self, request, &span.context) || !span.context.is_sampled)
        return;
    self->api->get(request, PARENT, &span.parent);
    self->api->get(request, STATE, &span.state);
    span.method = text_of(self, request, SHEAF_P_METHOD);
    span.route = text_of(self, request, SHEAF_P_ENDPOINT);
    set_times(self, request, &span);
    trace_span_begin(spans, &span);
    write_facts(self, request, status);
    trace_span_text(spans, "client.address", text_of(self, request, SHEAF_P_CLIENT_IP));
    trace_span_text(spans, "url.scheme", text_of(self, request, SHEAF_P_SCHEME));
    trace_span_number(spans, "sheaf.items", number_of(self, request, SHEAF_P_ITEMS));
    trace_export_wrote(&self->export, trace_span_end(spans));
}

/* --- configuration --- */

static int check(const sheaf_p_value_t *values, sheaf_p_fail_t *fail)
{
    const sheaf_p_str_t path = values[KEY_PATH].text;

    if (trace_share_read(values[KEY_RATIO].text) < 0) {
        strcpy(fail->key, "ratio");
        strcpy(fail->why, "is no number from 0 to 1, such as 0.05");
        return -1;
    }
    if (path.len == 0 || *path.base != '/') {
        strcpy(fail->key, "path");
        strcpy(fail->why, "does not begin with a slash");
        return -1;
    }
    return 0;
}

static int take_export(trace_t *self, const sheaf_p_open_t *open)
{
    const sheaf_p_value_t *values = open->values;
    trace_export_t *export = &self->export;

    export->api = open->api;
    export->worker = open->worker;
    export->service = values[KEY_SERVICE].text;
    export->path = values[KEY_PATH].text;
    export->fields = values[KEY_FIELDS].texts;
    export->field_count = values[KEY_FIELDS].count;
    export->upstream = values[KEY_UPSTREAM].number;
    export->interval_ms = (uint64_t)values[KEY_INTERVAL].number;
    export->sent_counter = COUNTER_SENT;
    export->dropped_counter = COUNTER_DROPPED;
    return trace_export_init(export, (size_t)values[KEY_QUEUE].number);
}

static void *open_one(const sheaf_p_open_t *open, sheaf_p_fail_t *fail)
{
    trace_t *self = calloc(1, sizeof(*self));

    if (self == NULL || (open->values[KEY_UPSTREAM].is_set && take_export(self, open) != 0)) {
        free(self);
        strcpy(fail->why, "no memory");
        return NULL;
    }
    self->api = open->api;
    self->has_export = open->values[KEY_UPSTREAM].is_set != 0;
    self->share = trace_share_read(open->values[KEY_RATIO].text);
    self->accepts = open->values[KEY_ACCEPT].number != 0;
    self->follows = open->values[KEY_FOLLOW].number != 0;
    return self;
}

static void close_one(void *data)
{
    trace_t *self = data;

    trace_export_fini(&self->export);
    free(self);
}

static const sheaf_p_key_t keys[] = {
    {.name = "upstream",
     .type = SHEAF_P_UPSTREAM,
     .manual = "The collector's. Without one no span is exported, but traces are handed on."},
    {.name = "path",
     .type = SHEAF_P_TEXT,
     .preset = "/v1/traces",
     .manual = "Where the collector takes OTLP/HTTP JSON."},
    {.name = "fields", .type = SHEAF_P_FIELDS, .manual = "Header fields for the collector, as they are; at most 16."},
    {.name = "service", .type = SHEAF_P_TEXT, .preset = "sheaf", .manual = "service.name of the spans."},
    {.name = "ratio",
     .type = SHEAF_P_TEXT,
     .preset = "1",
     .manual = "Share of the traces that begin here which are sampled, 0 to 1."},
    {.name = "accept",
     .type = SHEAF_P_BOOL,
     .preset = "true",
     .manual = "Whether a client's trace goes on; false: every request begins one."},
    {.name = "follow_parent",
     .type = SHEAF_P_BOOL,
     .preset = "true",
     .manual = "Whether a trace that goes on is sampled as its client says; false: as ratio says."},
    {.name = "interval",
     .type = SHEAF_P_DURATION,
     .preset = "5s",
     .min = 100,
     .max = 600000,
     .manual = "How long spans are gathered before they are sent."},
    {.name = "queue",
     .type = SHEAF_P_SIZE,
     .preset = "1MiB",
     .min = 65536,
     .max = 16777216,
     .manual = "Bytes of spans that wait, in each worker; what has no room is dropped."},
    {.name = NULL},
};

static const sheaf_p_counter_t counters[] = {
    {"sent", "Spans that the collector took."},
    {"dropped", "Spans that had no room or that the collector did not take."},
    {NULL, NULL},
};

SHEAF_PLUGIN(trace) = {
    .size = sizeof(sheaf_plugin_t),
    .abi_major = SHEAF_P_ABI_MAJOR,
    .name = "trace",
    .version = "1.0",
    .manual = "Hands W3C traces on and exports a span for each request and each of its items.",
    .keys = keys,
    .counters = counters,
    .check = check,
    .open = open_one,
    .close = close_one,
    .on_request = on_request,
    .on_item = on_item,
    .on_result = on_result,
    .on_done = on_done,
    .traits = SHEAF_P_GUARDS_NOTHING,
};
