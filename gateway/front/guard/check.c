#include "gateway/front/guard/check.h"

#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gateway/front/guard/http1.h"
#include "gateway/front/guard/internal.h"

#if SHEAF_GUARD_IS_ON

/* In the order of the bits. Naming them also makes the linker take them from our library. */
static const struct {
    const char *name;
    void *function;
} ours[] = {
    {"uv_read_start", (void *)uv_read_start},
    {"uv_write", (void *)uv_write},
    {"phr_parse_request", (void *)phr_parse_request},
    {"phr_decode_chunked", (void *)phr_decode_chunked},
    {"h2o_http2_decode_frame", (void *)h2o_http2_decode_frame},
    {"h2o_hpack_parse_headers", (void *)h2o_hpack_parse_headers},
    {"h2o_http2__encode_rst_stream_frame", (void *)h2o_http2__encode_rst_stream_frame},
};

#define TURNS_MOST 200
#define TURN_MS    5

static const char http1[] = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n";

/* preface; SETTINGS; HEADERS of stream 1 with END_STREAM and END_HEADERS: GET, http, /; those of stream 3 without
 * anything, which is reset */
static const char http2[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
                            "\0\0\0\4\0\0\0\0\0"
                            "\0\0\3\1\5\0\0\0\1"
                            "\x82\x86\x84"
                            "\0\0\0\1\5\0\0\0\3";

static void on_closed(uv_handle_t *handle)
{
    (void)handle;
}

static int talk(uv_loop_t *loop, h2o_accept_ctx_t *accept, uv_pipe_t *pipe, const char *bytes, size_t len)
{
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) != 0 ||
        uv_pipe_init(loop, pipe, 0) != 0 || uv_pipe_open(pipe, pair[0]) != 0)
        return -1;
    h2o_accept(accept, h2o_uv_socket_create((uv_stream_t *)pipe, on_closed));
    return write(pair[1], bytes, len) == (ssize_t)len ? 0 : -1;
}

static void on_turn(uv_timer_t *timer)
{
    (void)timer;
}

/* Returns the bits of what was called. Nothing is tidied up: the process ends. */
static unsigned try_out(void)
{
    static uv_loop_t loop;
    static h2o_globalconf_t config;
    static h2o_context_t context;
    static uv_pipe_t pipes[2];
    static uv_timer_t timer;
    h2o_accept_ctx_t accept = {.ctx = &context};

    sheaf_guard_bits = 0;
    uv_loop_init(&loop);
    h2o_config_init(&config);
    h2o_config_register_host(&config, h2o_iovec_init(H2O_STRLIT("default")), 65535);
    h2o_context_init(&context, &loop, &config);
    accept.hosts = config.hosts;
    uv_timer_init(&loop, &timer);
    uv_timer_start(&timer, on_turn, TURN_MS, TURN_MS);
    if (talk(&loop, &accept, &pipes[0], http1, sizeof(http1) - 1) != 0 ||
        talk(&loop, &accept, &pipes[1], http2, sizeof(http2) - 1) != 0)
        return 0;
    for (int turn = 0; turn < TURNS_MOST && sheaf_guard_bits != SHEAF_GUARD_ALL; turn++)
        uv_run(&loop, UV_RUN_ONCE);
    return sheaf_guard_bits;
}

static const char *name_of_missing(unsigned bits)
{
    for (unsigned i = 0; i < SHEAF_COUNT(ours); i++) {
        if ((bits & (1u << i)) == 0)
            return ours[i].name;
    }
    return "nothing";
}

sheaf_err_t sheaf_guard_check(sheaf_fail_t *fail)
{
    int status = 0;
    pid_t pid = fork();

    if (pid == 0)
        _exit((int)try_out());
    if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
        return sheaf_fail(fail, SHEAF_ERR_SYSTEM, "the guard around libh2o could not be tried out");
    if (WEXITSTATUS(status) == SHEAF_GUARD_ALL)
        return SHEAF_OK;
    return sheaf_fail(
        fail, SHEAF_ERR_SYSTEM,
        "libh2o does not call our %s: the guard is not in place (was the binary linked differently, or is "
        "something preloaded?)",
        name_of_missing((unsigned)WEXITSTATUS(status)));
}

#else

sheaf_err_t sheaf_guard_check(sheaf_fail_t *fail)
{
    (void)fail;
    return SHEAF_OK;
}

#endif
