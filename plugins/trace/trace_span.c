#include "plugins/trace/trace_span.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- bytes --- */

static void put(trace_spans_t *spans, const char *text, size_t len)
{
    if (spans->is_full || spans->size - spans->len < len) {
        spans->is_full = 1;
        return;
    }
    memcpy(spans->base + spans->len, text, len);
    spans->len += len;
}

static void put_c(trace_spans_t *spans, const char *text)
{
    put(spans, text, strlen(text));
}

/* Length of the UTF-8 character at `text`; 0: none (RFC 3629: no overlongs, no surrogates). */
static size_t utf8_len(const unsigned char *text, size_t left)
{
    size_t len = text[0] >= 0xf0 ? 4 : text[0] >= 0xe0 ? 3 : 2;

    if (text[0] < 0xc2 || text[0] > 0xf4 || left < len)
        return 0;
    for (size_t i = 1; i < len; i++)
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    if ((text[0] == 0xe0 && text[1] < 0xa0) || (text[0] == 0xed && text[1] > 0x9f) ||
        (text[0] == 0xf0 && text[1] < 0x90) || (text[0] == 0xf4 && text[1] > 0x8f))
        return 0;
    return len;
}

static size_t put_character(trace_spans_t *spans, const unsigned char *text, size_t left)
{
    char escape[8];
    size_t len = *text < 0x80 ? 1 : utf8_len(text, left);

    if (len == 0) {
        put_c(spans, "\xef\xbf\xbd");
        return 1;
    }
    if (*text < ' ' || *text == 0x7f) {
        snprintf(escape, sizeof(escape), "\\u%04x", *text);
        put_c(spans, escape);
    } else {
        if (*text == '"' || *text == '\\')
            put_c(spans, "\\");
        put(spans, (const char *)text, len);
    }
    return len;
}

static void put_inner(trace_spans_t *spans, sheaf_p_str_t text)
{
    const unsigned char *bytes = (const unsigned char *)text.base;
    size_t len = text.len > TRACE_TEXT_MAX ? TRACE_TEXT_MAX : text.len;

    for (size_t i = 0; i < len;)
        i += put_character(spans, bytes + i, len - i);
}

static void put_key(trace_spans_t *spans, const char *key, sheaf_p_str_t value)
{
    put_c(spans, key);
    put_inner(spans, value);
    put_c(spans, "\"");
}

static void put_time(trace_spans_t *spans, const char *key, uint64_t ns)
{
    char text[96];

    snprintf(text, sizeof(text), ",\"%s\":\"%llu\"", key, (unsigned long long)ns);
    put_c(spans, text);
}

/* --- spans --- */

int trace_spans_init(trace_spans_t *spans, size_t size)
{
    *spans = (trace_spans_t){.base = malloc(size), .size = size};
    return spans->base == NULL ? -1 : 0;
}

void trace_spans_fini(trace_spans_t *spans)
{
    free(spans->base);
}

void trace_span_begin(trace_spans_t *spans, const trace_span_t *span)
{
    char kind[32];

    spans->begun = spans->len;
    spans->is_full = 0;
    put_c(spans, spans->count > 0 ? "," : "");
    put_key(spans, "{\"traceId\":\"", sheaf_p_str(span->context.trace_id, 32));
    put_key(spans, ",\"spanId\":\"", sheaf_p_str(span->context.span_id, 16));
    if (span->parent.len > 0)
        put_key(spans, ",\"parentSpanId\":\"", span->parent);
    if (span->state.len > 0)
        put_key(spans, ",\"traceState\":\"", span->state);
    put_c(spans, ",\"name\":\"");
    put_inner(spans, span->method);
    put_c(spans, span->route.len > 0 ? " " : "");
    put_inner(spans, span->route);
    snprintf(kind, sizeof(kind), "\",\"kind\":%d", (int)span->kind);
    put_c(spans, kind);
    put_time(spans, "startTimeUnixNano", span->begun_ns);
    put_time(spans, "endTimeUnixNano", span->ended_ns);
    put_c(spans, span->is_error ? ",\"status\":{\"code\":2}" : ",\"status\":{}");
    put_c(spans, ",\"attributes\":[");
    trace_span_text(spans, "http.request.method", span->method);
}

static void put_attribute(trace_spans_t *spans, const char *key, const char *type)
{
    put_c(spans, spans->len > 0 && spans->base[spans->len - 1] == '[' ? "" : ",");
    put_c(spans, "{\"key\":\"");
    put_c(spans, key);
    put_c(spans, "\",\"value\":{\"");
    put_c(spans, type);
    put_c(spans, "\":\"");
}

void trace_span_text(trace_spans_t *spans, const char *key, sheaf_p_str_t value)
{
    if (value.len == 0)
        return;
    put_attribute(spans, key, "stringValue");
    put_inner(spans, value);
    put_c(spans, "\"}}");
}

/* A number of 64 bits is a text in OTLP's JSON, as in all JSON that protobuf defines. */
void trace_span_number(trace_spans_t *spans, const char *key, int64_t value)
{
    char text[24];

    snprintf(text, sizeof(text), "%lld", (long long)value);
    put_attribute(spans, key, "intValue");
    put_c(spans, text);
    put_c(spans, "\"}}");
}

int trace_span_end(trace_spans_t *spans)
{
    put_c(spans, "]}");
    if (spans->is_full)
        spans->len = spans->begun;
    else
        spans->count++;
    return !spans->is_full;
}

/* --- the document --- */

static const char head[] = "{\"resourceSpans\":[{\"resource\":{\"attributes\":[{\"key\":\"service.name\",\"value\":"
                           "{\"stringValue\":\"";
static const char middle[] =
    "\"}}]},\"scopeSpans\":[{\"scope\":{\"name\":\"sheaf.trace\",\"version\":\"1.0\"},\"spans\":[";
static const char tail[] = "]}]}]}";

sheaf_p_str_t trace_spans_take(trace_spans_t *spans, sheaf_p_str_t service)
{
    trace_spans_t document;

    if (trace_spans_init(&document, spans->len + sizeof(head) + sizeof(middle) + sizeof(tail) + 6 * TRACE_TEXT_MAX) !=
        0)
        return sheaf_p_str(NULL, 0);
    put_c(&document, head);
    put_inner(&document, service);
    put_c(&document, middle);
    put(&document, spans->base, spans->len);
    put_c(&document, tail);
    spans->len = 0;
    spans->count = 0;
    return sheaf_p_str(document.base, document.len);
}
