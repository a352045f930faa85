/* bench/load.c - posts one batch over and over, and believes no answer it has not read.
 *
 *   load PORT BODY_FILE TYPE ACCEPT MARK N CONNECTIONS SECONDS [HEADER]
 *
 * Each connection posts the bytes of BODY_FILE to /batch, reads the whole answer (Content-Length or chunked), counts
 * MARK in it (it must stand there N times) and posts again. HEADER is one more field of the request; of CLIENT_NUMBER in
 * it (client.h) no two posts have the same. Prints
 * {"batches":..,"bad":..,"missing":..,"seconds":..,"p50_us":..,"p99_us":..}; exits 1 when an answer was bad. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/client.h"

#define LATENCIES 4000000u
#define TOLD_MOST 1000 /* bad batches; the rest are only counted */
#define PROBLEM   "urn:sheaf:problem"

static struct {
    uv_buf_t post;
    const char *mark;
    unsigned n;
    uint64_t started_ns, stop_ns;
    unsigned long batches, bad, missing;
    int running; /* connections that still post */
    uint32_t *latencies_us;
} load;

static int by_value(const void *left, const void *right)
{
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;

    return (a > b) - (a < b);
}

static void report(uint64_t now_ns)
{
    size_t count = load.batches < LATENCIES ? load.batches : LATENCIES;

    qsort(load.latencies_us, count, sizeof(uint32_t), by_value);
    printf("{\"batches\":%lu,\"bad\":%lu,\"missing\":%lu,\"seconds\":%.3f,\"p50_us\":%u,\"p99_us\":%u}\n", load.batches,
           load.bad, load.missing, (double)(now_ns - load.started_ns) / 1e9, load.latencies_us[count / 2],
           load.latencies_us[count * 99 / 100]);
    exit(load.bad > 0);
}

/* What a batch that is not as it should be looks like: the surroundings of every problem in it, a line each, or else its
 * start. */
static void tell_bad(const answer_t *answer, unsigned marks)
{
    const char *at = answer->in + answer->body_at, *end = answer->in + answer->end_at, *problem;

    fprintf(stderr, "load: %u of %u items are good: %.*s\n", marks, load.n, end - at < 200 ? (int)(end - at) : 200, at);
    while ((problem = memmem(at, (size_t)(end - at), PROBLEM, sizeof(PROBLEM) - 1)) != NULL) {
        const char *from = problem - at < 300 ? at : problem - 300;

        at = problem + sizeof(PROBLEM) - 1;
        fprintf(stderr, "load: problem: %.*s\n", end - from < 700 ? (int)(end - from) : 700, from);
    }
}

static void on_answer(client_t *client)
{
    answer_t *answer = &client->answer;
    uint64_t now_ns = uv_hrtime();
    unsigned marks = answer_count(answer, load.mark);

    load.missing += load.n - marks;
    if (marks != load.n && load.bad++ < TOLD_MOST)
        tell_bad(answer, marks);
    load.latencies_us[load.batches++ % LATENCIES] = (uint32_t)((now_ns - client->sent_ns) / 1000);
    if (now_ns <= load.stop_ns)
        client_post(client);
    else if (--load.running == 0) /* every batch is whole: none is charged to the gateway without being counted */
        report(now_ns);
}

int main(int argc, char **argv)
{
    uv_loop_t *loop = uv_default_loop();
    struct sockaddr_in address;

    if (argc != 9 && argc != 10)
        die("usage: load PORT BODY_FILE TYPE ACCEPT MARK N CONNECTIONS SECONDS [HEADER]");
    uv_ip4_addr("127.0.0.1", atoi(argv[1]), &address);
    load.post.base = post_read(argv[2], argv[3], argv[4], argc == 10 ? argv[9] : "", &load.post.len);
    if (load.post.base == NULL)
        die("cannot read the batch");
    client_number(&load.post);
    load.mark = argv[5];
    load.n = (unsigned)atoi(argv[6]);
    load.latencies_us = malloc(LATENCIES * sizeof(uint32_t));
    load.started_ns = uv_hrtime();
    load.stop_ns = load.started_ns + (uint64_t)(atof(argv[8]) * 1e9);
    load.running = atoi(argv[7]);
    for (int i = 0; i < load.running; i++)
        client_connect(loop, &address, &load.post, on_answer);
    return uv_run(loop, UV_RUN_DEFAULT);
}
