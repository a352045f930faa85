#include "gateway/http/wire.h"

#define VERSION_PREFIX     "HTTP/1."
#define VERSION_PREFIX_LEN 7

typedef enum step { STEP_OK, STEP_MORE, STEP_BAD } step_t;

/* One pass over a head. What the fields say about framing is gathered on the way and judged at the end. */
typedef struct reader {
    char *at;
    char *end;
    const char *fault; /* where the grammar broke; see verdict() */
    const char *why;
    sheaf_wire_head_t *head;
    bool has_length, has_chunked, says_close, says_keepalive;
} reader_t;

static step_t bad(reader_t *reader, const char *fault, const char *why)
{
    reader->fault = fault;
    reader->why = why;
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
    if (!sheaf_str_ieq(value, SHEAF_STR("chunked")))
        return bad(reader, reader->at - 1, "a transfer coding other than chunked");
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

static void take_connection(reader_t *reader, sheaf_str_t value)
{
    reader->says_close |= sheaf_header_list_has(value, SHEAF_STR("close"));
    reader->says_keepalive |= sheaf_header_list_has(value, SHEAF_STR("keep-alive"));
}

/* Only four names mean anything to framing; their lengths tell them from nearly all others. */
static step_t take_field(reader_t *reader, sheaf_str_t name, sheaf_str_t value)
{
    switch (name.len) {
    case 10:
        if (memcmp(name.base, "connection", 10) == 0)
            take_connection(reader, value);
        else if (memcmp(name.base, "keep-alive", 10) == 0)
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

/* The name up to its colon, lowered in place; STEP_OK with `at` behind the colon. */
static step_t read_name(reader_t *reader, sheaf_str_t *ret_name)
{
    char *name = reader->at, *at = name, *end = reader->end;

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
        return bad(reader, reader->at - 1, "too many header fields");
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

static step_t read_head(reader_t *reader, bool was_head)
{
    step_t step = read_status_line(reader);

    while (step == STEP_OK) {
        if (reader->at == reader->end)
            return STEP_MORE;
        if (*reader->at == '\r' || *reader->at == '\n') {
            step = read_line_end(reader);
            return step == STEP_OK ? judge_framing(reader, was_head) : step;
        }
        step = read_field(reader);
    }
    return step;
}

long sheaf_wire_parse_head(char *bytes, size_t len, size_t scanned, bool was_head, sheaf_wire_head_t *ret_head,
                           const char **ret_why)
{
    reader_t reader = {.at = bytes, .end = bytes + len, .head = ret_head};

    if (memcmp(bytes, VERSION_PREFIX, len < VERSION_PREFIX_LEN ? len : VERSION_PREFIX_LEN) != 0) {
        *ret_why = "an answer that does not begin with HTTP/1.";
        return -1;
    }
    /* no new line has ended: nothing new can be said */
    if (scanned > 0 && (scanned >= len || memchr(bytes + scanned, '\n', len - scanned) == NULL))
        return 0;

    ret_head->header_count = 0;
    ret_head->content_length = UINT64_MAX;
    ret_head->keepalive_timeout_s = UINT32_MAX;
    switch (read_head(&reader, was_head)) {
    case STEP_OK:
        return reader.at - bytes;
    case STEP_BAD:
        /* the line at fault may not have ended yet: then it is judged when it has */
        if (memchr(reader.fault, '\n', (size_t)(reader.end - reader.fault)) == NULL)
            return 0;
        *ret_why = reader.why;
        return -1;
    default:
        return 0;
    }
}
