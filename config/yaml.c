#include "config/yaml.h"

#include <libfyaml.h>
#include <stdlib.h>

#include "config/env.h"
#include "gateway/base/error.h"

typedef struct reader {
    sheaf_pool_t *pool;
    sheaf_report_t *report;
    uint64_t *hash;
    struct fy_parser *parser;
    sheaf_yaml_t *open[SHEAF_YAML_MAX_DEPTH]; /* the containers around the current event */
    sheaf_yaml_t *last[SHEAF_YAML_MAX_DEPTH]; /* their last child */
    uint32_t depth;
    sheaf_str_t name; /* the key read, when a mapping waits for its value */
    sheaf_mark_t name_mark;
    bool has_name;
    sheaf_yaml_t *root;
    bool is_broken; /* not read to the end */
    uint32_t documents;
    char complaint[256]; /* what libfyaml said without a place */
} reader_t;

uint64_t sheaf_hash(uint64_t hash, sheaf_str_t bytes)
{
    for (size_t i = 0; i < bytes.len; i++)
        hash = (hash ^ (unsigned char)bytes.base[i]) * UINT64_C(0x100000001b3);
    return hash;
}

const sheaf_yaml_t *sheaf_yaml_get(const sheaf_yaml_t *node, sheaf_str_t name)
{
    if (node == NULL || node->kind != SHEAF_YAML_MAPPING)
        return NULL;
    for (const sheaf_yaml_t *child = node->first; child != NULL; child = child->next)
        if (sheaf_str_eq(child->name, name))
            return child;
    return NULL;
}

/* --- what is looked at before libfyaml sees it --- */

/* Bytes libfyaml need not be trusted with: what is no UTF-8, and controls that no configuration holds. */
static bool check_bytes(sheaf_report_t *report)
{
    sheaf_str_t text = report->text;
    size_t valid = sheaf_utf8_valid_prefix(text);

    for (size_t i = 0; i < valid; i++) {
        unsigned char c = (unsigned char)text.base[i];

        if ((c >= 0x20 && c != 0x7F) || c == '\t' || c == '\n' || c == '\r')
            continue;
        sheaf_report_error(report, sheaf_report_mark(report, i), "control character 0x%02X", c);
        return false;
    }
    if (valid == text.len)
        return true;
    sheaf_report_error(report, sheaf_report_mark(report, valid), "the text is not valid UTF-8");
    return false;
}

/* --- building the tree --- */

static int by_name(const void *a, const void *b)
{
    const sheaf_yaml_t *x = *(sheaf_yaml_t *const *)a, *y = *(sheaf_yaml_t *const *)b;
    size_t len = x->name.len < y->name.len ? x->name.len : y->name.len;
    int order = len > 0 ? memcmp(x->name.base, y->name.base, len) : 0;

    if (order != 0)
        return order;
    if (x->name.len != y->name.len)
        return x->name.len < y->name.len ? -1 : 1;
    if (x->name_mark.line != y->name_mark.line)
        return x->name_mark.line < y->name_mark.line ? -1 : 1;
    return x->name_mark.column < y->name_mark.column ? -1 : 1;
}

/* Sorted, so that a mapping of a million keys costs no million squared. */
static void check_names(reader_t *reader, const sheaf_yaml_t *mapping)
{
    sheaf_yaml_t **sorted = sheaf_alloc((mapping->count + 1) * sizeof(*sorted));
    const sheaf_yaml_t *first = NULL;
    uint32_t count = 0;

    for (sheaf_yaml_t *child = mapping->first; child != NULL; child = child->next)
        sorted[count++] = child;
    qsort(sorted, count, sizeof(*sorted), by_name);
    for (uint32_t i = 0; i < count; i++) {
        if (first != NULL && sheaf_str_eq(first->name, sorted[i]->name))
            sheaf_report_error(
                reader->report, sorted[i]->name_mark, "duplicate key `%.*s`, it stands already in line %u",
                (int)(first->name.len < 64 ? first->name.len : 64), first->name.base, first->name_mark.line);
        else
            first = sorted[i];
    }
    free(sorted);
}

/* Hangs a new node where the text stands. */
static sheaf_yaml_t *put_node(reader_t *reader, sheaf_yaml_kind_t kind, sheaf_mark_t mark)
{
    sheaf_yaml_t *node = sheaf_pool_zalloc(reader->pool, sizeof(*node));

    node->kind = kind;
    node->mark = mark;
    if (reader->depth == 0) {
        reader->root = node;
        return node;
    }
    if (reader->has_name) {
        node->name = reader->name;
        node->name_mark = reader->name_mark;
        reader->has_name = false;
    }
    if (reader->last[reader->depth - 1] == NULL)
        reader->open[reader->depth - 1]->first = node;
    else
        reader->last[reader->depth - 1]->next = node;
    reader->last[reader->depth - 1] = node;
    reader->open[reader->depth - 1]->count++;
    return node;
}

static bool wants_name(const reader_t *reader)
{
    return reader->depth > 0 && reader->open[reader->depth - 1]->kind == SHEAF_YAML_MAPPING && !reader->has_name;
}

static sheaf_mark_t event_mark(const reader_t *reader, struct fy_event *event)
{
    const struct fy_mark *mark = fy_event_start_mark(event);
    size_t at = mark != NULL ? mark->input_pos : 0;

    if (mark == NULL) /* an empty value has no token: its key is the nearest place */
        return reader->has_name    ? reader->name_mark
               : reader->depth > 0 ? reader->open[reader->depth - 1]->mark
                                   : (sheaf_mark_t){1, 1};
    if (event->type == FYET_SCALAR && at > 0 && at <= reader->report->text.len) {
        enum fy_scalar_style style = fy_token_scalar_style(event->scalar.value);

        if (style == FYSS_SINGLE_QUOTED || style == FYSS_DOUBLE_QUOTED)
            at--; /* libfyaml marks what is inside the quotes */
    }
    return sheaf_report_mark(reader->report, at);
}

static bool open_container(reader_t *reader, struct fy_event *event, sheaf_yaml_kind_t kind)
{
    sheaf_mark_t mark = event_mark(reader, event);

    if (wants_name(reader)) {
        sheaf_report_error(reader->report, mark, "a key must be a word, not a %s",
                           kind == SHEAF_YAML_MAPPING ? "mapping" : "sequence");
        return false;
    }
    if (reader->depth == SHEAF_YAML_MAX_DEPTH) {
        sheaf_report_error(reader->report, mark, "nested deeper than %d levels", SHEAF_YAML_MAX_DEPTH);
        return false;
    }
    reader->open[reader->depth] = put_node(reader, kind, mark);
    reader->last[reader->depth] = NULL;
    reader->depth++;
    return true;
}

static bool is_null_text(sheaf_str_t text)
{
    return text.len == 0 || sheaf_str_eq(text, SHEAF_STR("~")) || sheaf_str_eq(text, SHEAF_STR("null"));
}

/* The place of a bad reference: where it stands in the source, or the scalar's start when escapes hide it. */
static sheaf_mark_t bad_mark(const reader_t *reader, const sheaf_yaml_t *node, struct fy_event *event, sheaf_str_t bad)
{
    const struct fy_mark *start = fy_event_start_mark(event), *end = fy_event_end_mark(event);
    sheaf_str_t text = reader->report->text;
    const char *found = NULL;

    if (start != NULL && end != NULL && start->input_pos <= end->input_pos && end->input_pos <= text.len)
        found = memmem(text.base + start->input_pos, end->input_pos - start->input_pos, bad.base, bad.len);
    return found != NULL ? sheaf_report_mark(reader->report, (size_t)(found - text.base)) : node->mark;
}

static void put_scalar(reader_t *reader, struct fy_event *event, sheaf_str_t text)
{
    bool is_plain = event->scalar.value == NULL || fy_token_scalar_style(event->scalar.value) == FYSS_PLAIN;
    sheaf_mark_t mark = event_mark(reader, event);
    bool is_null = is_plain && is_null_text(text);
    sheaf_yaml_t *node = put_node(reader, is_null ? SHEAF_YAML_NULL : SHEAF_YAML_SCALAR, mark);
    sheaf_str_t bad;
    sheaf_fail_t fail;

    node->text = text;
    node->is_plain = is_plain;
    if (!sheaf_env_is_in(node->text))
        return;
    if (sheaf_env_expand(reader->pool, node->text, &node->text, &bad, &fail) == SHEAF_OK)
        *reader->hash = sheaf_hash(*reader->hash, node->text);
    else {
        node->is_bad = true;
        sheaf_report_error(reader->report, bad_mark(reader, node, event, bad), "%s", fail.detail);
    }
}

/* The scalar with its escapes resolved. By the iterator, because fy_token_get_text() of libfyaml 0.7.12 loses a buffer
 * when a scalar holds more than a few escapes. */
static sheaf_str_t scalar_text(reader_t *reader, struct fy_token *token)
{
    struct fy_token_iter *iter = fy_token_iter_create(token);
    const struct fy_iter_chunk *chunk = NULL;
    size_t len = 0, room = 0;
    sheaf_str_t kept;
    char *text = NULL;
    int failed = 0;

    SHEAF_ASSERT(iter != NULL);
    while ((chunk = fy_token_iter_chunk_next(iter, chunk, &failed)) != NULL) {
        if (len + chunk->len > room) {
            room = (len + chunk->len) * 2;
            text = sheaf_realloc(text, room);
        }
        memcpy(text + len, chunk->str, chunk->len);
        len += chunk->len;
    }
    fy_token_iter_destroy(iter);
    kept = len > 0 ? sheaf_pool_dup(reader->pool, sheaf_str(text, len)) : SHEAF_STR("");
    free(text);
    return kept;
}

static void on_scalar(reader_t *reader, struct fy_event *event)
{
    struct fy_token *token = event->scalar.value;
    sheaf_str_t text = token != NULL ? scalar_text(reader, token) : SHEAF_STR("");

    if (!wants_name(reader)) {
        put_scalar(reader, event, text);
        return;
    }
    reader->name_mark = event_mark(reader, event);
    reader->name = text;
    reader->has_name = true;
}

/* Anchors, aliases and tags: nothing here needs them. */
static void check_ornaments(reader_t *reader, struct fy_event *event)
{
    struct fy_token *anchor = NULL, *tag = NULL;
    sheaf_str_t text = reader->report->text;
    const struct fy_mark *mark;
    size_t at;

    if (event->type == FYET_ALIAS)
        anchor = event->alias.anchor;
    else if (event->type == FYET_SCALAR)
        anchor = event->scalar.anchor, tag = event->scalar.tag;
    else if (event->type == FYET_MAPPING_START)
        anchor = event->mapping_start.anchor, tag = event->mapping_start.tag;
    else if (event->type == FYET_SEQUENCE_START)
        anchor = event->sequence_start.anchor, tag = event->sequence_start.tag;
    if (anchor == NULL && tag == NULL)
        return;
    mark = fy_token_start_mark(anchor != NULL ? anchor : tag);
    at = mark != NULL && mark->input_pos <= text.len ? mark->input_pos : 0;
    if (at > 0 && (text.base[at - 1] == '&' || text.base[at - 1] == '*'))
        at--; /* libfyaml marks the name */
    sheaf_report_error(reader->report, sheaf_report_mark(reader->report, at), "%s",
                       anchor == NULL ? "tags are not supported: write the value without `!`"
                                      : "anchors and aliases are not supported: write the value out");
}

/* Refused by check_ornaments(), but what follows is still worth reading. */
static bool on_alias(reader_t *reader, struct fy_event *event)
{
    if (event->alias.anchor == NULL) /* a bug of libfyaml must not slip through */
        sheaf_report_error(reader->report, event_mark(reader, event), "aliases are not supported");
    if (wants_name(reader))
        return false;
    put_node(reader, SHEAF_YAML_NULL, event_mark(reader, event))->is_bad = true;
    return true;
}

static bool on_event(reader_t *reader, struct fy_event *event)
{
    check_ornaments(reader, event);
    switch (event->type) {
    case FYET_DOCUMENT_START:
        if (reader->documents++ == 0)
            return true;
        sheaf_report_error(reader->report, event_mark(reader, event), "only one document is allowed in the file");
        return false;
    case FYET_MAPPING_START:
        return open_container(reader, event, SHEAF_YAML_MAPPING);
    case FYET_SEQUENCE_START:
        return open_container(reader, event, SHEAF_YAML_SEQUENCE);
    case FYET_MAPPING_END:
    case FYET_SEQUENCE_END:
        reader->depth--;
        if (event->type == FYET_MAPPING_END)
            check_names(reader, reader->open[reader->depth]);
        return true;
    case FYET_SCALAR:
        on_scalar(reader, event);
        return true;
    case FYET_ALIAS:
        return on_alias(reader, event);
    default:
        return true;
    }
}

/* --- libfyaml --- */

static void on_complaint(struct fy_diag *diag, void *user, const char *bytes, size_t len)
{
    reader_t *reader = user;
    sheaf_str_t said = {bytes, len};

    (void)diag;
    while (said.len > 0 && said.base[said.len - 1] == '\n')
        said.len--;
    if (reader->complaint[0] == '\0')
        snprintf(reader->complaint, sizeof(reader->complaint), "%.*s", SHEAF_STR_ARG(said));
}

static struct fy_diag *new_diag(reader_t *reader)
{
    struct fy_diag_cfg cfg;
    struct fy_diag *diag;

    fy_diag_cfg_default(&cfg);
    cfg.fp = NULL;
    cfg.output_fn = on_complaint;
    cfg.user = reader;
    cfg.colorize = cfg.show_source = cfg.show_position = cfg.show_type = cfg.show_module = false;
    diag = fy_diag_create(&cfg);
    SHEAF_ASSERT(diag != NULL);
    fy_diag_set_collect_errors(diag, true);
    return diag;
}

static void report_syntax(reader_t *reader, struct fy_diag *diag)
{
    const struct fy_diag_error *error;
    uint32_t told = 0;
    void *at = NULL;

    while ((error = fy_diag_errors_iterate(diag, &at)) != NULL) {
        bool has_place = error->line > 0 && error->column > 0;
        sheaf_mark_t mark = {has_place ? (uint32_t)error->line : 1, has_place ? (uint32_t)error->column : 1};

        if (mark.line > reader->report->line_count)
            mark = sheaf_report_mark(reader->report, reader->report->text.len);
        sheaf_report_error(reader->report, mark, "%s", error->msg);
        told++;
    }
    if (told == 0)
        sheaf_report_error(reader->report, (sheaf_mark_t){1, 1}, "%s",
                           reader->complaint[0] != '\0' ? reader->complaint : "the text is no YAML");
}

static void read_events(reader_t *reader, struct fy_diag *diag)
{
    bool is_going = true, is_ended = false;
    struct fy_event *event;

    while (is_going && (event = fy_parser_parse(reader->parser)) != NULL) {
        is_ended = event->type == FYET_STREAM_END;
        is_going = !is_ended && on_event(reader, event);
        fy_parser_event_free(reader->parser, event);
    }
    reader->is_broken = !is_ended;
    if (is_going || fy_diag_got_error(diag)) {
        reader->is_broken = true;
        report_syntax(reader, diag);
    }
}

static void parse(reader_t *reader)
{
    struct fy_diag *diag = new_diag(reader);
    struct fy_parse_cfg cfg = {.flags = FYPCF_QUIET | FYPCF_DEFAULT_VERSION_1_2 | FYPCF_JSON_NONE, .diag = diag};
    sheaf_str_t text = reader->report->text;

    reader->parser = fy_parser_create(&cfg);
    SHEAF_ASSERT(reader->parser != NULL);
    if (fy_parser_set_string(reader->parser, text.base, text.len) == 0)
        read_events(reader, diag);
    else
        reader->is_broken = true, report_syntax(reader, diag);
    fy_parser_destroy(reader->parser);
    fy_diag_destroy(diag);
}

sheaf_yaml_t *sheaf_yaml_read(sheaf_pool_t *pool, sheaf_report_t *report, uint64_t *hash)
{
    reader_t reader = {.pool = pool, .report = report, .hash = hash};

    if (report->text.len > SHEAF_YAML_MAX_BYTES) {
        sheaf_report_error(report, (sheaf_mark_t){0, 0}, "larger than %u MiB", SHEAF_YAML_MAX_BYTES >> 20);
        return NULL;
    }
    if (!check_bytes(report))
        return NULL;
    if (report->text.len > 0)
        parse(&reader);
    if (reader.is_broken)
        return NULL;
    if (reader.root == NULL || reader.root->kind == SHEAF_YAML_NULL) {
        reader.depth = 0;
        put_node(&reader, SHEAF_YAML_MAPPING, (sheaf_mark_t){1, 1});
    }
    return reader.root;
}
