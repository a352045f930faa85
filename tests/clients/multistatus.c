/* libneon reads the XML multistatus: multistatus HOST PORT prints a line per test, "ok ..." or "not ok ...".
 *
 * ne_207 gives href, status and description of every response as any WebDAV client would see them; a handler of our own
 * beside it reads S:item, as a client that knows Sheaf would. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ne_207.h>
#include <ne_basic.h>
#include <ne_request.h>
#include <ne_session.h>
#include <ne_uri.h>
#include <ne_xml.h>

#define ITEMS_MOST 16
#define OWN        "urn:sheaf:batch"

enum { STATE_ITEM = NE_207_STATE_TOP + 1, STATE_HEADER, STATE_BODY, STATE_INSIDE };

typedef struct item {
    char href[256], id[64], body[1024], description[256];
    int code;
    bool is_base64;
} item_t;

typedef struct answer {
    item_t items[ITEMS_MOST];
    int count, ended;
    int status;
    char error[256];
} answer_t;

/* --- what ne_207 tells --- */

static void *on_response(void *data, const ne_uri *uri)
{
    answer_t *answer = data;
    item_t *item = &answer->items[answer->count < ITEMS_MOST ? answer->count++ : ITEMS_MOST - 1];

    snprintf(item->href, sizeof(item->href), "%s%s%s", uri->path, uri->query != NULL ? "?" : "",
             uri->query != NULL ? uri->query : "");
    return item;
}

static void on_response_end(void *data, void *response, const ne_status *status, const char *description)
{
    answer_t *answer = data;
    item_t *item = response;

    answer->ended++;
    item->code = status != NULL ? status->code : 0;
    snprintf(item->description, sizeof(item->description), "%s", description != NULL ? description : "");
}

/* --- what stands in S:item --- */

static item_t *latest(answer_t *answer)
{
    return &answer->items[answer->count > 0 ? answer->count - 1 : 0];
}

static const char *attribute(const char **atts, const char *name)
{
    for (; atts != NULL && atts[0] != NULL; atts += 2)
        if (strcmp(atts[0], name) == 0)
            return atts[1];
    return "";
}

static int on_start(void *data, int parent, const char *nspace, const char *name, const char **atts)
{
    item_t *item = latest(data);

    if (parent == STATE_BODY || parent == STATE_INSIDE)
        return STATE_INSIDE;
    if (strcmp(nspace, OWN) != 0)
        return NE_XML_DECLINE;
    if (strcmp(name, "item") == 0) {
        snprintf(item->id, sizeof(item->id), "%s", attribute(atts, "id"));
        return STATE_ITEM;
    }
    if (parent == STATE_ITEM && strcmp(name, "body") == 0) {
        item->is_base64 = strcmp(attribute(atts, "encoding"), "base64") == 0;
        return STATE_BODY;
    }
    return parent == STATE_ITEM ? STATE_HEADER : NE_XML_DECLINE;
}

static int on_text(void *data, int state, const char *text, size_t len)
{
    item_t *item = latest(data);
    size_t used = strlen(item->body);

    if ((state == STATE_BODY || state == STATE_INSIDE) && used + len < sizeof(item->body)) {
        memcpy(item->body + used, text, len);
        item->body[used + len] = '\0';
    }
    return 0;
}

/* --- one batch --- */

static void post(ne_session *session, const char *batch, answer_t *answer)
{
    ne_request *request = ne_request_create(session, "POST", "/batch");
    ne_xml_parser *parser = ne_xml_create();
    ne_207_parser *multistatus;
    ne_uri base = {0};

    memset(answer, 0, sizeof(*answer));
    ne_fill_server_uri(session, &base);
    base.path = strdup("/batch");
    multistatus = ne_207_create(parser, &base, answer);
    ne_207_set_response_handlers(multistatus, on_response, on_response_end);
    ne_xml_push_handler(parser, on_start, on_text, NULL, answer);
    ne_add_request_header(request, "Content-Type", "application/json");
    ne_add_request_header(request, "Accept", "application/xml");
    ne_set_request_body_buffer(request, batch, strlen(batch));
    ne_add_response_body_reader(request, ne_accept_207, ne_xml_parse_v, parser);
    if (ne_request_dispatch(request) != NE_OK)
        snprintf(answer->error, sizeof(answer->error), "%s", ne_get_error(session));
    else if (ne_xml_failed(parser))
        snprintf(answer->error, sizeof(answer->error), "%s", ne_xml_get_error(parser));
    answer->status = ne_get_status(request)->code;
    ne_207_destroy(multistatus);
    ne_xml_destroy(parser);
    ne_uri_free(&base);
    ne_request_destroy(request);
}

/* --- the tests --- */

static int failed;

static void check(const char *name, bool is_ok, const answer_t *answer)
{
    printf("%s %s\n", is_ok ? "ok" : "not ok", name);
    if (is_ok)
        return;
    failed = 1;
    printf("  status %d, %d responses, %d ended, error \"%s\"\n", answer->status, answer->count, answer->ended,
           answer->error);
    for (int i = 0; i < answer->count; i++)
        printf("  %s: %d %s, id \"%s\", body \"%s\"\n", answer->items[i].href, answer->items[i].code,
               answer->items[i].description, answer->items[i].id, answer->items[i].body);
}

static bool is(const item_t *item, const char *href, int code, const char *id)
{
    return strcmp(item->href, href) == 0 && item->code == code && strcmp(item->id, id) == 0;
}

static bool is_whole(const answer_t *answer, int count)
{
    return answer->status == 207 && answer->error[0] == '\0' && answer->count == count && answer->ended == count;
}

static void every_item_is_a_response_with_href_and_status(ne_session *session)
{
    answer_t answer;
    const item_t *items = answer.items;

    post(session,
         "[{\"id\":\"u\",\"url\":\"/o/text\"},{\"id\":\"n\",\"url\":\"/o/status/404\"},"
         "{\"id\":\"d\",\"url\":\"/o/status/204\",\"method\":\"DELETE\"},{\"id\":\"x\",\"url\":\"/nowhere\"}]",
         &answer);
    check("every item is a response with its href and status",
          is_whole(&answer, 4) && is(&items[0], "/o/text", 200, "u") && is(&items[1], "/o/status/404", 404, "n") &&
              is(&items[2], "/o/status/204", 204, "d") && is(&items[3], "/nowhere", 404, "x"),
          &answer);
    check("a text body is read as text", strstr(items[0].body, "plain \"text\"") != NULL && !items[0].is_base64,
          &answer);
    check("an item the gateway refused has a description", strlen(items[3].description) > 0, &answer);
}

static void hrefs_that_neon_would_drop_are_escaped(ne_session *session)
{
    answer_t answer;
    const item_t *items = answer.items;

    post(session,
         "[{\"id\":\"a b\",\"url\":\"/o/echo?q=a b\\\"<>{}|\"},{\"id\":\"é\",\"url\":\"/o/text?é\"},"
         "{\"id\":\"<&>\",\"url\":\"/o/text\"}]",
         &answer);
    check("hrefs with characters that RFC 3986 does not know are there",
          is_whole(&answer, 3) && is(&items[0], "/o/echo?q=a%20b%22%3C%3E%7B%7D%7C", 200, "a b") &&
              is(&items[1], "/o/text?%C3%A9", 200, "\xc3\xa9") && is(&items[2], "/o/text", 200, "<&>"),
          &answer);
}

static void a_url_that_stands_twice_is_two_responses(ne_session *session)
{
    answer_t answer;
    const item_t *items = answer.items;

    post(session, "[{\"id\":\"a\",\"url\":\"/o/text\"},{\"id\":\"b\",\"url\":\"/o/text\"}]", &answer);
    check("a url that stands twice is two responses with different hrefs",
          is_whole(&answer, 2) && strcmp(items[0].href, items[1].href) != 0 && items[0].code == 200 &&
              items[1].code == 200 && strcmp(items[1].id, "b") == 0,
          &answer);
}

static void a_failed_dependency_is_told(ne_session *session)
{
    answer_t answer;

    post(session, "[{\"id\":\"a\",\"url\":\"/o/status/500\"},{\"id\":\"b\",\"url\":\"/o/text\",\"dependsOn\":[\"a\"]}]",
         &answer);
    check("a failed dependency is 424 with a description",
          is_whole(&answer, 2) && answer.items[1].code == 424 && strstr(answer.items[1].description, "a") != NULL,
          &answer);
}

static void binary_and_empty_batches_are_well_formed(ne_session *session)
{
    answer_t answer;

    post(session, "[{\"url\":\"/o/bytes/64\"}]", &answer);
    check("any bytes are well-formed", is_whole(&answer, 1) && answer.items[0].code == 200, &answer);
    post(session, "[]", &answer);
    check("an empty batch is an empty multistatus", is_whole(&answer, 0), &answer);
}

int main(int argc, char **argv)
{
    ne_session *session;

    if (argc != 3 || ne_sock_init() != 0)
        return 2;
    session = ne_session_create("http", argv[1], (unsigned)atoi(argv[2]));
    every_item_is_a_response_with_href_and_status(session);
    hrefs_that_neon_would_drop_are_escaped(session);
    a_url_that_stands_twice_is_two_responses(session);
    a_failed_dependency_is_told(session);
    binary_and_empty_batches_are_well_formed(session);
    ne_session_destroy(session);
    ne_sock_exit();
    return failed;
}
