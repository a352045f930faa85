/* upstream/blame.c - see blame.h. */
#include "gateway/upstream/blame.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "gateway/base/log.h"

const char *sheaf_blame_say(char dst[SHEAF_BLAME_SIZE], const sheaf_server_t *server, sheaf_err_t err,
                            const char *detail)
{
    if (detail[0] == '\0')
        detail = sheaf_err_title(err);
    if (err == SHEAF_ERR_RESOLVE || err == SHEAF_ERR_OVERLOADED)
        snprintf(dst, SHEAF_BLAME_SIZE, "%s", detail);
    else
        snprintf(dst, SHEAF_BLAME_SIZE, "%.*s: %s", SHEAF_STR_ARG(server->label), detail);
    return dst;
}

char *sheaf_blame_copy(const char *words)
{
    size_t size = strlen(words) + 1;

    return memcpy(sheaf_alloc(size), words, size);
}

static void log_address(sheaf_log_line_t *line, const sheaf_sockaddr_t *address)
{
    char text[INET6_ADDRSTRLEN] = "";

    if (address->any.sa_family == AF_INET)
        inet_ntop(AF_INET, &address->v4.sin_addr, text, sizeof(text));
    else if (address->any.sa_family == AF_INET6)
        inet_ntop(AF_INET6, &address->v6.sin6_addr, text, sizeof(text));
    if (text[0] != '\0')
        sheaf_log_str(line, "address", sheaf_str_of(text));
}

void sheaf_blame_log(sheaf_str_t upstream, sheaf_server_t *server, const sheaf_sockaddr_t *address, sheaf_err_t err,
                     const char *detail, uint64_t now_ms)
{
    sheaf_log_line_t line;

    if (now_ms < server->quiet_until_ms) {
        server->unsaid++;
        return;
    }
    sheaf_log_begin(&line, SHEAF_LOG_WARN, "server failed");
    sheaf_log_str(&line, "upstream", upstream);
    sheaf_log_str(&line, "server", server->label);
    if (address != NULL)
        log_address(&line, address);
    sheaf_log_str(&line, "error", sheaf_str_of(sheaf_err_slug(err)));
    if (detail[0] != '\0')
        sheaf_log_str(&line, "detail", sheaf_str_of(detail));
    if (server->unsaid != 0)
        sheaf_log_u64(&line, "more", server->unsaid);
    sheaf_log_end(&line);
    server->unsaid = 0;
    server->quiet_until_ms = now_ms + SHEAF_BLAME_QUIET_MS;
}
