/* run/plugapi.c - the table of functions that plugins are given: attributes, answers, counters, log. */
#include <inttypes.h>
#include <stdio.h>
#include <sys/random.h>
#include <time.h>

#include "config/plugin_text.h"
#include "gateway/base/log.h"
#include "gateway/batch/forwarded.h"
#include "gateway/http/problem.h"
#include "gateway/http/query.h"
#include "gateway/run/plughost_inside.h"

/* --- questions --- */

static int api_query_remove(sheaf_p_ref_t ref, const char *name)
{
    sheaf_guest_t *guest = sheaf_guest_of(ref);
    sheaf_str_t *target;

    if (guest == NULL || guest->item == NULL || guest->stage != SHEAF_STAGE_ITEM || !sheaf_guest_is_open(guest) ||
        name == NULL)
        return -1;
    target = &guest->item->exchange.target;
    return (int)sheaf_query_drop(*target, sheaf_str_of(name), guest->item->pool, target);
}

static sheaf_p_ref_t api_request_of(sheaf_p_ref_t ref)
{
    const sheaf_guest_t *guest = sheaf_guest_of(ref);

    if (guest == NULL)
        return (sheaf_p_ref_t){0};
    return guest->request != NULL ? guest->request->ref : guest->ref;
}

/* --- attributes --- */

static bool is_attribute(const char *name)
{
    size_t len = name == NULL ? 0 : strlen(name);

    return len > 0 && len <= 128 && sheaf_header_name_is_valid(sheaf_str(name, len));
}

static sheaf_header_t *find_attribute(const sheaf_guest_t *guest, const char *name)
{
    for (uint32_t i = 0; i < guest->attributes.count; i++)
        if (sheaf_str_eq(guest->attributes.entries[i].name, sheaf_str_of(name)))
            return &guest->attributes.entries[i];
    return NULL;
}

static int api_set(sheaf_p_ref_t ref, const char *name, sheaf_p_str_t value)
{
    sheaf_guest_t *guest = sheaf_guest_of(ref);
    sheaf_header_t *entry;
    sheaf_pool_t *pool;
    sheaf_str_t copy;

    if (guest == NULL || !is_attribute(name) || value.len > SHEAF_PLUG_VALUE_MAX)
        return -1;
    pool = sheaf_guest_pool(guest);
    entry = find_attribute(guest, name);
    if (entry == NULL && guest->attributes.count >= SHEAF_PLUG_ATTRIBUTES_MAX)
        return -1;
    copy = sheaf_pool_dup(pool, sheaf_str(value.base, value.len));
    if (entry != NULL)
        entry->value = copy;
    else
        sheaf_headers_add(&guest->attributes, pool, sheaf_pool_dup(pool, sheaf_str_of(name)), copy);
    return 0;
}

static int api_get(sheaf_p_ref_t ref, const char *name, sheaf_p_str_t *ret_value)
{
    const sheaf_guest_t *guest = sheaf_guest_of(ref);
    const sheaf_header_t *entry;

    *ret_value = sheaf_p_str("", 0);
    if (guest == NULL || !is_attribute(name))
        return 0;
    entry = find_attribute(guest, name);
    if (entry == NULL && guest->request != NULL)
        entry = find_attribute(guest->request, name);
    if (entry == NULL)
        return 0;
    *ret_value = sheaf_plug_str(entry->value);
    return 1;
}

/* --- templates --- */

static int piece_text(sheaf_p_ref_t ref, const sheaf_piece_t *piece, sheaf_p_str_t *ret_text)
{
    int64_t number;
    char *name;

    switch (piece->kind) {
    case SHEAF_PIECE_LITERAL:
        *ret_text = sheaf_plug_str(piece->text);
        return 1;
    case SHEAF_PIECE_TEXT:
        return sheaf_plugfacts_text(ref, (sheaf_p_text_t)piece->what, ret_text);
    case SHEAF_PIECE_NUMBER:
        if (!sheaf_plugfacts_number(ref, (sheaf_p_number_t)piece->what, &number))
            return 0;
        *ret_text = sheaf_plug_str(sheaf_pool_printf(sheaf_plug_scratch(), "%" PRId64, number));
        return 1;
    case SHEAF_PIECE_HEADER:
        name = sheaf_pool_cstr(sheaf_plug_scratch(), piece->text);
        return sheaf_plughead_get(ref, (sheaf_p_part_t)piece->what, name, 0, ret_text);
    case SHEAF_PIECE_ATTRIBUTE:
        /* one that was set to nothing covers what its request has of it: nobody is logged in */
        return api_get(ref, sheaf_pool_cstr(sheaf_plug_scratch(), piece->text), ret_text) && ret_text->len > 0;
    }
    return 0;
}

static int api_expand(sheaf_p_ref_t ref, sheaf_p_str_t text, sheaf_p_str_t *ret_text)
{
    sheaf_str_t rest = sheaf_str(text.base, text.len), all = SHEAF_STR("");
    sheaf_piece_t piece;
    sheaf_fail_t fail;
    sheaf_p_str_t part;

    *ret_text = sheaf_p_str("", 0);
    if (sheaf_guest_of(ref) == NULL)
        return 0;
    while (sheaf_plugin_text_next(&rest, &piece, &fail)) {
        if (!piece_text(ref, &piece, &part))
            return 0;
        all = all.len == 0
                  ? sheaf_str(part.base, part.len)
                  : sheaf_pool_printf(sheaf_plug_scratch(), "%.*s%.*s", SHEAF_STR_ARG(all), (int)part.len, part.base);
    }
    *ret_text = sheaf_plug_str(all);
    return rest.len == 0;
}

/* --- answers --- */

static const sheaf_p_worker_t *speaker_of(const sheaf_guest_t *guest)
{
    const sheaf_p_worker_t *current = guest->guests->host->current;

    return current != NULL ? current : guest->asker;
}

/* A stranger is named, and does not spoil what another one holds. */
static int answer_fault(sheaf_guest_t *guest, const char *what)
{
    sheaf_plug_fault(speaker_of(guest), what);
    if (sheaf_guest_is_open(guest))
        guest->is_faulty = true;
    return -1;
}

static int give(sheaf_guest_t *guest, uint32_t status, sheaf_str_t type, sheaf_str_t body)
{
    sheaf_pool_t *pool = sheaf_guest_pool(guest);

    if (!sheaf_guest_is_open(guest) && !guest->is_told)
        return answer_fault(guest, guest->is_waiting ? "it answered what another plugin holds"
                                   : guest->is_given ? "it answered twice"
                                                     : "it answered when it was too late");
    if (guest->is_given)
        return answer_fault(guest, "it answered twice");
    if (status < 200 || status > 599 || body.len > SHEAF_PLUG_ANSWER_MAX ||
        (type.base != NULL && !sheaf_header_value_is_valid(type)))
        return answer_fault(guest, "its answer is none");
    guest->given.status = (uint16_t)status;
    guest->given.content_type = type.base == NULL ? SHEAF_STR_NONE : sheaf_pool_dup(pool, type);
    guest->given.body = sheaf_pool_dup(pool, body);
    guest->is_given = true;
    if (guest->is_waiting)
        sheaf_plugask_go_on(guest);
    return 0;
}

static int api_answer(sheaf_p_ref_t ref, uint32_t status, const char *content_type, sheaf_p_str_t body)
{
    sheaf_guest_t *guest = sheaf_guest_of(ref);
    bool has_type = content_type != NULL && content_type[0] != '\0';

    if (guest == NULL)
        return -1;
    return give(guest, status, has_type ? sheaf_str_of(content_type) : SHEAF_STR_NONE, sheaf_str(body.base, body.len));
}

static int api_problem(sheaf_p_ref_t ref, uint32_t status, const char *slug, const char *detail)
{
    sheaf_guest_t *guest = sheaf_guest_of(ref);
    char text[SHEAF_PROBLEM_MAX];
    size_t len;

    if (guest == NULL)
        return -1;
    len = sheaf_problem_write_own(status, slug != NULL ? slug : "plugin", detail != NULL ? detail : "", text);
    return give(guest, status, SHEAF_STR(SHEAF_PROBLEM_MEDIA), sheaf_str(text, len));
}

static int api_resume(sheaf_p_ref_t ref)
{
    sheaf_guest_t *guest = sheaf_guest_of(ref);

    if (guest == NULL)
        return -1; /* it has ended: late words are normal */
    if (guest->is_waiting && !sheaf_guest_is_open(guest))
        return answer_fault(guest, "it resumed what another plugin holds");
    if (guest->is_given)
        return 0;
    if (!sheaf_guest_is_open(guest) || guest->is_resumed)
        return answer_fault(guest, guest->is_resumed ? "it resumed twice" : "it resumed what did not wait");
    guest->is_resumed = true;
    if (guest->is_waiting)
        sheaf_plugask_go_on(guest);
    return 0;
}

/* --- the worker --- */

static uint64_t api_now_ms(sheaf_p_worker_t *worker)
{
    return worker->guests->host->env.clock->now_ms;
}

static int64_t api_wall_s(sheaf_p_worker_t *worker)
{
    (void)worker;
    return (int64_t)time(NULL);
}

static void api_count(sheaf_p_worker_t *worker, uint32_t counter, uint64_t n)
{
    sheaf_plugcount_add(worker, counter, n);
}

static void api_log(sheaf_p_worker_t *worker, sheaf_p_level_t level, const char *text)
{
    static const sheaf_log_severity_t levels[] = {SHEAF_LOG_DEBUG, SHEAF_LOG_INFO, SHEAF_LOG_WARN, SHEAF_LOG_ERROR};
    sheaf_log_line_t line;

    sheaf_log_begin(&line, (uint32_t)level < SHEAF_COUNT(levels) ? levels[level] : SHEAF_LOG_ERROR, "plugin");
    if (!line.is_on)
        return;
    sheaf_log_str(&line, "plugin", worker->conf->name);
    sheaf_log_str(&line, "message", sheaf_str_of(text));
    sheaf_log_end(&line);
}

static void api_random(void *dst, size_t len)
{
    char *at = dst;

    while (len > 0) {
        ssize_t got = getrandom(at, len, 0);

        if (got < 0)
            continue; /* a signal came */
        at += got;
        len -= (size_t)got;
    }
}

const sheaf_p_api_t sheaf_plugapi = {
    .size = sizeof(sheaf_p_api_t),
    .major = SHEAF_P_ABI_MAJOR,
    .minor = SHEAF_P_ABI_MINOR,
    .header = sheaf_plughead_get,
    .header_at = sheaf_plughead_at,
    .header_set = sheaf_plughead_set,
    .header_add = sheaf_plughead_add,
    .header_remove = sheaf_plughead_remove,
    .text = sheaf_plugfacts_text,
    .number = sheaf_plugfacts_number,
    .client_address = sheaf_plugfacts_client_address,
    .body = sheaf_plugbody,
    .body_set = sheaf_plugbody_set,
    .keep_body = sheaf_plugbody_keep,
    .query_remove = api_query_remove,
    .request_of = api_request_of,
    .set = api_set,
    .get = api_get,
    .expand = api_expand,
    .answer = api_answer,
    .problem = api_problem,
    .resume = api_resume,
    .now_ms = api_now_ms,
    .wall_s = api_wall_s,
    .timer_start = sheaf_plugwait_timer,
    .timer_stop = sheaf_plugwait_timer_stop,
    .watch = sheaf_plugwait_watch,
    .watch_change = sheaf_plugwait_watch_change,
    .watch_stop = sheaf_plugwait_watch_stop,
    .call = sheaf_plugcall,
    .call_cancel = sheaf_plugcall_cancel,
    .count = api_count,
    .log = api_log,
    .random = api_random,
};
