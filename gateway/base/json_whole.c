/* base/json_whole.c - the validator for a document that lies there whole, as nearly all do: no state outlives a byte, and
 * names are looked at on the way, so it costs a third of what may be interrupted anywhere (json.c) and then walked
 * (json_check.c). It only says yes. Who is told no asks those two, which know where and why. */
#include "gateway/base/json_step.h"

#define FEW_LEVELS 64
#define FEW_NAMES  8 /* of an object; one that has more is somebody else's */

/* The names of the objects that are open. */
typedef struct {
    uint16_t count, first[FEW_LEVELS]; /* of each level */
    sheaf_str_t names[FEW_LEVELS * FEW_NAMES];
} names_t;

typedef struct {
    const char *end;
    names_t *names; /* NULL: a name may stand twice */
    unsigned depth, max_depth;
    uint64_t is_object[SHEAF_JSON_MAX_DEPTH / 64]; /* a bit per level; unset until it is opened */
} whole_t;

/* Every pass_ takes where something must stand and returns what is behind it, or NULL. */

static inline const char *pass_spaces(const whole_t *whole, const char *at)
{
    while (at < whole->end && (unsigned char)*at <= ' ' && sheaf_json_is_space(*at))
        at++;
    return at;
}

/* The byte there; NUL at the end of the document, where no other may stand. */
static inline char byte_at(const whole_t *whole, const char *at)
{
    return at < whole->end ? *at : '\0';
}

/* The code unit of a \uXXXX that must stand here; -1 when none does. */
static int unit_at(const whole_t *whole, const char *at)
{
    int unit = 0;

    if (whole->end - at < 6 || at[0] != '\\' || at[1] != 'u')
        return -1;
    for (int i = 2; i < 6; i++) {
        int digit = sheaf_json_hex(at[i]);
        if (digit < 0)
            return -1;
        unit = unit << 4 | digit;
    }
    return unit;
}

/* A high surrogate and a low one, or neither. */
static const char *pass_unicode(const whole_t *whole, const char *at)
{
    int unit = unit_at(whole, at);

    if (unit < 0xd800 || unit > 0xdfff)
        return unit >= 0 ? at + 6 : NULL;
    if (unit >= 0xdc00)
        return NULL;
    unit = unit_at(whole, at + 6);
    return unit >= 0xdc00 && unit <= 0xdfff ? at + 12 : NULL;
}

/* From behind the opening quote. */
static const char *pass_long_string(const whole_t *whole, const char *at)
{
    for (;;) {
        at = sheaf_json_plain(at, whole->end);
        if (at == whole->end)
            return NULL;
        if (*at == '"')
            return at + 1;
        at = pass_unicode(whole, at);
        if (at == NULL)
            return NULL;
    }
}

/* From the opening quote on. */
static inline const char *pass_string(const whole_t *whole, const char *at)
{
    const char *quote = sheaf_json_near_quote(at + 1, whole->end);

    return quote != NULL ? quote + 1 : pass_long_string(whole, at + 1);
}

static const char *pass_digits(const whole_t *whole, const char *at)
{
    const char *start = at;

    while (at < whole->end && *at >= '0' && *at <= '9')
        at++;
    return at > start ? at : NULL;
}

static const char *pass_number(const whole_t *whole, const char *at)
{
    at += byte_at(whole, at) == '-';
    at = byte_at(whole, at) == '0' ? at + 1 : pass_digits(whole, at);
    if (at != NULL && byte_at(whole, at) == '.')
        at = pass_digits(whole, at + 1);
    if (at == NULL || (byte_at(whole, at) | 0x20) != 'e')
        return at;
    at++;
    return pass_digits(whole, at + (byte_at(whole, at) == '+' || byte_at(whole, at) == '-'));
}

static const char *pass_literal(const whole_t *whole, const char *at, sheaf_str_t literal)
{
    return sheaf_str_starts(sheaf_str(at, (size_t)(whole->end - at)), literal) ? at + literal.len : NULL;
}

static bool open_level(whole_t *whole, bool is_object)
{
    uint64_t *levels = &whole->is_object[whole->depth / 64], bit = (uint64_t)1 << (whole->depth % 64);

    if (whole->depth == whole->max_depth)
        return false;
    *levels = is_object ? *levels | bit : *levels & ~bit;
    if (whole->names != NULL)
        whole->names->first[whole->depth] = whole->names->count;
    whole->depth++;
    return true;
}

static void close_level(whole_t *whole)
{
    whole->depth--;
    if (whole->names != NULL)
        whole->names->count = whole->names->first[whole->depth];
}

static bool is_in_object(const whole_t *whole)
{
    unsigned level = whole->depth - 1;

    return (whole->is_object[level / 64] >> (level % 64) & 1) != 0;
}

/* False when it stands there already, or may: by another spelling, or among too many. */
static bool add_name(names_t *names, uint16_t first, sheaf_str_t name)
{
    if (names->count - first == FEW_NAMES || (name.len > 0 && memchr(name.base, '\\', name.len) != NULL))
        return false;
    for (uint16_t i = first; i < names->count; i++)
        if (names->names[i].len == name.len && memcmp(names->names[i].base, name.base, name.len) == 0)
            return false;
    names->names[names->count++] = name;
    return true;
}

static const char *pass_name(whole_t *whole, const char *at)
{
    const char *start = at + 1;

    if (byte_at(whole, at) != '"' || (at = pass_string(whole, at)) == NULL)
        return NULL;
    if (whole->names != NULL &&
        !add_name(whole->names, whole->names->first[whole->depth - 1], sheaf_str(start, (size_t)(at - 1 - start))))
        return NULL;
    at = pass_spaces(whole, at);
    return byte_at(whole, at) == ':' ? at + 1 : NULL;
}

/* A value that opens no level, or brackets down to the first of those; an empty array or object is left open. */
static const char *pass_value(whole_t *whole, const char *at)
{
    for (;;) {
        at = pass_spaces(whole, at);
        switch (byte_at(whole, at)) {
        case '"':
            return pass_string(whole, at);
        case '{':
            if (!open_level(whole, true))
                return NULL;
            at = pass_spaces(whole, at + 1);
            if (byte_at(whole, at) == '}')
                return at;
            if ((at = pass_name(whole, at)) == NULL)
                return NULL;
            break;
        case '[':
            if (!open_level(whole, false))
                return NULL;
            at = pass_spaces(whole, at + 1);
            if (byte_at(whole, at) == ']')
                return at;
            break;
        case 't':
            return pass_literal(whole, at, SHEAF_STR("true"));
        case 'f':
            return pass_literal(whole, at, SHEAF_STR("false"));
        case 'n':
            return pass_literal(whole, at, SHEAF_STR("null"));
        default:
            return pass_number(whole, at);
        }
    }
}

/* Out of the levels that end here. */
static const char *pass_ends(whole_t *whole, const char *at)
{
    for (;;) {
        at = pass_spaces(whole, at);
        if (whole->depth == 0 || (byte_at(whole, at) | 0x20) != '}') /* ']' differs from it by this bit */
            return at;
        if ((*at == '}') != is_in_object(whole))
            return NULL;
        close_level(whole);
        at++;
    }
}

static bool pass_document(whole_t *whole, const char *at)
{
    for (;;) {
        at = pass_value(whole, at);
        if (at == NULL || (at = pass_ends(whole, at)) == NULL)
            return false;
        if (whole->depth == 0)
            return at == whole->end;
        if (byte_at(whole, at) != ',')
            return false;
        at++;
        if (is_in_object(whole) && (at = pass_name(whole, pass_spaces(whole, at))) == NULL)
            return false;
    }
}

bool sheaf_json_is_whole(const char *at, const char *end, uint16_t max_depth)
{
    whole_t whole; /* not cleared: levels that most documents never reach */

    whole.end = end;
    whole.names = NULL;
    whole.depth = 0;
    whole.max_depth = max_depth;
    return pass_document(&whole, at);
}

bool sheaf_json_is_whole_unique(const char *at, const char *end, uint16_t max_depth)
{
    whole_t whole;
    names_t names;

    names.count = 0;
    whole.end = end;
    whole.names = &names;
    whole.depth = 0;
    whole.max_depth = max_depth < FEW_LEVELS ? max_depth : FEW_LEVELS;
    return pass_document(&whole, at);
}
