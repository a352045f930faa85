/* tests/plugins/host.h - Sheaf as a plugin sees it, in memory, for unit tests of plugins.
 *
 *   host_new -> host_set* -> host_open -> (host_request -> host_ask_* -> host_item -> ... -> host_done)* -> host_free
 *
 * Nothing happens by itself: a hook runs when a test asks it to, time moves in host_wind only, a call is answered by the test.
 * What a plugin borrows is freed when its hook returns, so that a sanitizer sees one that keeps it. A plugin that breaks the
 * contract (PASS after an answer, ANSWER without one, LATER from a hook that cannot wait) ends the test with a word why.
 *
 * Templates know the names of `sheaf_p_text_t` and `sheaf_p_number_t` in lower case (${client_ip}, ${status}), ${header.NAME} of
 * the client's request, question.NAME, result.NAME and reply.NAME of the other heads, and ${attr.NAME}. */
#ifndef SHEAF_TESTS_PLUGINS_HOST_H
#define SHEAF_TESTS_PLUGINS_HOST_H

#include "plugins/sheaf_plugin.h"

typedef struct sheaf_p_worker host_t;

/* --- life and configuration --- */

host_t *host_new(const sheaf_plugin_t *plugin);
/* Another worker of `first`, which is open and outlives it: the same values and shared memory, the next number. It is open. */
host_t *host_beside(host_t *first);
/* Closes; timers, watches and calls that are left are ended. */
void host_free(host_t *host);

/* Before host_open: a key by its way ("status", "reply.set", "limits[0].rate") and its text as in YAML. Items of a list of texts
 * or networks are parted by ", ", those of FIELDS by lines ("X-A: 1\nX-B: ${path}"); of a FILE the text is what it holds. */
void host_set(host_t *host, const char *key, const char *text);
/* Checks and opens: NULL, or why not ("key: why"), good until host_free. What is required must have been set. */
const char *host_open(host_t *host);
void *host_self(host_t *host);
const sheaf_p_api_t *host_api(void);

/* --- requests and items --- */

/* `target` is path and query. Facts that are not set: client and peer 192.0.2.1, scheme http, host gateway.example, endpoint
 * /batch, request id r1, r2, ... */
sheaf_p_ref_t host_request(host_t *host, const char *method, const char *target);
/* Direct: no endpoint, and its one item. */
sheaf_p_ref_t host_direct(host_t *host, const char *method, const char *target, sheaf_p_ref_t *ret_item);
/* The QUESTION of an item has its own fields only. */
sheaf_p_ref_t host_item(host_t *host, sheaf_p_ref_t request, const char *method, const char *target);
/* Adds a field, as the client, the item or the backend wrote it. */
void host_header(sheaf_p_ref_t ref, sheaf_p_part_t part, const char *name, const char *value);
void host_body(sheaf_p_ref_t ref, sheaf_p_part_t part, const char *text);
/* CLIENT_IP gives client_address too; NULL: not known. */
void host_fact(sheaf_p_ref_t ref, sheaf_p_text_t what, const char *text);
void host_number(sheaf_p_ref_t ref, sheaf_p_number_t what, int64_t number);
void host_attribute(sheaf_p_ref_t ref, const char *name, const char *value);

/* --- hooks; PASS where the plugin has none --- */

sheaf_p_verdict_t host_ask_request(sheaf_p_ref_t ref);
sheaf_p_verdict_t host_ask_batch(sheaf_p_ref_t ref);
sheaf_p_verdict_t host_ask_item(sheaf_p_ref_t ref);
/* An answer with `status` is here; fields of it come by host_header before. After an answer of the plugin: status 0. */
void host_result(sheaf_p_ref_t ref, uint32_t status);
/* The body of a direct answer that keep_body() was called for (host_kept) has passed, as host_body() said; or it was cut. Of an item
 * of a batch host_result tells it. */
void host_passed(sheaf_p_ref_t item, int is_whole);
/* The bound of keep_body(); -1: nobody asked. */
int64_t host_kept(sheaf_p_ref_t item);
/* Ends the request and its items: their handles are stale from here on. */
void host_done(sheaf_p_ref_t ref);

/* SIGUSR1. */
void host_reopen(host_t *host);

/* --- what came of it; texts are good until host_done, "" where there is none --- */

typedef struct host_outcome {
    int is_waiting, is_resumed, is_answered, faults; /* faults: answered twice, resumed without waiting */
    uint32_t status;
    const char *content_type, *body, *slug, *detail;
} host_outcome_t;

host_outcome_t host_outcome(sheaf_p_ref_t ref);
/* All of that name, joined by ", "; "" when there is none. */
const char *host_field(sheaf_p_ref_t ref, sheaf_p_part_t part, const char *name);
const char *host_attribute_of(sheaf_p_ref_t ref, const char *name);
uint64_t host_counted(host_t *host, const char *counter);
/* Everything logged since the last call, a line each, "warn ...". */
const char *host_logged(host_t *host);

/* --- time, descriptors, calls --- */

/* Runs what is due on the way, in order. */
void host_wind(host_t *host, uint64_t ms);
void host_wall(host_t *host, int64_t seconds);
uint32_t host_timers(host_t *host);
/* Waits for the watched descriptors and calls back; number of callbacks, 0 after `timeout_ms`. */
uint32_t host_poll(host_t *host, int timeout_ms);

uint32_t host_calls(host_t *host); /* not answered and not cancelled */
/* The oldest; NULL when there is none. Its texts are NUL-terminated. */
const sheaf_p_request_t *host_call(host_t *host);
const char *host_call_field(host_t *host, const char *name);
/* Answers the oldest; `fields` as FIELDS are written, or NULL; status 0: `body` is the error. */
void host_call_answer(host_t *host, uint32_t status, const char *fields, const char *body);

#endif
