#include "gateway/run/demo.h"

#include <arpa/inet.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gateway/run/demo_services.h"
#include "gateway/run/worker.h"

extern const char sheaf_demo_config[]; /* config/demo.yaml, built in by CMake */
extern const size_t sheaf_demo_config_len;

static const char sample[] = "{\"requests\":[\n"
                             "  {\"id\":\"u\", \"method\":\"GET\", \"url\":\"/users/42\"},\n"
                             "  {\"id\":\"c\", \"method\":\"GET\", \"url\":\"/catalog/products/7\"},\n"
                             "  {\"id\":\"o\", \"method\":\"POST\", \"url\":\"/orders\", \"dependsOn\":[\"u\",\"c\"],\n"
                             "   \"body\":{\"user\":42,\"product\":7}},\n"
                             "  {\"id\":\"x\", \"method\":\"GET\", \"url\":\"/users/9999\"},\n"
                             "  {\"id\":\"y\", \"method\":\"GET\", \"url\":\"/orders/1\", \"dependsOn\":[\"x\"]}\n"
                             "]}\n";

typedef struct {
    sheaf_sockets_t sockets;
    bool is_once;
    pid_t client;
} demo_t;

/* --- the client of --once: a child process with plain blocking sockets --- */

static int connect_to(uint16_t port)
{
    struct sockaddr_in name = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval limit = {.tv_sec = 10};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    return connect(fd, (struct sockaddr *)&name, sizeof(name)) == 0 ? fd : -1;
}

static size_t read_answer(int fd, char *answer, size_t room)
{
    size_t len = 0;
    ssize_t got;

    while (len < room - 1 && (got = read(fd, answer + len, room - 1 - len)) > 0)
        len += (size_t)got;
    answer[len] = '\0';
    return len;
}

/* A batch that outlives its linger is streamed; its chunks are joined in place. */
static void join_chunks(char *body)
{
    char *dst = body, *line_end;
    size_t len;

    while ((len = strtoul(body, &line_end, 16)) > 0 && len <= strlen(line_end)) {
        memmove(dst, line_end + 2, len);
        dst += len;
        body = line_end + 2 + len + 2;
    }
    *dst = '\0';
}

/* The body as it came, indented for reading; false when it is not the 207 that was hoped for. */
static bool print_answer(char *answer)
{
    char *body = strstr(answer, "\r\n\r\n"), *chunked = strcasestr(answer, "\r\ntransfer-encoding: chunked\r\n");
    json_t *json;
    bool is_good;

    if (body != NULL && chunked != NULL && chunked < body)
        join_chunks(body + 4);
    json = body != NULL ? json_loads(body + 4, 0, NULL) : NULL;
    is_good = json != NULL && strncmp(answer, "HTTP/1.1 207 ", 13) == 0 &&
              json_array_size(json_object_get(json, "responses")) == 5;

    if (body != NULL)
        printf("%.*s\n\n", (int)(body - answer), answer);
    if (json != NULL)
        json_dumpf(json, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII);
    printf("\n");
    json_decref(json);
    return is_good;
}

static int post_sample(uint16_t port)
{
    char request[2048];
    char *answer = sheaf_alloc(1 << 20);
    int len = snprintf(request, sizeof(request),
                       "POST /batch HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nContent-Type: application/json\r\n"
                       "Content-Length: %zu\r\nConnection: close\r\n\r\n%s",
                       port, sizeof(sample) - 1, sample);
    int fd = connect_to(port);
    bool is_good = false;

    printf("%s\n", request);
    if (fd >= 0 && write(fd, request, (size_t)len) == len && read_answer(fd, answer, 1 << 20) > 0)
        is_good = print_answer(answer);
    else
        fprintf(stderr, "demo: no answer\n");
    free(answer);
    fflush(stdout);
    return is_good ? 0 : 1;
}

static void start_client(demo_t *demo)
{
    pid_t parent = getpid();
    uint16_t port = sheaf_sockets_port(&demo->sockets, 0);

    fflush(NULL);
    demo->client = fork();
    if (demo->client == 0) {
        int status = post_sample(port);
        kill(parent, SIGTERM); /* the gateway drains and ends as it would in production */
        _exit(status);
    }
}

static void print_hints(const demo_t *demo)
{
    unsigned port = sheaf_sockets_port(&demo->sockets, 0);

    printf("\nA batch of five, two of which wait for others; try\n\n"
           "curl -s http://127.0.0.1:%u/batch -H 'content-type: application/json' -d '%s'\n\n"
           "The same as RFC 4918 XML\n\n"
           "curl -s http://127.0.0.1:%u/batch -H 'accept: application/xml' -H 'content-type: application/json' \\\n"
           "  -d '[{\"url\":\"/users/42\"},{\"url\":\"/catalog/products/7\"}]'\n\n",
           port, sample, port);
    if (demo->sockets.count > 1)
        printf("What it counts\n\ncurl -s http://127.0.0.1:%u/metrics\n\n",
               sheaf_sockets_port(&demo->sockets, demo->sockets.count - 1));
    fflush(stdout);
}

static void on_ready(void *data)
{
    demo_t *demo = data;

    sheaf_sockets_announce(&demo->sockets);
    if (demo->is_once)
        start_client(demo);
    else
        print_hints(demo);
}

/* --- the pieces together --- */

static pid_t start_services(bool is_once)
{
    static const char *const variables[] = {"SHEAF_DEMO_USERS", "SHEAF_DEMO_ORDERS", "SHEAF_DEMO_CATALOG"};
    int fds[SHEAF_DEMO_SERVICES];
    uint16_t ports[SHEAF_DEMO_SERVICES];
    char text[8];
    pid_t pid, parent = getpid();

    if (!sheaf_demo_services_open(fds, ports))
        return -1;
    for (int i = 0; i < SHEAF_DEMO_SERVICES; i++) {
        snprintf(text, sizeof(text), "%u", ports[i]);
        setenv(variables[i], text, 1);
    }
    if (is_once) { /* any free ports: nothing else is to know them */
        setenv("SHEAF_DEMO_PORT", "0", 0);
        setenv("SHEAF_DEMO_ADMIN_PORT", "0", 0);
    }
    fflush(NULL);
    pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() == parent)
            sheaf_demo_services_run(fds);
        _exit(0);
    }
    for (int i = 0; i < SHEAF_DEMO_SERVICES; i++)
        close(fds[i]);
    return pid;
}

static int serve(demo_t *demo, sheaf_snapshot_t *snapshot)
{
    sheaf_metrics_region_t *region = sheaf_metrics_region_new(1);
    sheaf_worker_setup_t setup = {.snapshot = snapshot,
                                  .sockets = demo->sockets,
                                  .control_fd = -1,
                                  .region = region,
                                  .on_ready = on_ready,
                                  .data = demo};
    int status = region != NULL ? sheaf_worker_run(&setup) : 1;
    int client_status = 0;

    if (demo->client > 0 && (waitpid(demo->client, &client_status, 0) != demo->client || client_status != 0))
        status = 1;
    sheaf_metrics_region_free(region);
    return status;
}

int sheaf_demo_run(bool is_once)
{
    demo_t demo = {.is_once = is_once};
    pid_t services = start_services(is_once);
    sheaf_fail_t fail;
    char *report = NULL;
    sheaf_snapshot_t *snapshot = NULL;
    int status = 1;

    if (services > 0)
        snapshot = sheaf_snapshot_load("demo.yaml", sheaf_str(sheaf_demo_config, sheaf_demo_config_len), &report);
    if (snapshot == NULL)
        fprintf(stderr, "demo: cannot start\n%s", report != NULL ? report : "");
    else if (sheaf_sockets_open(&snapshot->conf, NULL, NULL, 0, &demo.sockets, &fail) != SHEAF_OK)
        fprintf(stderr, "demo: %s\n(SHEAF_DEMO_PORT and SHEAF_DEMO_ADMIN_PORT choose other ports)\n", fail.detail);
    else
        status = serve(&demo, snapshot);
    free(report);
    sheaf_snapshot_drop(snapshot);
    if (services > 0) {
        kill(services, SIGKILL);
        waitpid(services, NULL, 0);
    }
    return status;
}
