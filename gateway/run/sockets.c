#include "gateway/run/sockets.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gateway/base/log.h"
#include "gateway/front/peer.h"

#define BACKLOG 4096

static socklen_t to_unix(const sheaf_address_t *address, sheaf_sockname_t *name)
{
    if (address->host.len >= sizeof(name->path.sun_path))
        return 0;
    name->path.sun_family = AF_UNIX;
    memcpy(name->path.sun_path, address->host.base, address->host.len);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + address->host.len + 1);
}

static socklen_t to_sockname(const sheaf_address_t *address, sheaf_sockname_t *name)
{
    char host[64] = "";

    memset(name, 0, sizeof(*name));
    if (address->is_unix)
        return to_unix(address, name);
    if (address->host.len >= sizeof(host))
        return 0;
    if (address->host.len > 0)
        memcpy(host, address->host.base, address->host.len);
    if (inet_pton(AF_INET, host, &name->v4.sin_addr) == 1) {
        name->v4.sin_family = AF_INET;
        name->v4.sin_port = htons(address->port);
        return sizeof(name->v4);
    }
    name->v6.sin6_family = AF_INET6;
    name->v6.sin6_port = htons(address->port);
    if (host[0] != '\0' && inet_pton(AF_INET6, host, &name->v6.sin6_addr) != 1)
        return 0;
    return sizeof(name->v6); /* "" stays ::, which takes IPv4 as well */
}

/* A socket file whose owner is gone refuses connections; only such a one is removed. */
static void remove_stale(const sheaf_sockname_t *name, socklen_t len)
{
    int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0); /* a full queue says EAGAIN */

    if (probe >= 0 && connect(probe, &name->any, len) != 0 && errno == ECONNREFUSED)
        unlink(name->path.sun_path);
    if (probe >= 0)
        close(probe);
}

/* A socket file has its mode from the first moment on: between bind and a later chmod others could come in. */
static bool bind_name(int fd, const sheaf_sockname_t *name, socklen_t len, uint32_t mode)
{
    mode_t before = mode != 0 ? umask(~mode & 0777u) : 0;
    bool is_bound = bind(fd, &name->any, len) == 0;

    if (mode != 0)
        umask(before);
    return is_bound;
}

/* `mode` is for a unix socket; 0: what the umask leaves. */
static int open_socket(const sheaf_address_t *address, uint32_t mode, sheaf_fail_t *fail)
{
    sheaf_sockname_t name;
    socklen_t len = to_sockname(address, &name);
    int on = 1, off = 0, fd;

    if (len == 0) {
        sheaf_fail(fail, SHEAF_ERR_CONFIG, "cannot listen on %.*s: not an address (names are not looked up here)",
                   SHEAF_STR_ARG(address->text));
        return -1;
    }
    if (address->is_unix)
        remove_stale(&name, len);
    fd = socket(name.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0) {
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)); /* a restart need not wait for TIME_WAIT */
        if (name.any.sa_family == AF_INET6 && address->host.len == 0)
            setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
        if (bind_name(fd, &name, len, mode) && listen(fd, BACKLOG) == 0)
            return fd;
    }
    sheaf_fail(fail, SHEAF_ERR_SYSTEM, "cannot listen on %.*s: %s", SHEAF_STR_ARG(address->text), strerror(errno));
    if (fd >= 0)
        close(fd);
    return -1;
}

static bool is_bound_to(int fd, const sheaf_sockname_t *wanted)
{
    sheaf_sockname_t name;
    socklen_t len = sizeof(name);

    memset(&name, 0, sizeof(name));
    if (getsockname(fd, &name.any, &len) != 0 || name.any.sa_family != wanted->any.sa_family)
        return false;
    if (name.any.sa_family == AF_UNIX)
        return strcmp(name.path.sun_path, wanted->path.sun_path) == 0;
    if (name.any.sa_family == AF_INET)
        return name.v4.sin_port == wanted->v4.sin_port && name.v4.sin_addr.s_addr == wanted->v4.sin_addr.s_addr;
    return name.v6.sin6_port == wanted->v6.sin6_port &&
           memcmp(&name.v6.sin6_addr, &wanted->v6.sin6_addr, sizeof(name.v6.sin6_addr)) == 0;
}

/* Sockets of systemd have no text: they are known by what they are bound to. */
static int find_bound(const sheaf_sockets_t *sockets, const sheaf_address_t *address)
{
    sheaf_sockname_t name;

    if (sockets == NULL || to_sockname(address, &name) == 0)
        return -1;
    for (uint32_t i = 0; i < sockets->count; i++) {
        if (sockets->items[i].text[0] == '\0' && is_bound_to(sockets->items[i].fd, &name))
            return sockets->items[i].fd;
    }
    return -1;
}

int sheaf_sockets_find(const sheaf_sockets_t *sockets, const sheaf_socket_t *like)
{
    for (uint32_t i = 0; sockets != NULL && i < sockets->count; i++) {
        const sheaf_socket_t *socket = &sockets->items[i];
        if (socket->is_admin == like->is_admin && strcmp(socket->text, like->text) == 0)
            return socket->fd;
    }
    return -1;
}

void sheaf_sockets_close(const sheaf_sockets_t *sockets, const sheaf_sockets_t *keep)
{
    for (uint32_t i = 0; i < sockets->count; i++) {
        if (sheaf_sockets_find(keep, &sockets->items[i]) < 0)
            close(sockets->items[i].fd);
    }
}

typedef struct {
    const sheaf_sockets_t *old;
    const int *received;
    uint32_t received_count, used;
    sheaf_sockets_t *all;
    sheaf_fail_t *fail;
} opening_t;

static bool add_socket(opening_t *opening, const sheaf_address_t *address, uint32_t mode, bool is_admin)
{
    sheaf_socket_t *socket = &opening->all->items[opening->all->count];

    memset(socket, 0, sizeof(*socket));
    snprintf(socket->text, sizeof(socket->text), "%.*s", SHEAF_STR_ARG(address->text));
    socket->is_admin = is_admin;
    socket->fd = sheaf_sockets_find(opening->old, socket);
    if (socket->fd < 0)
        socket->fd = find_bound(opening->old, address);
    if (socket->fd < 0 && opening->received != NULL)
        socket->fd = opening->used < opening->received_count ? opening->received[opening->used++] : -1;
    else if (socket->fd < 0)
        socket->fd = open_socket(address, mode, opening->fail);
    if (socket->fd < 0)
        return false;
    opening->all->count++;
    return true;
}

sheaf_err_t sheaf_sockets_open(const sheaf_conf_t *conf, const sheaf_sockets_t *old, const int *received,
                               uint32_t received_count, sheaf_sockets_t *ret_new, sheaf_fail_t *fail)
{
    sheaf_sockets_t all = {.count = 0};
    opening_t opening = {old, received, received_count, 0, &all, fail};
    bool is_open = true;

    sheaf_fail(fail, SHEAF_ERR_SYSTEM, "a listening socket is missing");
    for (uint32_t i = 0; is_open && i < conf->listen.count && i < SHEAF_SOCKETS_MAX - 1; i++)
        is_open = add_socket(&opening, &conf->listen.items[i].address, conf->listen.items[i].mode, false);
    if (is_open && conf->admin.address.text.len > 0)
        is_open = add_socket(&opening, &conf->admin.address, conf->admin.mode, true);
    if (!is_open) {
        sheaf_sockets_close(&all, old);
        for (uint32_t i = opening.used; i < received_count; i++)
            close(received[i]);
        return SHEAF_ERR_SYSTEM;
    }
    *ret_new = all;
    return SHEAF_OK;
}

static void set_mode(const sheaf_address_t *address, uint32_t mode)
{
    sheaf_sockname_t name;
    struct stat file;

    if (!address->is_unix || mode == 0 || to_sockname(address, &name) == 0)
        return;
    if (stat(name.path.sun_path, &file) == 0 && (file.st_mode & 0777u) == mode)
        return; /* workers: 0 may not be its owner any more */
    if (chmod(name.path.sun_path, mode) != 0)
        sheaf_log(SHEAF_LOG_ERROR, "listen", "%.*s keeps its permissions: %s", SHEAF_STR_ARG(address->text),
                  strerror(errno));
}

uint16_t sheaf_sockets_port(const sheaf_sockets_t *sockets, uint32_t index)
{
    sheaf_sockname_t name;
    socklen_t len = sizeof(name);

    if (getsockname(sockets->items[index].fd, &name.any, &len) != 0)
        return 0;
    if (name.any.sa_family == AF_INET)
        return ntohs(name.v4.sin_port);
    return name.any.sa_family == AF_INET6 ? ntohs(name.v6.sin6_port) : 0;
}

void sheaf_sockets_set_modes(const sheaf_conf_t *conf)
{
    for (uint32_t i = 0; i < conf->listen.count; i++)
        set_mode(&conf->listen.items[i].address, conf->listen.items[i].mode);
    set_mode(&conf->admin.address, conf->admin.mode);
}

void sheaf_sockets_announce(const sheaf_sockets_t *sockets)
{
    for (uint32_t i = 0; i < sockets->count; i++) {
        const sheaf_socket_t *socket = &sockets->items[i];
        const char *what = socket->is_admin ? "admin" : "listening";
        const char *colon = strrchr(socket->text, ':');
        uint16_t port = sheaf_sockets_port(sockets, i);

        if (port != 0 && colon != NULL)
            printf("%s on %.*s:%u\n", what, (int)(colon - socket->text), socket->text, port);
        else
            printf("%s on %s\n", what, socket->text);
    }
    fflush(stdout);
}
