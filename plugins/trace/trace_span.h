/* plugins/trace/trace_span.h - spans as OTLP/HTTP JSON, in a buffer with an end.
 *
 *   begin -> trace_span_text|number* -> end        one object; what does not fit is taken back whole
 *
 * Texts become valid JSON whatever they hold: controls are escaped, what is no UTF-8 becomes U+FFFD, long ones are cut. */
#ifndef SHEAF_PLUGINS_TRACE_SPAN_H
#define SHEAF_PLUGINS_TRACE_SPAN_H

#include "plugins/trace/trace_context.h"

#define TRACE_TEXT_MAX 512 /* bytes of a text; the rest is cut off */

typedef struct trace_spans {
    char *base;
    size_t len, size, begun; /* begun: where the span that is being written starts */
    uint32_t count;
    int is_full; /* of that span */
} trace_spans_t;

typedef enum trace_kind {
    TRACE_SERVER = 2,
    TRACE_CLIENT = 3,
} trace_kind_t;

typedef struct trace_span {
    trace_context_t context;
    sheaf_p_str_t parent; /* 16 hex; len 0: none */
    sheaf_p_str_t state;
    sheaf_p_str_t method, route; /* its name */
    trace_kind_t kind;
    uint64_t begun_ns, ended_ns; /* since 1970 */
    int is_error;
} trace_span_t;

/* 0 or -1: no memory. */
int trace_spans_init(trace_spans_t *spans, size_t size);
void trace_spans_fini(trace_spans_t *spans);

void trace_span_begin(trace_spans_t *spans, const trace_span_t *span);
/* An attribute; an empty text is left out. */
void trace_span_text(trace_spans_t *spans, const char *key, sheaf_p_str_t value);
void trace_span_number(trace_spans_t *spans, const char *key, int64_t value);
/* 1: it is in; 0: there was no room. */
int trace_span_end(trace_spans_t *spans);

/* The whole document of all spans on the heap, and `spans` is empty; base NULL: no memory, and they stay. */
sheaf_p_str_t trace_spans_take(trace_spans_t *spans, sheaf_p_str_t service);

#endif
