/* bench/pace.c - posts batches at a pace, whether earlier ones are answered or not.
 *
 *   pace PORT BODY_FILE RATE SECONDS
 *
 * RATE times a second it posts BODY_FILE (JSON) to /batch over an idle connection, or a new one: a slow batch holds up
 * nobody, so the times it prints are those of clients that know nothing of each other. One line a batch, when all are
 * answered: when it was posted (microseconds of CLOCK_MONOTONIC), how long it took (microseconds), how many of its
 * items have status 200. Exits 1 when a connection broke, or when a batch was not answered within 40 s. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/bench/client.h"

#define GRACE_NS 40000000000u

typedef struct batch {
    uint64_t sent_ns, took_ns;
    unsigned good;
} batch_t;

static struct {
    struct sockaddr_in address;
    uv_buf_t post;
    uint64_t started_ns;
    double gap_ns;
    size_t due, posted, answered; /* batches; the first is how many there will be */
    batch_t *batches;             /* those that are answered */
    SLIST_HEAD(, client) idle;
} pace;

static void report(void)
{
    for (size_t i = 0; i < pace.answered; i++)
        printf("%llu %llu %u\n", (unsigned long long)pace.batches[i].sent_ns / 1000,
               (unsigned long long)pace.batches[i].took_ns / 1000, pace.batches[i].good);
    exit(fflush(stdout) != 0);
}

static void on_answer(client_t *client)
{
    pace.batches[pace.answered++] = (batch_t){
        .sent_ns = client->sent_ns,
        .took_ns = uv_hrtime() - client->sent_ns,
        .good = answer_count(&client->answer, "\"status\":200"),
    };
    SLIST_INSERT_HEAD(&pace.idle, client, next);
    if (pace.answered == pace.due)
        report();
}

static void post_next(uv_loop_t *loop)
{
    client_t *client = SLIST_FIRST(&pace.idle);

    pace.posted++;
    if (client == NULL) {
        client_connect(loop, &pace.address, &pace.post, on_answer);
        return;
    }
    SLIST_REMOVE_HEAD(&pace.idle, next);
    client_post(client);
}

static uint64_t due_ns(size_t index)
{
    return pace.started_ns + (uint64_t)((double)index * pace.gap_ns);
}

static void on_tick(uv_timer_t *timer)
{
    uint64_t now_ns = uv_hrtime();

    while (pace.posted < pace.due && due_ns(pace.posted) <= now_ns)
        post_next(timer->loop);
    if (now_ns > due_ns(pace.due) + GRACE_NS)
        die("a batch was not answered");
}

int main(int argc, char **argv)
{
    uv_loop_t *loop = uv_default_loop();
    uv_timer_t timer;

    if (argc != 5)
        die("usage: pace PORT BODY_FILE RATE SECONDS");
    uv_ip4_addr("127.0.0.1", atoi(argv[1]), &pace.address);
    pace.post.base = post_read(argv[2], "application/json", "application/json", "", &pace.post.len);
    if (pace.post.base == NULL)
        die("cannot read the batch");
    pace.gap_ns = 1e9 / atof(argv[3]);
    pace.due = (size_t)(atof(argv[3]) * atof(argv[4])) + 1;
    pace.batches = calloc(pace.due, sizeof(batch_t));
    pace.started_ns = uv_hrtime();
    uv_timer_init(loop, &timer);
    uv_timer_start(&timer, on_tick, 0, 1);
    return uv_run(loop, UV_RUN_DEFAULT);
}
