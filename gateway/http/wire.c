#include "gateway/http/wire.h"

#include "gateway/base/eight.h"

#define VERSION_PREFIX     "HTTP/1."
#define VERSION_PREFIX_LEN 7

typedef enum step { STEP_OK, STEP_MORE, STEP_BAD } step_t;

/* One pass over a head. What the fields say about framing is gathered on the way and judged at the end. */
typedef struct reader {
    char *at;
    char *end;
    const char *fault; /* where the grammar broke; see verdict() */
    const char *why;
    sheaf_err_t err;
    sheaf_wire_head_t *head;
    uint32_t hosts, listed;
    bool has_length, has_chunked, says_close, says_keepalive;
} reader_t;

static step_t bad(reader_t *reader, const char *fault, const char *why)
{
    reader->err = SHEAF_ERR_BAD_REQUEST;
    reader->fault = fault;
    reader->why = why;
    return STEP_BAD;
}

/* Where a request has an error of its own. */
static step_t bad_as(reader_t *reader, const char *fault, sheaf_err_t err, const char *why)
{
    bad(reader, fault, why);
    reader->err = err;
    return STEP_BAD;
}

/* Steps over CR LF at `at`. */
static step_t read_line_end(reader_t *reader)
{
    if (reader->at == reader->end)
        return STEP_MORE;
    if (*reader->at != '\r')
        return bad(reader, reader->at,
                   *reader->at == '\n' ? "a line ends in a bare LF" : "a control character in the head");
    if (reader->end - reader->at < 2)
        return STEP_MORE;
    if (reader->at[1] != '\n')
        return bad(reader, reader->at, "a bare CR in the head");
    reader->at += 2;
    return STEP_OK;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* "HTTP/1.1 200 OK", "HTTP/1.1 200 " and, as some servers write it, "HTTP/1.1 200". */
static step_t read_status_line(reader_t *reader)
{
    static const char no_status[] = "a status line without a status of three digits";
    const char *line = reader->at;
    uint32_t status;

    if (reader->end - line > 7 && line[7] != '0' && line[7] != '1')
        return bad(reader, line, "a version other than HTTP/1.0 and HTTP/1.1");
    if (reader->end - line < 13)
        /* without its end it may be cut; with it, it is too short for any status line */
        return memchr(line, '\n', (size_t)(reader->end - line)) == NULL ? STEP_MORE : bad(reader, line, no_status);
    if (line[8] != ' ' || !is_digit(line[9]) || !is_digit(line[10]) || !is_digit(line[11]) ||
        (line[12] != ' ' && line[12] != '\r'))
        return bad(reader, line, no_status);
    status = (uint32_t)((line[9] - '0') * 100 + (line[10] - '0') * 10 + (line[11] - '0'));
    if (status < 100 || status > 599)
        return bad(reader, line, "a status outside 100 to 599");

    reader->head->minor_version = (uint8_t)(line[7] - '0');
    reader->head->status = (uint16_t)status;
    reader->at += 12;
    reader->at += sheaf_header_value_span(reader->at, (size_t)(reader->end - reader->at));
    return read_line_end(reader);
}

/* --- fields --- */

static step_t take_length(reader_t *reader, sheaf_str_t value)
{
    uint64_t length;

    if (reader->has_length)
        return bad(reader, reader->at - 1, "more than one Content-Length");
    if (!sheaf_str_to_u64(value, &length) || length > INT64_MAX)
        return bad(reader, reader->at - 1, "a malformed Content-Length");
    reader->has_length = true;
    reader->head->content_length = length;
    return STEP_OK;
}

static step_t take_coding(reader_t *reader, sheaf_str_t value)
{
    if (reader->has_chunked)
        return bad(reader, reader->at - 1, "more than one Transfer-Encoding");
    if (value.len == 0)
        return bad(reader, reader->at - 1, "an empty Transfer-Encoding");
    if (!sheaf_str_ieq(value, SHEAF_STR("chunked")))
        return bad_as(reader, reader->at - 1, SHEAF_ERR_CODING, "a transfer coding other than chunked");
    reader->has_chunked = true;
    return STEP_OK;
}

/* Keep-Alive: timeout=5, max=100. A hint: what is not understood is passed over. */
static void take_keepalive(reader_t *reader, sheaf_str_t value)
{
    static const sheaf_str_t timeout = {"timeout", 7};

    while (value.base != NULL) {
        sheaf_str_t number = sheaf_str_cut(&value, ',');
        sheaf_str_t name = sheaf_str_trim(sheaf_str_cut(&number, '='));
        uint64_t seconds;

        if (number.base == NULL || !sheaf_str_ieq(name, timeout) || !sheaf_str_to_u64(sheaf_str_trim(number), &seconds))
            continue;
        reader->head->keepalive_timeout_s = seconds < UINT32_MAX ? (uint32_t)seconds : UINT32_MAX - 1;
    }
}

static step_t take_connection(reader_t *reader, sheaf_str_t value)
{
    reader->listed += sheaf_header_list_count(value);
    if (reader->listed > SHEAF_HEADER_LISTED_MAX)
        return bad(reader, reader->at - 1, "a Connection that lists too many names");
    reader->says_close |= sheaf_header_list_has(value, SHEAF_STR("close"));
    reader->says_keepalive |= sheaf_header_list_has(value, SHEAF_STR("keep-alive"));
    return STEP_OK;
}

/* Only five names mean anything here; their lengths tell them from nearly all others. */
static step_t take_field(reader_t *reader, sheaf_str_t name, sheaf_str_t value)
{
    switch (name.len) {
    case 4:
        if (memcmp(name.base, "host", 4) == 0) {
            reader->head->host = value;
            reader->hosts++;
        }
        return STEP_OK;
    case 10:
        if (memcmp(name.base, "connection", 10) == 0)
            return take_connection(reader, value);
        if (memcmp(name.base, "keep-alive", 10) == 0)
            take_keepalive(reader, value);
        return STEP_OK;
    case 14:
        return memcmp(name.base, "content-length", 14) == 0 ? take_length(reader, value) : STEP_OK;
    case 17:
        return memcmp(name.base, "transfer-encoding", 17) == 0 ? take_coding(reader, value) : STEP_OK;
    default:
        return STEP_OK;
    }
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Letters and dashes, as nearly all names are, sixteen at once where they are there; returns what is behind those it
 * lowered. */
static char *lower_near(char *at, const char *end)
{
#ifdef __SSE2__
    if (end - at >= 16) {
        __m128i word = sheaf_sixteen_at(at), upper = sheaf_sixteen_within(word, 'A', 'Z');
        unsigned other =
            ~sheaf_sixteen_bits(upper | sheaf_sixteen_within(word, 'a', 'z') | sheaf_sixteen_equal(word, '-'));
        unsigned len = (unsigned)__builtin_ctz(other);

        for (unsigned bits = sheaf_sixteen_bits(upper) & ~(~0u << len); bits != 0; bits &= bits - 1)
            at[__builtin_ctz(bits)] |= 0x20;
        return at + len;
    }
#endif
    (void)end;
    return at;
}

/* The name up to its colon, lowered in place; STEP_OK with `at` behind the colon. */
static step_t read_name(reader_t *reader, sheaf_str_t *ret_name)
{
    char *name = reader->at, *end = reader->end, *at = lower_near(name, end);

    for (char lower; at < end && (lower = sheaf_token_lower[(uint8_t)*at]) != 0; at++)
        *at = lower;
    if (at == end)
        return STEP_MORE;
    if (at == name)
        return bad(reader, at, is_blank(*at) ? "a folded header line" : "a header line without a name");
    if (*at != ':')
        return bad(reader, at, is_blank(*at) ? "white space before a colon" : "a header name that is no token");
    *ret_name = sheaf_str(name, (size_t)(at - name));
    reader->at = at + 1;
    return STEP_OK;
}

static step_t read_field(reader_t *reader)
{
    sheaf_wire_head_t *head = reader->head;
    sheaf_str_t name, value;
    step_t step = read_name(reader, &name);

    if (step != STEP_OK)
        return step;
    while (reader->at < reader->end && is_blank(*reader->at))
        reader->at++;
    value.base = reader->at;
    value.len = sheaf_header_value_span(reader->at, (size_t)(reader->end - reader->at));
    reader->at += value.len;
    step = read_line_end(reader);
    if (step != STEP_OK)
        return step;
    while (value.len > 0 && is_blank(value.base[value.len - 1]))
        value.len--;
    if (head->header_count == SHEAF_WIRE_MAX_HEADERS)
        return bad_as(reader, reader->at - 1, SHEAF_ERR_HEAD_TOO_LARGE, "too many header fields");
    head->headers[head->header_count++] = (sheaf_header_t){name, value};
    return take_field(reader, name, value);
}

/* --- what the head says about its body (RFC 9112 6.3) and its conn (9.3) --- */

static step_t judge_framing(reader_t *reader, bool was_head)
{
    sheaf_wire_head_t *head = reader->head;
    bool has_no_body = was_head || head->status < 200 || head->status == 204 || head->status == 304;

    if (reader->has_length && reader->has_chunked)
        return bad(reader, reader->at - 1, "Content-Length together with Transfer-Encoding");
    if (reader->has_chunked && head->minor_version == 0)
        return bad(reader, reader->at - 1, "Transfer-Encoding in an HTTP/1.0 answer");

    if (has_no_body)
        head->body = SHEAF_WIRE_NO_BODY;
    else if (reader->has_chunked)
        head->body = SHEAF_WIRE_CHUNKED;
    else
        head->body = reader->has_length ? SHEAF_WIRE_LENGTH : SHEAF_WIRE_TO_EOF;

    head->is_persistent = head->body != SHEAF_WIRE_TO_EOF && !reader->says_close &&
                          (head->minor_version == 1 || reader->says_keepalive) && head->status != 101;
    /* a 204 that announces bytes may well send them */
    if (head->status == 204 && (reader->has_chunked || (reader->has_length && head->content_length > 0)))
        head->is_persistent = false;
    return STEP_OK;
}

/* The fields, with the empty line that ends them. */
static step_t read_fields(reader_t *reader)
{
    step_t step = STEP_OK;

    while (step == STEP_OK) {
        if (reader->at == reader->end)
            return STEP_MORE;
        if (*reader->at == '\r' || *reader->at == '\n')
            return read_line_end(reader);
        step = read_field(reader);
    }
    return step;
}

static step_t read_head(reader_t *reader, bool was_head)
{
    step_t step = read_status_line(reader);

    if (step == STEP_OK)
        step = read_fields(reader);
    return step == STEP_OK ? judge_framing(reader, was_head) : step;
}

/* no new line has ended since: nothing new can be said */
static bool is_still_cut(const char *bytes, size_t len, size_t scanned)
{
    return scanned > 0 && (scanned >= len || memchr(bytes + scanned, '\n', len - scanned) == NULL);
}

/* The line at fault may not have ended yet: then it is judged when it has. */
static bool is_fault_whole(const reader_t *reader)
{
    return memchr(reader->fault, '\n', (size_t)(reader->end - reader->fault)) != NULL;
}

long sheaf_wire_parse_head(char *bytes, size_t len, size_t scanned, bool was_head, sheaf_wire_head_t *ret_head,
                           const char **ret_why)
{
    reader_t reader = {.at = bytes, .end = bytes + len, .head = ret_head};

    if (memcmp(bytes, VERSION_PREFIX, len < VERSION_PREFIX_LEN ? len : VERSION_PREFIX_LEN) != 0) {
        *ret_why = "an answer that does not begin with HTTP/1.";
        return -1;
    }
    if (is_still_cut(bytes, len, scanned))
        return 0;

    ret_head->header_count = 0;
    ret_head->content_length = UINT64_MAX;
    ret_head->keepalive_timeout_s = UINT32_MAX;
    switch (read_head(&reader, was_head)) {
    case STEP_OK:
        return reader.at - bytes;
    case STEP_BAD:
        if (!is_fault_whole(&reader))
            return 0;
        *ret_why = reader.why;
        return -1;
    default:
        return 0;
    }
}

/* --- requests --- */

#define EMPTY_LINES_MOST 2
#define METHOD_MOST      32

static step_t read_method(reader_t *reader)
{
    char *method = reader->at;

    while (reader->at < reader->end && sheaf_token_lower[(uint8_t)*reader->at] != 0)
        reader->at++;
    if (reader->at == reader->end)
        return STEP_MORE;
    if (reader->at == method || reader->at - method > METHOD_MOST || *reader->at != ' ')
        return bad(reader, reader->at, "a request line that does not begin with a method and a space");
    reader->head->method = sheaf_str(method, (size_t)(reader->at - method));
    reader->at++;
    return STEP_OK;
}

static step_t read_target(reader_t *reader)
{
    char *target = reader->at;

    while (reader->at<reader->end && * reader->at> ' ' && *reader->at < 0x7f && *reader->at != '#')
        reader->at++;
    if (reader->at == reader->end)
        return STEP_MORE;
    if (reader->at == target || *reader->at != ' ')
        return bad(reader, reader->at, "a request target that is empty, unended or holds a byte that may not be there");
    if (reader->at - target > SHEAF_WIRE_TARGET_MOST)
        return bad_as(reader, reader->at, SHEAF_ERR_URI_TOO_LONG, "a request target of more than 8 KiB");
    reader->head->target = sheaf_str(target, (size_t)(reader->at - target));
    reader->at++;
    return STEP_OK;
}

static step_t read_version(reader_t *reader)
{
    static const char form[] = "HTTP/0.0"; /* 0: a digit */
    const char *version = reader->at;
    size_t left = (size_t)(reader->end - version);

    for (size_t i = 0; i < left && i < sizeof(form) - 1; i++) {
        if (form[i] == '0' ? !is_digit(version[i]) : version[i] != form[i])
            return bad(reader, version, "a request line without HTTP/1.x at its end");
    }
    if (left < sizeof(form) - 1)
        return STEP_MORE;
    if (version[5] != '1' || version[7] > '1')
        return bad_as(reader, version, SHEAF_ERR_VERSION, "a version other than HTTP/1.0 and HTTP/1.1");
    reader->head->minor_version = (uint8_t)(version[7] - '0');
    reader->at += sizeof(form) - 1;
    return read_line_end(reader);
}

/* RFC 9112 2.2: some clients send an empty line too many after a body. */
static step_t skip_empty_lines(reader_t *reader)
{
    step_t step = STEP_OK;

    for (int i = 0; i < EMPTY_LINES_MOST && step == STEP_OK; i++) {
        if (reader->at < reader->end && *reader->at != '\r' && *reader->at != '\n')
            return STEP_OK;
        step = read_line_end(reader);
    }
    return step;
}

/* absolute-form: its authority is what counts, and Host must say the same (RFC 9112 3.2.2). */
static step_t take_absolute(reader_t *reader)
{
    sheaf_wire_head_t *head = reader->head;
    sheaf_str_t rest = head->target, authority;
    size_t scheme = sheaf_str_ieq(sheaf_str(rest.base, rest.len < 7 ? rest.len : 7), SHEAF_STR("http://"))    ? 7
                    : sheaf_str_ieq(sheaf_str(rest.base, rest.len < 8 ? rest.len : 8), SHEAF_STR("https://")) ? 8
                                                                                                              : 0;
    const char *end = rest.base + rest.len, *at = rest.base + scheme;

    if (scheme == 0)
        return bad(reader, reader->at - 1, "a request target that is neither a path nor an http URL");
    while (at < end && *at != '/' && *at != '?')
        at++;
    authority = sheaf_str(rest.base + scheme, (size_t)(at - rest.base) - scheme);
    if (!sheaf_wire_host_is_valid(authority))
        return bad(reader, reader->at - 1, "a request target whose authority is not valid");
    if (head->host.base != NULL && !sheaf_str_ieq(authority, head->host))
        return bad(reader, reader->at - 1, "a request target and a Host that differ");
    if (at == end) {
        head->target = SHEAF_STR("/");
    } else if (*at == '?') { /* the last byte of the authority has been read: its place is free */
        char *slash = (char *)at - 1;
        *slash = '/';
        head->target = sheaf_str(slash, (size_t)(end - slash));
    } else {
        head->target = sheaf_str(at, (size_t)(end - at));
    }
    return STEP_OK;
}

static step_t judge_target(reader_t *reader)
{
    sheaf_wire_head_t *head = reader->head;

    if (sheaf_str_eq(head->method, SHEAF_STR("CONNECT")))
        return bad_as(reader, reader->at - 1, SHEAF_ERR_METHOD, "CONNECT is not for a gateway");
    if (head->target.base[0] == '/')
        return STEP_OK;
    if (sheaf_str_eq(head->target, SHEAF_STR("*")) && sheaf_str_eq(head->method, SHEAF_STR("OPTIONS")))
        return STEP_OK;
    return take_absolute(reader);
}

static step_t judge_request(reader_t *reader)
{
    sheaf_wire_head_t *head = reader->head;

    if (reader->has_length && reader->has_chunked)
        return bad(reader, reader->at - 1, "Content-Length together with Transfer-Encoding");
    if (reader->has_chunked && head->minor_version == 0)
        return bad(reader, reader->at - 1, "Transfer-Encoding in an HTTP/1.0 request");
    if (reader->hosts > 1)
        return bad(reader, reader->at - 1, "more than one Host");
    if (reader->hosts == 0 && head->minor_version == 1)
        return bad(reader, reader->at - 1, "no Host");
    if (reader->hosts == 1 && !sheaf_wire_host_is_valid(head->host))
        return bad(reader, reader->at - 1, "a Host that is not a host");
    head->body = reader->has_chunked ? SHEAF_WIRE_CHUNKED : reader->has_length ? SHEAF_WIRE_LENGTH : SHEAF_WIRE_NO_BODY;
    head->is_persistent = !reader->says_close && (head->minor_version == 1 || reader->says_keepalive);
    return judge_target(reader);
}

static step_t read_request(reader_t *reader)
{
    step_t step = skip_empty_lines(reader);

    if (step == STEP_OK)
        step = read_method(reader);
    if (step == STEP_OK)
        step = read_target(reader);
    if (step == STEP_OK)
        step = read_version(reader);
    if (step == STEP_OK)
        step = read_fields(reader);
    return step == STEP_OK ? judge_request(reader) : step;
}

long sheaf_wire_parse_request(char *bytes, size_t len, size_t scanned, size_t head_most, sheaf_wire_head_t *ret_head,
                              sheaf_err_t *ret_err, const char **ret_why)
{
    size_t looked_at = len < head_most ? len : head_most;
    reader_t reader = {.at = bytes, .end = bytes + looked_at, .head = ret_head};
    step_t step = STEP_MORE;
    /* what begins no method will not do so later (a TLS client at a clear-text port) */
    bool is_hopeless = len > 0 && *bytes != '\r' && sheaf_token_lower[(uint8_t)*bytes] == 0;

    if (scanned == 0 || !is_still_cut(bytes, looked_at, scanned)) {
        ret_head->header_count = 0;
        ret_head->status = 0;
        ret_head->content_length = UINT64_MAX;
        ret_head->host = SHEAF_STR_NONE;
        step = read_request(&reader);
    }
    if (step == STEP_OK)
        return reader.at - bytes;
    if (step == STEP_BAD && (is_hopeless || is_fault_whole(&reader))) {
        *ret_err = reader.err;
        *ret_why = reader.why;
        return -1;
    }
    if (len < head_most)
        return 0;
    *ret_err = SHEAF_ERR_HEAD_TOO_LARGE;
    *ret_why = "a head that is too large";
    return -1;
}
