#include "gateway/base/json.h"
#include "gateway/base/json_step.h"

/* The validator is one state per place in the grammar. Runs of plain string bytes and of white space, nearly all of
 * most documents, are skipped in inner loops; everything else is one step of the switch. */

enum {
    VALUE,        /* a value must come */
    VALUE_OR_END, /* after '[' */
    NAME_OR_END,  /* after '{' */
    NAME,         /* after ',' in an object */
    COLON,
    AFTER, /* a value has ended */
    STRING,
    ESCAPE,
    HEX,
    UTF8,
    LOW_ESCAPE, /* after a high surrogate: the backslash ... */
    LOW_U,      /* ... and the u of the low one */
    MINUS,
    ZERO,
    DIGITS,
    POINT,
    FRACTION,
    EXPONENT,
    EXPONENT_SIGN,
    EXPONENT_DIGITS,
    LITERAL,
    BAD,
};

void sheaf_json_scan_init(sheaf_json_scan_t *scan, uint16_t max_depth)
{
    memset(scan, 0, offsetof(sheaf_json_scan_t, is_object));
    scan->max_depth = max_depth < SHEAF_JSON_MAX_DEPTH ? max_depth : SHEAF_JSON_MAX_DEPTH;
    scan->state = VALUE;
}

static bool is_in_object(const sheaf_json_scan_t *scan)
{
    unsigned level = scan->depth - 1u;

    return scan->depth > 0 && (scan->is_object[level / 64] >> (level % 64) & 1) != 0;
}

static uint8_t open_level(sheaf_json_scan_t *scan, bool is_object)
{
    unsigned level = scan->depth;

    if (level >= scan->max_depth)
        return BAD;
    scan->is_object[level / 64] &= ~((uint64_t)1 << (level % 64));
    scan->is_object[level / 64] |= (uint64_t)is_object << (level % 64);
    scan->depth++;
    return is_object ? NAME_OR_END : VALUE_OR_END;
}

static uint8_t close_level(sheaf_json_scan_t *scan, bool is_object)
{
    if (scan->depth == 0 || is_in_object(scan) != is_object)
        return BAD;
    scan->depth--;
    return AFTER;
}

static uint8_t start_literal(sheaf_json_scan_t *scan, const char *literal)
{
    scan->literal = literal;
    scan->literal_at = 1;
    return LITERAL;
}

static uint8_t start_string(sheaf_json_scan_t *scan, bool is_name)
{
    scan->is_name = is_name;
    return STRING;
}

static uint8_t start_value(sheaf_json_scan_t *scan, char c)
{
    switch (c) {
    case '"':
        return start_string(scan, false);
    case '{':
        return open_level(scan, true);
    case '[':
        return open_level(scan, false);
    case 't':
        return start_literal(scan, "true");
    case 'f':
        return start_literal(scan, "false");
    case 'n':
        return start_literal(scan, "null");
    case '-':
        return MINUS;
    case '0':
        return ZERO;
    default:
        return c >= '1' && c <= '9' ? DIGITS : BAD;
    }
}

static uint8_t after_value(sheaf_json_scan_t *scan, char c)
{
    if (c == ',' && scan->depth > 0)
        return is_in_object(scan) ? NAME : VALUE;
    if (c == '}' || c == ']')
        return close_level(scan, c == '}');
    return sheaf_json_is_space(c) ? AFTER : BAD; /* behind a number; elsewhere it was skipped */
}

/* RFC 3629 section 4: what the second byte of a character may be depends on the first. */
static uint8_t start_utf8(sheaf_json_scan_t *scan, unsigned char c)
{
    scan->utf8_low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
    scan->utf8_high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
    scan->utf8_left = c >= 0xc2 && c <= 0xdf ? 1 : c >= 0xe0 && c <= 0xef ? 2 : c >= 0xf0 && c <= 0xf4 ? 3 : 0;
    return scan->utf8_left > 0 ? UTF8 : BAD;
}

static uint8_t next_utf8(sheaf_json_scan_t *scan, unsigned char c)
{
    if (c < scan->utf8_low || c > scan->utf8_high)
        return BAD;
    scan->utf8_low = 0x80;
    scan->utf8_high = 0xbf;
    return --scan->utf8_left > 0 ? UTF8 : STRING;
}

static uint8_t in_string(sheaf_json_scan_t *scan, unsigned char c)
{
    if (c == '"')
        return scan->is_name ? COLON : AFTER;
    if (c == '\\')
        return ESCAPE;
    if (c >= 0x80)
        return start_utf8(scan, c);
    return c >= 0x20 ? STRING : BAD;
}

static bool is_simple_escape(char c)
{
    static const bool simple[256] = {['"'] = true, ['\\'] = true, ['/'] = true, ['b'] = true,
                                     ['f'] = true, ['n'] = true,  ['r'] = true, ['t'] = true};
    return simple[(unsigned char)c];
}

static uint8_t in_escape(sheaf_json_scan_t *scan, char c)
{
    if (c == 'u') {
        scan->hex_left = 4;
        scan->unit = 0;
        return HEX;
    }
    return is_simple_escape(c) ? STRING : BAD;
}

/* A high surrogate must be followed by a low one, and a low one by nothing of the kind. */
static uint8_t in_hex(sheaf_json_scan_t *scan, char c)
{
    int value = sheaf_json_hex(c);
    bool is_low;

    if (value < 0)
        return BAD;
    scan->unit = (uint16_t)(scan->unit << 4 | value);
    if (--scan->hex_left > 0)
        return HEX;
    is_low = scan->unit >= 0xdc00 && scan->unit <= 0xdfff;
    if (is_low != scan->wants_low)
        return BAD;
    scan->wants_low = scan->unit >= 0xd800 && scan->unit <= 0xdbff;
    return scan->wants_low ? LOW_ESCAPE : STRING;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static uint8_t in_number(sheaf_json_scan_t *scan, char c)
{
    bool is_exponent = c == 'e' || c == 'E';

    switch (scan->state) {
    case MINUS:
        return c == '0' ? ZERO : is_digit(c) ? DIGITS : BAD;
    case ZERO:
        return c == '.' ? POINT : is_exponent ? EXPONENT : is_digit(c) ? BAD : after_value(scan, c);
    case DIGITS:
        return is_digit(c) ? DIGITS : c == '.' ? POINT : is_exponent ? EXPONENT : after_value(scan, c);
    case POINT:
        return is_digit(c) ? FRACTION : BAD;
    case FRACTION:
        return is_digit(c) ? FRACTION : is_exponent ? EXPONENT : after_value(scan, c);
    case EXPONENT:
        return is_digit(c) ? EXPONENT_DIGITS : c == '+' || c == '-' ? EXPONENT_SIGN : BAD;
    case EXPONENT_SIGN:
        return is_digit(c) ? EXPONENT_DIGITS : BAD;
    default:
        return is_digit(c) ? EXPONENT_DIGITS : after_value(scan, c);
    }
}

static uint8_t in_literal(sheaf_json_scan_t *scan, char c)
{
    if (c != scan->literal[scan->literal_at])
        return BAD;
    return scan->literal[++scan->literal_at] == '\0' ? AFTER : LITERAL;
}

/* `c` is no white space where that may stand: skip_run() has passed it. */
static uint8_t step(sheaf_json_scan_t *scan, char c)
{
    switch (scan->state) {
    case VALUE:
        return start_value(scan, c);
    case VALUE_OR_END:
        return c == ']' ? close_level(scan, false) : start_value(scan, c);
    case NAME_OR_END:
        return c == '}' ? close_level(scan, true) : c == '"' ? start_string(scan, true) : BAD;
    case NAME:
        return c == '"' ? start_string(scan, true) : BAD;
    case COLON:
        return c == ':' ? VALUE : BAD;
    case AFTER:
        return after_value(scan, c);
    case STRING:
        return in_string(scan, (unsigned char)c);
    case ESCAPE:
        return in_escape(scan, c);
    case HEX:
        return in_hex(scan, c);
    case UTF8:
        return next_utf8(scan, (unsigned char)c);
    case LOW_ESCAPE:
        return c == '\\' ? LOW_U : BAD;
    case LOW_U:
        return c == 'u' ? in_escape(scan, c) : BAD;
    case LITERAL:
        return in_literal(scan, c);
    default:
        return in_number(scan, c);
    }
}

/* Over plain bytes: none below 0x20, none of `"`, `\`, none above 0x7f. */
static inline const char *skip_plain(const char *at, const char *end)
{
#ifdef __SSE2__
    for (; end - at >= 16; at += 16) {
        __m128i word = sheaf_sixteen_at(at);
        unsigned bits = sheaf_sixteen_bits(sheaf_sixteen_not_printable(word) | sheaf_sixteen_equal(word, '"') |
                                           sheaf_sixteen_equal(word, '\\'));

        if (bits != 0)
            return at + __builtin_ctz(bits);
    }
#endif
    for (; end - at >= 8; at += 8) {
        uint64_t word = sheaf_eight_at(at);
        uint64_t marks = (word & SHEAF_EIGHT_HIGH) | sheaf_eight_below(word, 0x20) | sheaf_eight_equal(word, '"') |
                         sheaf_eight_equal(word, '\\');

        if (marks != 0)
            return at + sheaf_eight_first(marks);
    }
    while (at < end && (unsigned char)*at >= 0x20 && *at != '"' && *at != '\\' && (unsigned char)*at < 0x80)
        at++;
    return at;
}

const char *sheaf_json_plain(const char *at, const char *end)
{
    while ((at = skip_plain(at, end)) < end) {
        size_t len = 0;
        if ((unsigned char)*at >= 0x80)
            len = sheaf_utf8_sequence(at, end);
        else if (*at == '\\' && end - at >= 2 && is_simple_escape(at[1]))
            len = 2;
        if (len == 0)
            break;
        at += len;
    }
    return at;
}

static const char *skip_spaces(const char *at, const char *end)
{
    while (end - at >= 8 && sheaf_eight_at(at) == SHEAF_EIGHT(' '))
        at += 8;
    while (at < end && sheaf_json_is_space(*at))
        at++;
    return at;
}

static const char *skip_digits(const char *at, const char *end)
{
    while (at < end && is_digit(*at))
        at++;
    return at;
}

/* Bytes that leave the state as it is. Brackets, colons and commas, which do not, find that out soon. */
static inline const char *skip_run(uint8_t state, const char *at, const char *end)
{
    if (state == STRING)
        return sheaf_json_plain(at, end);
    if ((unsigned char)*at <= ' ')
        return state <= AFTER ? skip_spaces(at, end) : at;
    return state == DIGITS || state == FRACTION || state == EXPONENT_DIGITS ? skip_digits(at, end) : at;
}

static sheaf_json_step_kind_t kind_of(uint8_t state)
{
    static const uint8_t kinds[] = {
        [VALUE] = SHEAF_JSON_STEP_VALUE,          [VALUE_OR_END] = SHEAF_JSON_STEP_VALUE,
        [NAME_OR_END] = SHEAF_JSON_STEP_NAME,     [NAME] = SHEAF_JSON_STEP_NAME,
        [COLON] = SHEAF_JSON_STEP_COLON,          [AFTER] = SHEAF_JSON_STEP_AFTER,
        [STRING] = SHEAF_JSON_STEP_STRING,        [ESCAPE] = SHEAF_JSON_STEP_ESCAPE,
        [HEX] = SHEAF_JSON_STEP_ESCAPE,           [UTF8] = SHEAF_JSON_STEP_STRING,
        [LOW_ESCAPE] = SHEAF_JSON_STEP_ESCAPE,    [LOW_U] = SHEAF_JSON_STEP_ESCAPE,
        [MINUS] = SHEAF_JSON_STEP_NUMBER,         [ZERO] = SHEAF_JSON_STEP_NUMBER,
        [DIGITS] = SHEAF_JSON_STEP_NUMBER,        [POINT] = SHEAF_JSON_STEP_NUMBER,
        [FRACTION] = SHEAF_JSON_STEP_NUMBER,      [EXPONENT] = SHEAF_JSON_STEP_NUMBER,
        [EXPONENT_SIGN] = SHEAF_JSON_STEP_NUMBER, [EXPONENT_DIGITS] = SHEAF_JSON_STEP_NUMBER,
        [LITERAL] = SHEAF_JSON_STEP_LITERAL,      [BAD] = SHEAF_JSON_STEP_VALUE,
    };
    return (sheaf_json_step_kind_t)kinds[state];
}

const char *sheaf_json_run(sheaf_json_scan_t *scan, const char *at, const char *end, sheaf_json_step_kind_t *ret_kind)
{
    if (scan->state == BAD)
        return at;
    if (scan->state == VALUE && scan->depth == 0 && at < end && !is_digit(end[-1]) &&
        sheaf_json_is_whole(at, end, scan->max_depth)) { /* behind a digit, more of them may come */
        scan->state = AFTER;
        return NULL;
    }
    while (at < end && (at = skip_run(scan->state, at, end)) < end) {
        uint8_t before = scan->state;
        scan->state = step(scan, *at);
        if (scan->state == BAD) {
            *ret_kind = kind_of(before);
            return at;
        }
        at++;
    }
    return NULL;
}

bool sheaf_json_scan_feed(sheaf_json_scan_t *scan, const char *bytes, size_t len)
{
    sheaf_json_step_kind_t kind;

    return len == 0 ? scan->state != BAD : sheaf_json_run(scan, bytes, bytes + len, &kind) == NULL;
}

bool sheaf_json_scan_end(const sheaf_json_scan_t *scan)
{
    if (scan->depth > 0)
        return false;
    return scan->state == AFTER || scan->state == ZERO || scan->state == DIGITS || scan->state == FRACTION ||
           scan->state == EXPONENT_DIGITS;
}
