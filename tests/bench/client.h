/* bench/client.h - one connection to the gateway that posts a batch, reads the whole answer, and says so.
 *
 *   client_connect -> post -> on_answer -> client_post -> on_answer -> ...
 *
 * What goes wrong ends the program, with a line on stderr: a measurement has no use for a connection that broke. */
#ifndef SHEAF_BENCH_CLIENT_H
#define SHEAF_BENCH_CLIENT_H

#include <sys/queue.h>

#include "tests/bench/answer.h"

typedef struct client client_t;
struct client {
    uv_tcp_t tcp;
    uv_connect_t connect;
    uv_write_t write;
    const uv_buf_t *post; /* borrowed, while the client lives */
    void (*on_answer)(client_t *client);
    answer_t answer;
    uint64_t sent_ns;
    SLIST_ENTRY(client) next; /* for whoever keeps clients */
};

/* A new client, whose first post goes as soon as it is connected. The time to connect is the batch's: who has no
 * connection pays it too. Clients live as long as the program. */
void client_connect(uv_loop_t *loop, const struct sockaddr_in *address, const uv_buf_t *post,
                    void (*on_answer)(client_t *client));

/* Posts again; the last answer is forgotten. */
void client_post(client_t *client);

/* Where `post` has CLIENT_NUMBER the number of each post of this program stands instead, so that no two are alike. */
#define CLIENT_NUMBER "################"
void client_number(const uv_buf_t *post);

_Noreturn void die(const char *why);

#endif
