/* plugins/trace/trace_export.h - spans on their way to a collector, through an upstream, one document at a time.
 *
 *   spans --interval, or half full--> document --200--> gone
 *                                        |  ^-- 429, 502, 503, 504 or no answer: again, later, a few times
 *                                        \--any other answer, or too often--> dropped
 *
 * Spans are gathered while a document is under way; what there is no room for is dropped and counted. */
#ifndef SHEAF_PLUGINS_TRACE_EXPORT_H
#define SHEAF_PLUGINS_TRACE_EXPORT_H

#include "plugins/trace/trace_span.h"

typedef struct trace_export {
    const sheaf_p_api_t *api;
    sheaf_p_worker_t *worker;
    trace_spans_t spans;
    sheaf_p_str_t service, path;
    const sheaf_p_str_t *fields; /* name and value in turns */
    uint32_t field_count;
    int64_t upstream;
    uint64_t interval_ms;
    sheaf_p_str_t document; /* under way; base NULL: none */
    uint32_t document_spans, tries;
    sheaf_p_timer_t timer;
    int has_timer;
    uint32_t sent_counter, dropped_counter;
} trace_export_t;

/* The fields above up to interval_ms and the counters are set; 0 or -1: no memory. */
int trace_export_init(trace_export_t *export, size_t queue_bytes);
void trace_export_fini(trace_export_t *export);

/* A span has been written into `spans`, or had no room there. */
void trace_export_wrote(trace_export_t *export, int has_room);

#endif
