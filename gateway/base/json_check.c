/* base/json_check.c - a whole document: the validator's steps, with the path to where it stands and the names of every
 * open object beside it. */
#include <stdlib.h>

#include "gateway/base/json.h"
#include "gateway/base/json_step.h"

typedef struct {
    sheaf_str_t text; /* decoded */
    const char *at;   /* the opening quote in the document */
} name_t;

typedef struct {
    uint32_t first_name; /* in names, of this object */
    uint32_t index;      /* of the current element of an array */
    sheaf_str_t name;    /* of the current member, decoded; absent before it */
} frame_t;

typedef struct {
    sheaf_str_t doc;
    sheaf_json_scan_t scan;
    frame_t frames[SHEAF_JSON_MAX_DEPTH];
    name_t *names;
    uint32_t name_count, name_size;
    const char *name_at; /* opening quote of the name being read */
    sheaf_pool_t *pool;  /* decoded names */
    sheaf_fail_t *fail;
} check_t;

/* --- where --- */

void sheaf_json_position(sheaf_str_t doc, size_t offset, uint32_t *ret_line, uint32_t *ret_column)
{
    uint32_t line = 1, column = 1;

    for (size_t i = 0; i < offset && i < doc.len; i++) {
        unsigned char c = (unsigned char)doc.base[i];
        if (c == '\n') {
            line++;
            column = 1;
        } else if ((c & 0xc0) != 0x80) { /* continuation bytes belong to the character before */
            column++;
        }
    }
    *ret_line = line;
    *ret_column = column;
}

void sheaf_json_pointer_add(sheaf_fail_t *fail, sheaf_str_t token)
{
    size_t at = strlen(fail->pointer), room = sizeof(fail->pointer) - 1;

    fail->has_pointer = true;
    if (at + 1 > room)
        return;
    fail->pointer[at++] = '/';
    for (size_t i = 0; i < token.len && at + 2 <= room; i++) {
        char c = token.base[i];
        if (c == '~' || c == '/') {
            fail->pointer[at++] = '~';
            c = c == '~' ? '0' : '1';
        }
        fail->pointer[at++] = c;
    }
    fail->pointer[at] = '\0';
}

static void add_path(const check_t *check, sheaf_fail_t *fail, uint16_t depth)
{
    fail->has_pointer = true;
    for (uint16_t level = 0; level < depth; level++) {
        const frame_t *frame = &check->frames[level];
        char digits[20];

        if ((check->scan.is_object[level / 64] >> (level % 64) & 1) == 0)
            sheaf_json_pointer_add(fail, sheaf_str(digits, sheaf_u64_to_dec(frame->index, digits)));
        else if (frame->name.base != NULL)
            sheaf_json_pointer_add(fail, frame->name);
    }
}

static sheaf_err_t fail_at(check_t *check, const char *at, const char *why)
{
    sheaf_err_t err = sheaf_fail(check->fail, SHEAF_ERR_SYNTAX, "%s", why);

    if (check->fail != NULL) {
        add_path(check, check->fail, check->scan.depth);
        sheaf_json_position(check->doc, (size_t)(at - check->doc.base), &check->fail->line, &check->fail->column);
    }
    return err;
}

/* --- names --- */

static void add_name(check_t *check, const char *end)
{
    frame_t *frame = &check->frames[check->scan.depth - 1];
    sheaf_json_t source = sheaf_str(check->name_at, (size_t)(end - check->name_at));

    if (check->name_count == check->name_size) {
        check->name_size = check->name_size > 0 ? check->name_size * 2 : 64;
        check->names = sheaf_realloc(check->names, check->name_size * sizeof(*check->names));
    }
    frame->name = sheaf_json_string(source, check->pool);
    check->names[check->name_count++] = (name_t){frame->name, check->name_at};
}

static int by_text(const void *a, const void *b)
{
    const name_t *one = a, *two = b;
    size_t len = one->text.len < two->text.len ? one->text.len : two->text.len;
    int order = len > 0 ? memcmp(one->text.base, two->text.base, len) : 0;

    if (order != 0)
        return order;
    if (one->text.len != two->text.len)
        return one->text.len < two->text.len ? -1 : 1;
    return one->at < two->at ? -1 : one->at > two->at;
}

/* Sorted by what the names say, not by a hash: no choice of names makes it slow. Returns the second of two equal ones. */
static const name_t *find_twin(name_t *names, uint32_t count)
{
    qsort(names, count, sizeof(*names), by_text);
    for (uint32_t i = 1; i < count; i++) {
        if (sheaf_str_eq(names[i - 1].text, names[i].text))
            return &names[i];
    }
    return NULL;
}

static sheaf_err_t close_object(check_t *check, uint16_t level)
{
    frame_t *frame = &check->frames[level];
    uint32_t count = check->name_count - frame->first_name;
    const name_t *twin = count > 1 ? find_twin(check->names + frame->first_name, count) : NULL;

    check->name_count = frame->first_name;
    if (twin == NULL)
        return SHEAF_OK;
    frame->name = twin->text;
    check->scan.depth = (uint16_t)(level + 1); /* the path leads to the member */
    return fail_at(check, twin->at, "this member stands twice in its object");
}

/* --- the walk --- */

static const char *reason(const check_t *check, uint8_t state, char c)
{
    if ((c == '{' || c == '[') && check->scan.depth == check->scan.max_depth)
        return "the document is nested too deeply";
    switch (state) {
    case SHEAF_JSON_STEP_VALUE:
        return "a value is expected here";
    case SHEAF_JSON_STEP_NAME:
        return "a member name in double quotes is expected here";
    case SHEAF_JSON_STEP_COLON:
        return "a colon is expected here";
    case SHEAF_JSON_STEP_AFTER:
        return check->scan.depth == 0 ? "nothing may follow the document"
                                      : "a comma or the closing bracket is expected here";
    case SHEAF_JSON_STEP_ESCAPE:
        return "the escape in this string is not valid (or half of a surrogate pair)";
    case SHEAF_JSON_STEP_STRING:
        return (unsigned char)c < 0x20 ? "a control character must be escaped in a string"
                                       : "the string is not valid UTF-8";
    case SHEAF_JSON_STEP_NUMBER:
        return "the number is not well-formed";
    default:
        return "true, false or null is misspelt";
    }
}

static sheaf_err_t enter(check_t *check)
{
    check->frames[check->scan.depth - 1] = (frame_t){check->name_count, 0, SHEAF_STR_NONE};
    return SHEAF_OK;
}

static void next_part(check_t *check)
{
    frame_t *frame = &check->frames[check->scan.depth - 1];

    frame->index++;
    frame->name = SHEAF_STR_NONE;
}

static void name_edge(check_t *check, const char *at, bool is_end)
{
    if (is_end)
        add_name(check, at + 1);
    else
        check->name_at = at;
}

static sheaf_err_t walk(check_t *check)
{
    sheaf_json_scan_t *scan = &check->scan;
    const char *at = check->doc.base, *end = at + check->doc.len;
    sheaf_err_t err = SHEAF_OK;

    while (err == SHEAF_OK && (at = sheaf_json_skip(scan, at, end)) < end) {
        bool was_in_string = sheaf_json_step_in_string(scan);
        uint8_t kind = sheaf_json_step_kind(scan);
        uint16_t depth = scan->depth;

        sheaf_json_step(scan, *at);
        if (sheaf_json_step_is_bad(scan))
            return fail_at(check, at, reason(check, kind, *at));
        if (scan->depth > depth)
            err = enter(check);
        else if (scan->depth < depth)
            err = *at == '}' ? close_object(check, scan->depth) : SHEAF_OK;
        else if (was_in_string != sheaf_json_step_in_string(scan) && scan->is_name)
            name_edge(check, at, was_in_string);
        else if (*at == ',' && !was_in_string)
            next_part(check);
        at++;
    }
    if (err == SHEAF_OK && !sheaf_json_scan_end(scan))
        return fail_at(check, end, "the document ends too early");
    return err;
}

sheaf_err_t sheaf_json_check(sheaf_str_t doc, uint16_t max_depth, sheaf_fail_t *fail)
{
    check_t *check = sheaf_alloc(sizeof(*check));
    sheaf_err_t err;

    check->doc = doc;
    check->names = NULL;
    check->name_count = check->name_size = 0;
    check->pool = sheaf_pool_new();
    check->fail = fail;
    sheaf_json_scan_init(&check->scan, max_depth);
    if (sheaf_str_starts(doc, SHEAF_STR("\xef\xbb\xbf")))
        err = fail_at(check, doc.base, "the document starts with a byte order mark, which JSON does not allow");
    else
        err = walk(check);
    sheaf_pool_free(check->pool);
    free(check->names);
    free(check);
    return err;
}
