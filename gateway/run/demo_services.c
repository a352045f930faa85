#include "gateway/run/demo_services.h"

#include <arpa/inet.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "gateway/base/pool.h"

#define REQUEST_MAX 16384

typedef struct {
    uv_tcp_t tcp;
    uv_timer_t delay;
    uv_write_t write;
    int service;
    size_t len;
    char request[REQUEST_MAX + 1];
    char *answer;
    uint32_t open_handles;
} client_t;

static const char *const names[] = {"Ada", "Grace", "Edsger", "Barbara", "Donald"};
static const char *const products[] = {"lantern", "compass", "rope", "kettle", "notebook"};

/* --- what the services answer --- */

static json_t *user(long id)
{
    return json_pack("{s:I,s:s,s:s}", "id", (json_int_t)id, "name", names[(size_t)id % SHEAF_COUNT(names)], "plan",
                     id % 2 == 0 ? "team" : "free");
}

static json_t *order(long id)
{
    return json_pack("{s:I,s:I,s:f}", "order", (json_int_t)id, "user", (json_int_t)(id % 50), "total",
                     (double)(id * 25 % 400) / 4.0);
}

static json_t *product(long id)
{
    return json_pack("{s:I,s:s,s:b}", "product", (json_int_t)id, "name", products[(size_t)id % SHEAF_COUNT(products)],
                     "in_stock", id % 3 != 0);
}

static json_t *many(json_t *(*one)(long))
{
    json_t *list = json_array();

    for (long id = 1; id <= 3; id++)
        json_array_append_new(list, one(id));
    return list;
}

static json_t *place_order(const char *body, int *ret_status)
{
    json_t *sent = json_loads(body, JSON_DECODE_ANY, NULL);
    json_t *answer;

    *ret_status = sent != NULL ? 201 : 400;
    answer = sent != NULL ? json_pack("{s:i,s:O}", "order", 1001, "accepted", sent)
                          : json_pack("{s:s}", "error", "the body is not JSON");
    json_decref(sent);
    return answer;
}

static json_t *answer_path(int service, const char *method, const char *path, const char *body, int *ret_status)
{
    static json_t *(*const one[])(long) = {user, order, product};
    const char *slash = strrchr(path + 1, '/');
    long id = slash != NULL ? atol(slash + 1) : 0;

    *ret_status = 200;
    if (service == SHEAF_DEMO_ORDERS && strcmp(method, "POST") == 0)
        return place_order(body, ret_status);
    if (slash == NULL || slash[1] == '\0')
        return many(one[service]);
    if (id > 0 && id < 1000)
        return one[service](id);
    *ret_status = 404;
    return json_pack("{s:s}", "error", "no such id");
}

/* --- one connection: read a request, wait a little, write an answer --- */

static void client_serve(client_t *client); /* a whole request may be there */
static void on_delayed(uv_timer_t *timer);  /* time to answer                */
static void on_written(uv_write_t *req, int status);
static void client_close(client_t *client);

static void on_closed(uv_handle_t *handle)
{
    client_t *client = handle->data;

    if (--client->open_handles == 0) {
        free(client->answer);
        free(client);
    }
}

static void client_close(client_t *client)
{
    if (uv_is_closing((uv_handle_t *)&client->tcp))
        return;
    uv_close((uv_handle_t *)&client->tcp, on_closed);
    uv_close((uv_handle_t *)&client->delay, on_closed);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    client_t *client = handle->data;

    (void)suggested;
    *buf = uv_buf_init(client->request + client->len, (unsigned)(REQUEST_MAX - client->len));
}

static void on_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buf)
{
    client_t *client = stream->data;

    (void)buf;
    if (got < 0) {
        client_close(client);
        return;
    }
    client->len += (size_t)got;
    client->request[client->len] = '\0';
    if (client->answer == NULL)
        client_serve(client);
}

static char *print_answer(int status, json_t *json)
{
    const char *reason = status == 200 ? "OK" : status == 201 ? "Created" : status == 404 ? "Not Found" : "Bad Request";
    char *body = json_dumps(json, JSON_COMPACT);
    size_t room = strlen(body) + 256;
    char *answer = sheaf_alloc(room);

    snprintf(answer, room, "HTTP/1.1 %d %s\r\ncontent-type: application/json\r\ncontent-length: %zu\r\n\r\n%s", status,
             reason, strlen(body), body);
    free(body);
    json_decref(json);
    return answer;
}

static void client_serve(client_t *client)
{
    char *head_end = strstr(client->request, "\r\n\r\n");
    char *length = strcasestr(client->request, "\r\ncontent-length:");
    size_t body_len = length != NULL && length < head_end ? (size_t)atol(length + 17) : 0;
    char method[16], path[1024];
    int status;

    if (client->len == REQUEST_MAX || (head_end != NULL && sscanf(client->request, "%15s %1023s", method, path) != 2)) {
        client_close(client);
        return;
    }
    if (head_end == NULL || client->len < (size_t)(head_end + 4 - client->request) + body_len)
        return;
    json_t *json = answer_path(client->service, method, path, head_end + 4, &status);
    client->answer = print_answer(status, json);
    client->len = 0;
    uv_timer_start(&client->delay, on_delayed, (uint64_t)(2 + random() % 14), 0);
}

static void on_delayed(uv_timer_t *timer)
{
    client_t *client = timer->data;
    uv_buf_t buf = uv_buf_init(client->answer, (unsigned)strlen(client->answer));

    uv_write(&client->write, (uv_stream_t *)&client->tcp, &buf, 1, on_written);
}

static void on_written(uv_write_t *req, int status)
{
    client_t *client = SHEAF_OWNER(req, client_t, write);

    if (status != 0) {
        client_close(client);
        return;
    }
    free(client->answer);
    client->answer = NULL;
}

static void on_connection(uv_stream_t *listener, int status)
{
    client_t *client = sheaf_zalloc(sizeof(*client));

    client->service = (int)(intptr_t)listener->data;
    client->open_handles = 2;
    uv_tcp_init(listener->loop, &client->tcp);
    uv_timer_init(listener->loop, &client->delay);
    client->tcp.data = client->delay.data = client;
    if (status != 0 || uv_accept(listener, (uv_stream_t *)&client->tcp) != 0) {
        client_close(client);
        return;
    }
    uv_tcp_nodelay(&client->tcp, 1);
    uv_read_start((uv_stream_t *)&client->tcp, on_alloc, on_read);
}

int sheaf_demo_services_open(int fds[SHEAF_DEMO_SERVICES], uint16_t ports[SHEAF_DEMO_SERVICES])
{
    for (int i = 0; i < SHEAF_DEMO_SERVICES; i++) {
        struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t len = sizeof(name);

        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fds[i] < 0 || bind(fds[i], (struct sockaddr *)&name, len) != 0 || listen(fds[i], 128) != 0 ||
            getsockname(fds[i], (struct sockaddr *)&name, &len) != 0)
            return 0;
        ports[i] = ntohs(name.sin_port);
    }
    return 1;
}

void sheaf_demo_services_run(const int fds[SHEAF_DEMO_SERVICES])
{
    uv_tcp_t listeners[SHEAF_DEMO_SERVICES];
    uv_loop_t loop;

    srandom(7);
    uv_loop_init(&loop);
    for (int i = 0; i < SHEAF_DEMO_SERVICES; i++) {
        uv_tcp_init(&loop, &listeners[i]);
        uv_tcp_open(&listeners[i], fds[i]);
        listeners[i].data = (void *)(intptr_t)i;
        uv_listen((uv_stream_t *)&listeners[i], 128, on_connection);
    }
    uv_run(&loop, UV_RUN_DEFAULT);
}
