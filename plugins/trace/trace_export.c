#include "plugins/trace/trace_export.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TRIES_MAX  4
#define AGAIN_MS   1000 /* the first time, then twice as long */
#define ANSWER_MAX 65536
#define FIELDS_MAX 16

static void export_now(trace_export_t *export);
static void send_document(trace_export_t *export);
static void on_answer(void *data, uint32_t status, const sheaf_p_field_t *fields, uint32_t field_count,
                      sheaf_p_str_t body, const char *error);
static void not_taken(trace_export_t *export, uint32_t status, const char *error);

/* --- time --- */

static void on_time(void *data)
{
    trace_export_t *export = data;

    export->has_timer = 0;
    if (export->document.base != NULL)
        send_document(export);
    else
        export_now(export);
}

static void wait_ms(trace_export_t *export, uint64_t ms)
{
    if (export->has_timer)
        export->api->timer_stop(export->worker, export->timer);
    export->has_timer = 1;
    export->timer = export->api->timer_start(export->worker, ms, on_time, export);
}

/* --- the document --- */

static void export_now(trace_export_t *export)
{
    uint32_t count = export->spans.count;

    if (count == 0 || export->document.base != NULL)
        return;
    export->document = trace_spans_take(&export->spans, export->service);
    if (export->document.base == NULL)
        return;
    export->document_spans = count;
    export->tries = 0;
    send_document(export);
}

static void send_document(trace_export_t *export)
{
    sheaf_p_field_t fields[FIELDS_MAX + 1] = {{{"content-type", 12}, {"application/json", 16}}};
    sheaf_p_request_t request = {.size = sizeof(request), .field_count = 1, .upstream = export->upstream};

    for (uint32_t i = 0; i + 1 < export->field_count && request.field_count <= FIELDS_MAX; i += 2)
        fields[request.field_count++] = (sheaf_p_field_t){export->fields[i], export->fields[i + 1]};
    request.method = sheaf_p_str("POST", 4);
    request.target = export->path;
    request.fields = fields;
    request.body = export->document;
    request.max_bytes = ANSWER_MAX;
    request.data = export;
    request.on_answer = on_answer;
    export->tries++;
    if (export->api->call(export->worker, &request).value == 0)
        not_taken(export, 0, "it could not be asked");
}

static void document_ended(trace_export_t *export, uint32_t counter)
{
    export->api->count(export->worker, counter, export->document_spans);
    free((char *)export->document.base);
    export->document = sheaf_p_str(NULL, 0);
    if (export->spans.count > 0)
        wait_ms(export, export->interval_ms);
}

static int is_passing(uint32_t status)
{
    return status == 0 || status == 429 || status == 502 || status == 503 || status == 504;
}

static void on_answer(void *data, uint32_t status, const sheaf_p_field_t *fields, uint32_t field_count,
                      sheaf_p_str_t body, const char *error)
{
    trace_export_t *export = data;

    (void)fields;
    (void)field_count;
    (void)body;
    if (status >= 200 && status < 300)
        document_ended(export, export->sent_counter);
    else
        not_taken(export, status, error == NULL ? "" : error);
}

static void not_taken(trace_export_t *export, uint32_t status, const char *error)
{
    char line[160];

    if (is_passing(status) && export->tries < TRIES_MAX) {
        wait_ms(export, (uint64_t)AGAIN_MS << (export->tries - 1));
        return;
    }
    snprintf(line, sizeof(line), "the collector took no spans: %u %s", status, error);
    export->api->log(export->worker, SHEAF_P_WARN, line);
    document_ended(export, export->dropped_counter);
}

/* --- spans --- */

void trace_export_wrote(trace_export_t *export, int has_room)
{
    if (!has_room)
        export->api->count(export->worker, export->dropped_counter, 1);
    if (export->document.base != NULL)
        return; /* under way: the next one goes when it has ended */
    if (export->spans.len > export->spans.size / 2)
        export_now(export);
    else if (!export->has_timer)
        wait_ms(export, export->interval_ms);
}

int trace_export_init(trace_export_t *export, size_t queue_bytes)
{
    return trace_spans_init(&export->spans, queue_bytes);
}

void trace_export_fini(trace_export_t *export)
{
    free((char *)export->document.base);
    trace_spans_fini(&export->spans);
}
