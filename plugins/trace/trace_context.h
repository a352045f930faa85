/* plugins/trace/trace_context.h - traceparent and tracestate (W3C Trace Context).
 *
 *   00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01
 *      trace id                         span id          flags: 1 is sampled
 *
 * Bytes and values, no host. Texts of ids are lower-case hex and not NUL-terminated. */
#ifndef SHEAF_PLUGINS_TRACE_CONTEXT_H
#define SHEAF_PLUGINS_TRACE_CONTEXT_H

#include "plugins/sheaf_plugin.h"

#define TRACE_PARENT_BYTES 55
#define TRACE_STATE_MAX    512 /* bytes of a tracestate; longer ones are dropped (3.3.1.5) */
#define TRACE_STATE_LIST   32  /* members */

typedef struct trace_context {
    char trace_id[32], span_id[16];
    int is_sampled;
} trace_context_t;

/* 1, or 0: not valid, and a trace begins here. Of later versions what version 00 knows is read (4.3). */
int trace_context_read(sheaf_p_str_t text, trace_context_t *ret_context);
void trace_context_write(const trace_context_t *context, char ret_text[TRACE_PARENT_BYTES]);
/* Could it be handed on? Keys and values as 3.3.1 wants them, not too many, not too long. 1 or 0. */
int trace_state_is_valid(sheaf_p_str_t text);

/* `bytes` twice as long in hex. */
void trace_hex(const uint8_t *bytes, size_t count, char *ret_text);
/* A decimal from 0 to 1 ("0.25", "1") as a share of 2^56; -1: it is none. */
int64_t trace_share_read(sheaf_p_str_t text);
/* By the random part of the trace id, so that every worker and every gateway decides alike. */
int trace_is_chosen(const char trace_id[32], int64_t share);

#endif
