/* origin/origin.c - a backend whose URL says what it does.
 *
 *   origin PORT [ADDRESS]   0 = any; prints "listening on ADDRESS:PORT"; ADDRESS is 127.0.0.1 unless given, :: is all
 *
 * It does on purpose what backends do by accident: late, half, ambiguous and garbage answers. What a URL does is in the
 * three tables below; /delay/MS/REST does REST after MS milliseconds. */
#include <arpa/inet.h>
#include <ctype.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/origin/client.h"

static void send_text(client_t *client, int status, const char *type, const char *extra, const char *body)
{
    send_answer(client, status, type, extra, body, strlen(body));
}

/* Writes a JSON string; bytes are read as ISO-8859-1, so that nothing is lost. */
static char *put_string(char *at, const char *text, size_t len)
{
    *at++ = '"';
    for (size_t i = 0; i < len; i++) {
        unsigned char byte = (unsigned char)text[i];
        if (byte < 0x20 || byte > 0x7e || byte == '"' || byte == '\\')
            at += sprintf(at, "\\u%04x", byte);
        else
            *at++ = (char)byte;
    }
    *at++ = '"';
    return at;
}

static char *put_header(char *at, const char *line)
{
    size_t name_len = strcspn(line, ":");
    const char *value = line + name_len + 1 + strspn(line + name_len + 1, " ");
    char *name_at = at + 1;

    at = put_string(name_at, line, name_len);
    for (char *letter = name_at; letter < at; letter++)
        *letter = (char)tolower((unsigned char)*letter);
    *at++ = ',';
    return put_string(at, value, strlen(value));
}

static void do_echo(client_t *client)
{
    char *json = malloc(6 * client->request_len + 256), *at = json;

    at = put_string(at + sprintf(at, "{\"method\":"), client->method, strlen(client->method));
    at = put_string(at + sprintf(at, ",\"target\":"), client->target, strlen(client->target));
    at += sprintf(at, ",\"headers\":[");
    for (char *line = client->headers; line < client->headers + client->headers_len; line += strlen(line) + 2) {
        if (line > client->headers)
            *at++ = ',';
        *at = '[';
        at = put_header(at, line);
        *at++ = ']';
    }
    at = put_string(at + sprintf(at, "],\"body\":"), client->body, client->body_len);
    *at++ = '}';
    send_answer(client, 200, "application/json", "", json, (size_t)(at - json));
    free(json);
}

static void do_status(client_t *client)
{
    char json[64];

    sprintf(json, "{\"status\":%d}", atoi(client->rest));
    send_text(client, atoi(client->rest), "application/json", "", json);
}

static void on_delayed(uv_timer_t *timer)
{
    client_t *client = timer->data;
    const char *path = strchr(client->rest, '/');

    if (path != NULL)
        behave(client, path);
    else
        send_text(client, 200, "application/json", "", "{\"delayed\":true}");
}

static void do_delay(client_t *client)
{
    uv_update_time(client->timer.loop);
    uv_timer_start(&client->timer, on_delayed, strtoul(client->rest, NULL, 10), 0);
}

static char *filled(size_t len)
{
    char *bytes = malloc(len + 1);

    for (size_t i = 0; i < len; i++)
        bytes[i] = (char)('a' + i % 26);
    bytes[len] = '\0';
    return bytes;
}

static void do_bytes(client_t *client)
{
    size_t len = strtoul(client->rest, NULL, 10);
    char *bytes = filled(len);

    send_answer(client, 200, "application/octet-stream", "", bytes, len);
    free(bytes);
}

static void do_json(client_t *client)
{
    size_t len = strtoul(client->rest, NULL, 10);
    char *fill = filled(len), *json = malloc(len + 16);
    int all = sprintf(json, "{\"fill\":\"%s\"}", fill);

    send_answer(client, 200, "application/json", "", json, (size_t)all);
    free(json);
    free(fill);
}

/* Chunks of 1000 bytes: "fill" text in ever new packets. */
static void do_chunked(client_t *client)
{
    size_t left = strtoul(client->rest, NULL, 10), len;
    bool has_trailers = strstr(client->target, "?trailers") != NULL;
    char *bytes = filled(1000), line[64];
    const char *head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n";

    if (strcmp(client->method, "HEAD") == 0) {
        send_raw(client, head, false);
        free(bytes);
        return;
    }
    send_bytes(client, head, strlen(head));
    for (; left > 0; left -= len) {
        len = left < 1000 ? left : 1000;
        send_bytes(client, line, (size_t)sprintf(line, "%zx;name=value\r\n", len));
        send_bytes(client, bytes, len);
        send_bytes(client, "\r\n", 2);
    }
    free(bytes);
    send_raw(client, has_trailers ? "0\r\nX-Sum: 42\r\n\r\n" : "0\r\n\r\n", false);
}

static void on_drip(uv_timer_t *timer)
{
    client_t *client = timer->data;

    if (--client->drips > 0) {
        send_bytes(client, ".", 1);
        return;
    }
    uv_timer_stop(timer);
    send_raw(client, ".", false);
}

static void do_drip(client_t *client)
{
    char head[128];

    client->drips = (unsigned)atoi(client->rest);
    send_bytes(client, head,
               (size_t)sprintf(head,
                               "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
                               "Content-Length: %u\r\n\r\n",
                               client->drips));
    uv_timer_start(&client->timer, on_drip, 50, 50);
}

static void do_drop(client_t *client)
{
    end_request(client);
    close_client(client);
}

static void do_drop_once_reused(client_t *client)
{
    if (client->answered > 0)
        do_drop(client);
    else
        send_text(client, 200, "application/json", "", "{\"fresh\":true}");
}

static void do_never(client_t *client)
{
    (void)client; /* busy until its peer goes away */
}

static void do_binary(client_t *client)
{
    char bytes[256];

    for (int i = 0; i < 256; i++)
        bytes[i] = (char)i;
    send_answer(client, 200, "image/png", "", bytes, sizeof(bytes));
}

static void do_header(client_t *client)
{
    char *line = malloc(strlen(client->rest) + 8);
    size_t name_len = strcspn(client->rest, "/");

    sprintf(line, "%.*s: %s\r\n", (int)name_len, client->rest,
            client->rest + name_len + (client->rest[name_len] == '/'));
    send_text(client, 200, "text/plain", line, "ok");
    free(line);
}

static void do_keepalive(client_t *client)
{
    char line[64];

    sprintf(line, "Keep-Alive: timeout=%d\r\n", atoi(client->rest));
    send_text(client, 200, "text/plain", line, "ok");
}

static void do_close(client_t *client)
{
    client->ends_after_write = true;
    send_text(client, 200, "text/plain", "Connection: close\r\n", "bye");
}

/* Counts what others did: the asking connection and request are left out. */
static void do_count(client_t *client)
{
    char json[256];

    sprintf(json, "{\"served\":%lu,\"cancelled\":%lu,\"open\":%u,\"opened\":%u,\"flying\":%u,\"most_flying\":%u}",
            counts.served, counts.cancelled, counts.open - 1, counts.opened - 1, counts.flying - 1, counts.most_flying);
    send_text(client, 200, "application/json", "", json);
}

static void do_reset_count(client_t *client)
{
    counts.served = counts.cancelled = 0;
    counts.opened = counts.open;
    counts.most_flying = counts.flying - 1;
    send_text(client, 200, "application/json", "", "{}");
}

/* A word to say: bytes as they are, and whether the connection ends after them. */
#define HEAD "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
static const struct saying {
    const char *name, *bytes;
    bool ends;
} sayings[] = {
    {"half", HEAD "Content-Length: 100\r\n\r\nhalf of it", true},
    {"half-head", "HTTP/1.1 200 OK\r\nContent-Ty", true},
    {"half-chunk", HEAD "Transfer-Encoding: chunked\r\n\r\n20\r\nhalf of it", true},
    {"garbage", "\x16\x03\x01 this is not HTTP\r\n\r\n", false},
    {"two-lengths", HEAD "Content-Length: 2\r\nContent-Length: 3\r\n\r\nabc", false},
    {"length-and-chunked", HEAD "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", false},
    {"extra", HEAD "Content-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison", false},
    {"1xx", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" HEAD "Content-Length: 5\r\n\r\nfinal", false},
    {"eof", HEAD "\r\nuntil the end", true},
};

static const struct answer {
    const char *name;
    int status;
    const char *type, *extra, *body;
} answers[] = {
    {"", 200, "text/plain", "", "origin"},
    {"badjson", 200, "application/json", "", "{\"a\":}"},
    {"text", 200, "text/plain; charset=utf-8", "", "plain \"text\" \xc3\xa9"},
    {"xml", 200, "application/xml", "", "<?xml version=\"1.0\"?><a><b>1 &amp; 2</b></a>"},
    {"latin1", 200, "text/plain; charset=iso-8859-1", "X-Name: caf\xe9\r\n", "caf\xe9"},
    {"setcookie", 200, "text/plain", "Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-Two: 1\r\nX-Two: 2\r\n", "ok"},
    {"head204", 204, NULL, "ETag: \"1\"\r\n", ""},
    {"hop", 200, "text/plain", "Connection: x-mine\r\nX-Mine: 1\r\nKeep-Alive: timeout=60\r\nX-Yours: 2\r\n", "ok"},
    {"redirect", 302, "text/plain", "Location: /elsewhere\r\n", "there"},
    {"notype", 200, NULL, "", "untyped"},
    {"cors", 200, "text/plain",
     "Access-Control-Allow-Origin: *\r\nAccess-Control-Allow-Credentials: true\r\nAccess-Control-Expose-Headers: *\r\n",
     "ok"},
};

static const struct behaviour {
    const char *name;
    void (*run)(client_t *client);
} behaviours[] = {
    {"echo", do_echo},           {"status", do_status},
    {"delay", do_delay},         {"bytes", do_bytes},
    {"json", do_json},           {"chunked", do_chunked},
    {"close", do_close},         {"drop", do_drop},
    {"never", do_never},         {"drip", do_drip},
    {"binary", do_binary},       {"header", do_header},
    {"count", do_count},         {"reset-count", do_reset_count},
    {"keepalive", do_keepalive}, {"drop-once-reused", do_drop_once_reused},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static bool is_named(const char *path, const char *name)
{
    size_t len = strlen(name);

    return strncmp(path + 1, name, len) == 0 && strchr("/?", path[1 + len]) != NULL;
}

void behave(client_t *client, const char *path)
{
    counts.served += !is_named(path, "count") && !is_named(path, "reset-count") && path == client->target;
    client->rest = path + 1 + strcspn(path + 1, "/?");
    client->rest += *client->rest == '/';
    for (size_t i = 0; i < COUNT(behaviours); i++)
        if (is_named(path, behaviours[i].name)) {
            behaviours[i].run(client);
            return;
        }
    for (size_t i = 0; i < COUNT(sayings); i++)
        if (is_named(path, sayings[i].name)) {
            send_raw(client, sayings[i].bytes, sayings[i].ends);
            return;
        }
    for (size_t i = 0; i < COUNT(answers); i++)
        if (is_named(path, answers[i].name)) {
            send_text(client, answers[i].status, answers[i].type, answers[i].extra, answers[i].body);
            return;
        }
    send_text(client, 404, "text/plain", "", "the origin does not know this behaviour");
}

static int listen_on(uv_tcp_t *listener, const char *text, int port)
{
    struct sockaddr_storage address;
    int err = uv_ip4_addr(text, port, (struct sockaddr_in *)&address);

    if (err != 0)
        err = uv_ip6_addr(text, port, (struct sockaddr_in6 *)&address);
    if (err == 0)
        err = uv_tcp_bind(listener, (struct sockaddr *)&address, 0);
    return err != 0 ? err : uv_listen((uv_stream_t *)listener, 4096, on_connection);
}

int main(int argc, char **argv)
{
    static uv_tcp_t listener;
    const char *address = argc > 2 ? argv[2] : "127.0.0.1";
    uv_loop_t *loop = uv_default_loop();
    struct sockaddr_in6 bound; /* the port stands where that of IPv4 does */
    int len = sizeof(bound), err;

    signal(SIGPIPE, SIG_IGN);
    uv_tcp_init(loop, &listener);
    err = listen_on(&listener, address, argc > 1 ? atoi(argv[1]) : 0);
    if (err != 0) {
        fprintf(stderr, "origin: %s\n", uv_strerror(err));
        return 1;
    }
    uv_tcp_getsockname(&listener, (struct sockaddr *)&bound, &len);
    printf("listening on %s:%d\n", address, ntohs(bound.sin6_port));
    fflush(stdout);
    return uv_run(loop, UV_RUN_DEFAULT);
}
