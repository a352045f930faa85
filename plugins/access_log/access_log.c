#include "plugins/sheaf_plugin.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "access_log_line.h"
#include "access_log_writer.h"

enum {
    KEY_PATH,
    KEY_LINES,
    KEY_FORMAT,
    KEY_FIELDS,
    KEY_MASK_QUERY,
    KEY_MASK_HEADERS,
    KEY_QUEUE,
    KEY_REOPEN
}; /* of keys */
enum { LINES_REQUEST, LINES_ITEM, LINES_BOTH };
enum { COUNT_LINES, COUNT_DROPPED, COUNT_FAILED };

typedef struct journal {
    const sheaf_p_api_t *api;
    sheaf_p_worker_t *worker;
    access_log_format_t of_request, of_item;
    access_log_secrets_t secrets;
    bool is_json;
    int64_t lines;
    access_log_writer_t *writer;
} journal_t;

/* What a JSON line has when nothing else is said. What is not known is left out. */
static const char *const request_fields[] = {
    "time",         "kind",        "request_id", "client_ip", "method",    "url",
    "http_version", "host",        "endpoint",   "route",     "status",    "error",
    "items",        "duration_ms", "bytes_in",   "bytes_out", "attr.user", "header.user-agent"};
static const char *const item_fields[] = {"time",   "kind",        "request_id", "item_id",       "client_ip",
                                          "method", "url",         "route",      "upstream_name", "status",
                                          "error",  "duration_ms", "body_bytes", "attr.user"};
/* A direct request's one item knows them; kept for the line that is written at its end. */
static const struct {
    sheaf_p_text_t what;
    const char *attribute;
} of_direct[] = {{SHEAF_P_ROUTE, ACCESS_LOG_ROUTE}, {SHEAF_P_UPSTREAM_NAME, ACCESS_LOG_UPSTREAM}};

static const sheaf_p_key_t keys[] = {
    {.name = "path",
     .type = SHEAF_P_TEXT,
     .preset = "stderr",
     .manual = "Where the file is, or stderr. It may be moved away at any time."},
    {.name = "lines",
     .type = SHEAF_P_WORD,
     .preset = "request",
     .words = "request|item|both",
     .manual = "A line for every request (direct ones and batches), for every item of a batch, or for both."},
    {.name = "format",
     .type = SHEAF_P_TEXT,
     .preset = "json",
     .manual =
         "json, or a line of text with ${...} in it: ${client_ip} \"${method} ${url}\" ${status} ${duration_ms}."},
    {.name = "fields",
     .type = SHEAF_P_TEXTS,
     .manual = "json: what a line has, by the names that ${...} takes; besides, it names the members."},
    {.name = "mask_query",
     .type = SHEAF_P_TEXTS,
     .manual = "Query parameters whose values are written as ***, besides those that always are."},
    {.name = "mask_headers",
     .type = SHEAF_P_TEXTS,
     .manual = "Headers whose values are written as ***, besides those that always are."},
    {.name = "queue",
     .type = SHEAF_P_SIZE,
     .preset = "1MiB",
     .min = 65536,
     .max = 1073741824,
     .manual = "Lines that wait to be written, in every worker; twice as much memory. What comes beyond is dropped and "
               "counted."},
    {.name = "reopen",
     .type = SHEAF_P_DURATION,
     .preset = "1s",
     .min = 10,
     .max = 3600000,
     .manual = "How often it is seen, without SIGUSR1, whether the file was moved away."},
    {.name = NULL},
};

static const sheaf_p_counter_t counters[] = {
    {.name = "lines", .manual = "Lines that were queued."},
    {.name = "dropped", .manual = "Lines that found the queue full."},
    {.name = "failed", .manual = "Lines that could not be written."},
    {.name = NULL},
};

static int failed(sheaf_p_fail_t *fail, const char *key, const char *why)
{
    snprintf(fail->key, sizeof(fail->key), "%s", key);
    snprintf(fail->why, sizeof(fail->why), "%s", why);
    return -1;
}

static bool is_text(sheaf_p_str_t text, const char *word)
{
    return text.len == strlen(word) && memcmp(text.base, word, text.len) == 0;
}

static void read_names(const char *const *names, uint32_t count, access_log_format_t *ret_format)
{
    sheaf_p_str_t texts[ACCESS_LOG_PIECES_MAX];

    for (uint32_t i = 0; i < count; i++)
        texts[i] = sheaf_p_str(names[i], strlen(names[i]));
    access_log_fields_read(texts, count, ret_format);
}

/* NULL, or why not; `key` is where then. */
static const char *read_format(const sheaf_p_value_t *values, journal_t *journal, const char **ret_key)
{
    const char *why = NULL;

    journal->is_json = is_text(values[KEY_FORMAT].text, "json");
    if (!journal->is_json) {
        *ret_key = "format";
        why = access_log_format_read(values[KEY_FORMAT].text, &journal->of_request);
    } else if (values[KEY_FIELDS].count > 0) {
        *ret_key = "fields";
        why = access_log_fields_read(values[KEY_FIELDS].texts, values[KEY_FIELDS].count, &journal->of_request);
    } else {
        read_names(request_fields, sizeof(request_fields) / sizeof(request_fields[0]), &journal->of_request);
        read_names(item_fields, sizeof(item_fields) / sizeof(item_fields[0]), &journal->of_item);
        return NULL;
    }
    journal->of_item = journal->of_request;
    return why;
}

static int check(const sheaf_p_value_t *values, sheaf_p_fail_t *fail)
{
    journal_t *journal = calloc(1, sizeof(*journal));
    const char *key = "", *why = journal == NULL ? "no memory" : read_format(values, journal, &key);

    free(journal);
    if (why != NULL)
        return failed(fail, key, why);
    if (!is_text(values[KEY_FORMAT].text, "json") && values[KEY_FIELDS].count > 0)
        return failed(fail, "fields", "are for `format: json`");
    if (values[KEY_PATH].text.len == 0 || values[KEY_PATH].text.len > 4095)
        return failed(fail, "path", "must be that of a file, or stderr");
    return 0;
}

/* --- lines --- */

static void write_line(journal_t *journal, sheaf_p_ref_t ref, bool is_item)
{
    const access_log_line_t line = {
        .api = journal->api,
        .worker = journal->worker,
        .format = is_item ? &journal->of_item : &journal->of_request,
        .secrets = &journal->secrets,
        .is_json = journal->is_json,
        .is_item = is_item,
    };
    char bytes[ACCESS_LOG_LINE_MAX];
    const size_t len = access_log_line_write(&line, ref, bytes);
    const bool is_queued = access_log_writer_put(journal->writer, bytes, len);
    const uint64_t lost = access_log_writer_failed(journal->writer);

    journal->api->count(journal->worker, is_queued ? COUNT_LINES : COUNT_DROPPED, 1);
    if (lost > 0)
        journal->api->count(journal->worker, COUNT_FAILED, lost);
}

static void keep_of_direct(journal_t *journal, sheaf_p_ref_t item)
{
    sheaf_p_str_t text;

    for (size_t i = 0; i < sizeof(of_direct) / sizeof(of_direct[0]); i++)
        if (journal->api->text(item, of_direct[i].what, &text) == 1)
            journal->api->set(journal->api->request_of(item), of_direct[i].attribute, text);
}

static void on_result(void *self, sheaf_p_ref_t item)
{
    journal_t *journal = self;
    int64_t is_direct = 0;

    journal->api->number(item, SHEAF_P_IS_DIRECT, &is_direct);
    if (is_direct)
        keep_of_direct(journal, item);
    else if (journal->lines != LINES_REQUEST)
        write_line(journal, item, true);
}

static void on_done(void *self, sheaf_p_ref_t request)
{
    journal_t *journal = self;
    int64_t is_direct = 0;

    journal->api->number(request, SHEAF_P_IS_DIRECT, &is_direct);
    if (journal->lines != LINES_ITEM || is_direct) /* a direct request is its own item */
        write_line(journal, request, false);
}

static void on_reopen(void *self)
{
    journal_t *journal = self;

    access_log_writer_reopen(journal->writer);
}

/* --- life --- */

/* FNV-1a; never 0. */
static uint64_t mark_of(const char *path)
{
    uint64_t hash = 0xcbf29ce484222325u;

    for (; *path != '\0'; path++)
        hash = (hash ^ (unsigned char)*path) * 0x100000001b3u;
    return hash | 1;
}

static uint64_t shared_bytes(const sheaf_p_value_t *values)
{
    return is_text(values[KEY_PATH].text, "stderr") ? 0 : sizeof(_Atomic uint64_t);
}

/* A file that cannot be opened is a mistake in a configuration that is new. Where a worker has had it open before (`opened` has its
 * mark) it is trouble of the machine: a worker that takes a dead one's place begins without it, lest all requests wait for a log. */
static access_log_writer_t *writer_of(const sheaf_p_value_t *values, const char *path, _Atomic uint64_t *opened)
{
    const bool was_open = opened != NULL && atomic_load(opened) == mark_of(path);
    access_log_writer_t *writer = access_log_writer_new(opened == NULL ? NULL : path, (size_t)values[KEY_QUEUE].number,
                                                        (uint32_t)values[KEY_REOPEN].number, was_open);

    if (writer != NULL && opened != NULL)
        atomic_store(opened, mark_of(path));
    return writer;
}

static void *open_journal(const sheaf_p_open_t *open, sheaf_p_fail_t *fail)
{
    const sheaf_p_value_t *values = open->values;
    journal_t *journal = calloc(1, sizeof(*journal));
    char path[4096];
    const char *key;

    if (journal == NULL) {
        failed(fail, "", "no memory");
        return NULL;
    }
    journal->api = open->api;
    journal->worker = open->worker;
    journal->lines = values[KEY_LINES].number;
    journal->secrets = (access_log_secrets_t){values[KEY_MASK_QUERY].texts, values[KEY_MASK_HEADERS].texts,
                                              values[KEY_MASK_QUERY].count, values[KEY_MASK_HEADERS].count};
    read_format(values, journal, &key);
    snprintf(path, sizeof(path), "%.*s", (int)values[KEY_PATH].text.len, values[KEY_PATH].text.base);
    journal->writer = writer_of(values, path, open->shared);
    if (journal->writer == NULL) {
        snprintf(fail->key, sizeof(fail->key), "path");
        snprintf(fail->why, sizeof(fail->why), "%.140s: %s", path, strerror(errno));
        free(journal);
        return NULL;
    }
    return journal;
}

static void close_journal(void *self)
{
    journal_t *journal = self;

    access_log_writer_free(journal->writer);
    free(journal);
}

SHEAF_PLUGIN(access_log) = {
    .size = sizeof(sheaf_plugin_t),
    .abi_major = SHEAF_P_ABI_MAJOR,
    .name = "access_log",
    .version = "1.0",
    .manual = "Writes a line for every request, and for every item where that is wanted.",
    .keys = keys,
    .counters = counters,
    .check = check,
    .shared_bytes = shared_bytes,
    .open = open_journal,
    .close = close_journal,
    .on_result = on_result,
    .on_done = on_done,
    .on_reopen = on_reopen,
    .traits = SHEAF_P_GUARDS_NOTHING,
};
