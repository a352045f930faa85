#include "gateway/front/guard/http1.h"

#include "gateway/front/client.h"
#include "gateway/front/guard/streams.h"
#include "gateway/front/place.h"

#define HEAD_MOST (64u << 10) /* of whoever is no client */

#if SHEAF_GUARD_IS_ON

/* The first bytes of an HTTP/2 client (RFC 9113 3.4): -1, which makes libh2o change over; -2 while there are too few;
 * 0 when it is something else. */
static int look_for_preface(const char *bytes, size_t len)
{
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    size_t most = sizeof(preface) - 1;

    if (memcmp(bytes, preface, len < most ? len : most) != 0)
        return 0;
    return len < most ? -2 : -1;
}

static size_t head_most(const sheaf_client_t *client)
{
    return client == NULL ? HEAD_MOST : sheaf_front_limits(client->front)->headers_size_bytes;
}

static bool is_upgrade(const sheaf_header_t *field)
{
    return sheaf_str_eq(field->name, SHEAF_STR("upgrade"));
}

/* What libh2o would change over to HTTP/2 for (RFC 7540 3.2), which RFC 9113 has taken back: it never sees it. */
static bool is_for_upgrades(const sheaf_header_t *field)
{
    return is_upgrade(field) || sheaf_str_eq(field->name, SHEAF_STR("http2-settings"));
}

static bool is_h2c(sheaf_str_t protocol)
{
    return sheaf_str_ieq(sheaf_str(protocol.base, protocol.len < 3 ? protocol.len : 3), SHEAF_STR("h2c"));
}

/* h2c is no question: who offers it, as curl and the JDK do, is as well served in HTTP/1.1 (RFC 9110 7.8). */
static bool names_other_than_h2c(sheaf_str_t protocols)
{
    while (protocols.base != NULL) {
        sheaf_str_t protocol = sheaf_str_trim(sheaf_str_cut(&protocols, ','));

        if (protocol.len > 0 && !is_h2c(protocol))
            return true;
    }
    return false;
}

/* RFC 9110 7.8: one in HTTP/1.0 is to be ignored. */
static bool asks_for_upgrade(const sheaf_wire_head_t *head)
{
    for (uint32_t i = 0; i < head->header_count && head->minor_version > 0; i++)
        if (is_upgrade(&head->headers[i]) && names_other_than_h2c(head->headers[i].value))
            return true;
    return false;
}

/* RFC 9110 10.1.1: an Expect in HTTP/1.0 is to be ignored. */
static bool is_expect_of_http10(const sheaf_wire_head_t *head, const sheaf_header_t *field)
{
    return head->minor_version == 0 && sheaf_str_eq(field->name, SHEAF_STR("expect"));
}

/* libh2o looks at the last Connection field only, and there for keep-alive before all: one more says what all of them
 * come to (RFC 9112 9.3). */
static size_t hand_over(const sheaf_wire_head_t *head, struct phr_header *headers)
{
    static char name[] = "connection"; /* libh2o lowers names where they stand */
    bool has_connection = false;
    size_t count = 0;

    for (uint32_t i = 0; i < head->header_count; i++) {
        const sheaf_header_t *field = &head->headers[i];

        has_connection |= sheaf_str_eq(field->name, SHEAF_STR("connection"));
        if (!is_for_upgrades(field) && !is_expect_of_http10(head, field))
            headers[count++] =
                (struct phr_header){field->name.base, field->name.len, field->value.base, field->value.len};
    }
    if (!has_connection)
        return count;
    headers[count++] = head->is_persistent ? (struct phr_header){name, sizeof(name) - 1, "keep-alive", 10}
                                           : (struct phr_header){name, sizeof(name) - 1, "close", 5};
    return count;
}

static bool waits_for_continue(const sheaf_wire_head_t *head)
{
    for (uint32_t i = 0; i < head->header_count && head->minor_version > 0; i++)
        if (sheaf_str_eq(head->headers[i].name, SHEAF_STR("expect")))
            return sheaf_str_ieq(head->headers[i].value, SHEAF_STR("100-continue"));
    return false;
}

/* RFC 9110 10.1.1: where the head says that the answer is 413, its client is not asked to send the body. libh2o sees to that
 * only beyond the largest limit of all. */
static bool is_too_large(const sheaf_client_t *client, const sheaf_wire_head_t *head)
{
    return head->body == SHEAF_WIRE_LENGTH && !client->is_admin && waits_for_continue(head) &&
           head->content_length >
               sheaf_place_most_bytes(client->front->epoch->env.snapshot, head->method, head->host, head->target);
}

static void object(sheaf_client_t *client, sheaf_err_t err, const char *why, sheaf_wire_head_t *head)
{
    client->objection = (sheaf_objection_t){err, why};
    head->body = SHEAF_WIRE_NO_BODY;
    head->method = SHEAF_STR("GET");
    head->target = SHEAF_STR("/");
    head->minor_version = 1;
}

/* What the handler is given instead of a head that was refused. */
static size_t hand_over_fault(struct phr_header *headers)
{
    static char name[] = "connection"; /* libh2o lowers names where they stand */

    headers[0] = (struct phr_header){name, sizeof(name) - 1, "close", 5};
    return 1;
}

SHEAF_GUARD_REPLACES int phr_parse_request(const char *bytes, size_t len, const char **ret_method,
                                           size_t *ret_method_len, const char **ret_path, size_t *ret_path_len,
                                           int *ret_minor_version, struct phr_header *headers, size_t *num_headers,
                                           size_t last_len)
{
    sheaf_client_t *client = sheaf_stream_client();
    sheaf_wire_head_t head;
    sheaf_err_t err = SHEAF_OK;
    const char *why = NULL;
    int preface = look_for_preface(bytes, len);
    long used;

    sheaf_guard_fired(SHEAF_GUARD_HTTP1);
    if (preface != 0)
        return preface;
    used = sheaf_wire_parse_request((char *)(uintptr_t)bytes, len, last_len, head_most(client), &head, &err, &why);
    if (used == 0) {
        if (client != NULL)
            sheaf_pace_enter(client, SHEAF_PHASE_HEAD);
        return -2;
    }
    if (used > 0 && head.header_count >= *num_headers) { /* one more is ours */
        used = -1;
        err = SHEAF_ERR_HEAD_TOO_LARGE;
        why = "too many header fields";
    }
    if (used < 0 && client == NULL)
        return -1;
    if (used < 0) {
        sheaf_count(client->front->env.metrics, SHEAF_METRIC_REFUSED_HTTP1, 1);
        object(client, err, why, &head);
        used = (long)len;
    } else if (client != NULL && is_too_large(client, &head)) {
        err = SHEAF_ERR_TOO_LARGE;
        object(client, err, "the body is larger than what is taken here", &head);
    }
    if (client != NULL && head.body != SHEAF_WIRE_NO_BODY)
        sheaf_pace_enter(client, SHEAF_PHASE_BODY);
    if (client != NULL)
        client->http1.asks_for_upgrade = err == SHEAF_OK && asks_for_upgrade(&head);
    *ret_method = head.method.base;
    *ret_method_len = head.method.len;
    *ret_path = head.target.base;
    *ret_path_len = head.target.len;
    *ret_minor_version = head.minor_version;
    *num_headers = err != SHEAF_OK ? hand_over_fault(headers) : hand_over(&head, headers);
    return (int)used;
}

/* Decodes in place, as the real one does: body bytes to the front, what follows the body right behind them. */
SHEAF_GUARD_REPLACES ssize_t phr_decode_chunked(struct phr_chunked_decoder *decoder, char *bytes, size_t *len)
{
    static sheaf_http1_t nobodys;
    sheaf_client_t *client = sheaf_stream_client();
    sheaf_http1_t *http1 = client == NULL ? &nobodys : &client->http1;
    const char *at = bytes, *end = bytes + *len;
    size_t decoded = 0, rest = 0;
    int state = 0;

    sheaf_guard_fired(SHEAF_GUARD_CHUNKS);
    if (decoder->state == 0)
        memset(&http1->chunks, 0, sizeof(http1->chunks));
    http1->chunks.is_strict = true;
    decoder->state = 1;
    for (sheaf_str_t run; state == 0; decoded += run.len) {
        run = sheaf_wire_next_chunk(&http1->chunks, &at, end, &state);
        if (run.len == 0)
            break;
        memmove(bytes + decoded, run.base, run.len);
    }
    if (state < 0) {
        if (client != NULL)
            sheaf_count(client->front->env.metrics, SHEAF_METRIC_REFUSED_CHUNKS, 1);
        return -1;
    }
    rest = (size_t)(end - at);
    memmove(bytes + decoded, at, rest);
    *len = decoded;
    return state == 1 ? (ssize_t)rest : -2;
}

#endif
