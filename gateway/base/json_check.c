/* base/json_check.c - a whole document: the validator says whether and where it breaks; then a walk over what passed,
 * which need not doubt anything, finds names that stand twice and the path to the place. */
#include <stdlib.h>
#include <sys/random.h>

#include "gateway/base/json.h"
#include "gateway/base/json_step.h"

typedef struct {
    uint64_t hash;  /* of what it says, escapes or not */
    const char *at; /* the opening quote in the document */
} name_t;

typedef struct {
    uint32_t first_name; /* in names, of this object */
    uint32_t index;      /* of the current element of an array */
    sheaf_str_t name;    /* of the current member, decoded; absent before it */
    bool is_object;
} frame_t;

typedef struct {
    sheaf_str_t doc;
    frame_t frames[SHEAF_JSON_MAX_DEPTH];
    uint16_t depth;
    name_t *names;
    uint32_t name_count, name_size;
    sheaf_pool_t *pool; /* decoded names; NULL until a name has an escape */
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

static void add_path(const check_t *check, sheaf_fail_t *fail)
{
    fail->has_pointer = true;
    for (uint16_t level = 0; level < check->depth; level++) {
        const frame_t *frame = &check->frames[level];
        char digits[20];

        if (!frame->is_object)
            sheaf_json_pointer_add(fail, sheaf_str(digits, sheaf_u64_to_dec(frame->index, digits)));
        else if (frame->name.base != NULL)
            sheaf_json_pointer_add(fail, frame->name);
    }
}

static sheaf_err_t fail_at(check_t *check, const char *at, const char *why)
{
    sheaf_err_t err = sheaf_fail(check->fail, SHEAF_ERR_SYNTAX, "%s", why);

    if (check->fail != NULL) {
        add_path(check, check->fail);
        sheaf_json_position(check->doc, (size_t)(at - check->doc.base), &check->fail->line, &check->fail->column);
    }
    return err;
}

/* --- names --- */

#define FEW 8 /* so many names are compared with each other as they come; more are sorted when their object closes */

static sheaf_str_t decode(check_t *check, sheaf_json_t source)
{
    if (check->pool == NULL && memchr(source.base, '\\', source.len) != NULL)
        check->pool = sheaf_pool_new();
    return sheaf_json_string(source, check->pool);
}

/* A polynomial of the name's bytes at a secret point modulo 2^61 - 1: whoever does not know the point cannot make two names that
 * share a hash, nor names that sort slowly. Comparing what they say would touch the whole document at every step of the sort. */
#define MODULUS ((UINT64_C(1) << 61) - 1)

static uint64_t secret_point(void)
{
    static uint64_t point;

    while (point < 1000) {
        if (getrandom(&point, sizeof(point), GRND_NONBLOCK) != sizeof(point))
            point = (uintptr_t)&point * UINT64_C(0x9e3779b97f4a7c15); /* at boot: where the loader put us */
        point &= MODULUS - 1;
    }
    return point;
}

static uint64_t times(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;
    uint64_t sum = (uint64_t)(product & MODULUS) + (uint64_t)(product >> 61);

    return sum >= MODULUS ? sum - MODULUS : sum;
}

static uint64_t hash_of(sheaf_str_t text)
{
    uint64_t point = secret_point(), hash = 0;

    for (size_t at = 0; at < text.len; at += 7) {
        uint64_t piece = 0;

        memcpy(&piece, text.base + at, text.len - at < 7 ? text.len - at : 7);
        hash = times(hash + piece + 1, point);
    }
    return times(hash + text.len, point);
}

static sheaf_str_t text_at(check_t *check, const char *at)
{
    const char *end = sheaf_json_quote(at + 1, check->doc.base + check->doc.len) + 1;

    return decode(check, sheaf_str(at, (size_t)(end - at)));
}

static bool is_same(check_t *check, const name_t *a, const name_t *b)
{
    return a->hash == b->hash && sheaf_str_eq(text_at(check, a->at), text_at(check, b->at));
}

static sheaf_err_t fail_twin(check_t *check, const char *at)
{
    check->frames[check->depth - 1].name = text_at(check, at);
    return fail_at(check, at, "this member stands twice in its object");
}

static sheaf_err_t add_name(check_t *check, sheaf_json_t source)
{
    frame_t *frame = &check->frames[check->depth - 1];
    sheaf_str_t text = decode(check, source);
    name_t name = {hash_of(text), source.base};

    if (check->name_count - frame->first_name < FEW) {
        for (uint32_t i = frame->first_name; i < check->name_count; i++)
            if (is_same(check, &check->names[i], &name))
                return fail_twin(check, name.at);
    }
    if (check->name_count == check->name_size) {
        check->name_size = check->name_size > 0 ? check->name_size * 2 : 64;
        check->names = sheaf_realloc(check->names, check->name_size * sizeof(*check->names));
    }
    frame->name = text;
    check->names[check->name_count++] = name;
    return SHEAF_OK;
}

static int by_hash(const void *a, const void *b)
{
    const name_t *one = a, *two = b;

    if (one->hash != two->hash)
        return one->hash < two->hash ? -1 : 1;
    return one->at < two->at ? -1 : one->at > two->at;
}

/* Where the first name stands that was there before; NULL: nowhere. Hashes are only a way to find those that might be. */
static const char *find_twin(check_t *check, name_t *names, uint32_t count)
{
    const char *twin = NULL;

    qsort(names, count, sizeof(*names), by_hash);
    for (uint32_t i = 1; i < count; i++) {
        bool is_twin = false;

        if (twin != NULL && names[i].at > twin)
            continue;
        for (uint32_t k = i; k-- > 0 && names[k].hash == names[i].hash && !is_twin;)
            is_twin = is_same(check, &names[k], &names[i]);
        twin = is_twin ? names[i].at : twin;
    }
    return twin;
}

static sheaf_err_t close_object(check_t *check)
{
    frame_t *frame = &check->frames[check->depth - 1];
    uint32_t count = check->name_count - frame->first_name;
    const char *twin = count > FEW ? find_twin(check, check->names + frame->first_name, count) : NULL;

    if (twin != NULL)
        return fail_twin(check, twin);
    check->name_count = frame->first_name;
    return SHEAF_OK;
}

/* --- the walk --- */

static void open_level(check_t *check, bool is_object)
{
    check->frames[check->depth++] = (frame_t){.first_name = check->name_count, .is_object = is_object};
}

static sheaf_err_t close_level(check_t *check)
{
    sheaf_err_t err = check->frames[check->depth - 1].is_object ? close_object(check) : SHEAF_OK;

    if (err == SHEAF_OK)
        check->depth--;
    return err;
}

static void next_part(check_t *check)
{
    frame_t *frame = &check->frames[check->depth - 1];

    frame->index++;
    frame->name = SHEAF_STR_NONE;
}

/* A string is a name when its object has none at the moment. Moves `*at` behind it. */
static sheaf_err_t pass_string(check_t *check, const char **at, const char *end)
{
    const char *start = *at, *quote = sheaf_json_quote(start + 1, end);
    const frame_t *frame = check->depth > 0 ? &check->frames[check->depth - 1] : NULL;

    *at = quote < end ? quote + 1 : end;
    if (quote == end || frame == NULL || !frame->is_object || frame->name.base != NULL)
        return SHEAF_OK;
    return add_name(check, sheaf_str(start, (size_t)(*at - start)));
}

/* `end` is the end of the document, or the byte that broke it: what stands before it is in order. */
static sheaf_err_t walk(check_t *check, const char *at, const char *end)
{
    static const bool marks[256] = {['{'] = true, ['['] = true, ['}'] = true, [']'] = true, [','] = true, ['"'] = true};
    sheaf_err_t err = SHEAF_OK;

    while (err == SHEAF_OK) {
        while (at < end && !marks[(unsigned char)*at])
            at++;
        if (at == end)
            break;
        if (*at == '"') {
            err = pass_string(check, &at, end);
            continue;
        }
        if (*at == ',')
            next_part(check);
        else if (*at == '{' || *at == '[')
            open_level(check, *at == '{');
        else
            err = close_level(check);
        at++;
    }
    return err;
}

static const char *reason(const sheaf_json_scan_t *scan, sheaf_json_step_kind_t kind, char c)
{
    if (kind == SHEAF_JSON_STEP_VALUE && (c == '{' || c == '[') && scan->depth == scan->max_depth)
        return "the document is nested too deeply";
    switch (kind) {
    case SHEAF_JSON_STEP_VALUE:
        return "a value is expected here";
    case SHEAF_JSON_STEP_NAME:
        return "a member name in double quotes is expected here";
    case SHEAF_JSON_STEP_COLON:
        return "a colon is expected here";
    case SHEAF_JSON_STEP_AFTER:
        return scan->depth == 0 ? "nothing may follow the document" : "a comma or the closing bracket is expected here";
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

static sheaf_err_t check_all(check_t *check, uint16_t max_depth)
{
    const char *end = check->doc.base + check->doc.len;
    sheaf_json_step_kind_t kind = SHEAF_JSON_STEP_VALUE;
    sheaf_json_scan_t scan;

    if (sheaf_str_starts(check->doc, SHEAF_STR("\xef\xbb\xbf")))
        return fail_at(check, check->doc.base, "the document starts with a byte order mark, which JSON does not allow");
    sheaf_json_scan_init(&scan, max_depth);
    const char *bad = sheaf_json_run(&scan, check->doc.base, end, &kind);
    sheaf_err_t err = walk(check, check->doc.base, bad != NULL ? bad : end);
    if (err != SHEAF_OK)
        return err;
    if (bad != NULL)
        return fail_at(check, bad, reason(&scan, kind, *bad));
    return sheaf_json_scan_end(&scan) ? SHEAF_OK : fail_at(check, end, "the document ends too early");
}

sheaf_err_t sheaf_json_check(sheaf_str_t doc, uint16_t max_depth, sheaf_fail_t *fail)
{
    if (doc.base == NULL) /* an absent one is an empty one */
        doc = SHEAF_STR("");
    if (sheaf_json_is_whole_unique(doc.base, doc.base + doc.len, max_depth))
        return SHEAF_OK;
    check_t *check = sheaf_alloc(sizeof(*check)); /* its frames stay unset until they are opened */

    check->doc = doc;
    check->depth = 0;
    check->names = NULL;
    check->name_count = check->name_size = 0;
    check->pool = NULL;
    check->fail = fail;
    sheaf_err_t err = check_all(check, max_depth);
    sheaf_pool_free(check->pool);
    free(check->names);
    free(check);
    return err;
}
