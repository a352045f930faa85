#include "gateway/run/notify.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "gateway/base/clock.h"

static socklen_t to_name(const char *path, struct sockaddr_un *name)
{
    size_t len = strlen(path);

    if ((path[0] != '/' && path[0] != '@') || len < 2 || len >= sizeof(name->sun_path))
        return 0;
    memset(name, 0, sizeof(*name));
    name->sun_family = AF_UNIX;
    memcpy(name->sun_path, path, len);
    if (path[0] == '@') /* abstract: no name in the file system */
        name->sun_path[0] = '\0';
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
}

void sheaf_notify(const char *format, ...)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un name;
    socklen_t name_len = path != NULL ? to_name(path, &name) : 0;
    char text[512];
    va_list args;
    int len, fd;

    if (name_len == 0)
        return;
    va_start(args, format);
    len = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    if (len > 0 && (size_t)len < sizeof(text))
        sendto(fd, text, (size_t)len, MSG_NOSIGNAL | MSG_DONTWAIT, (struct sockaddr *)&name, name_len);
    close(fd);
}

void sheaf_notify_reloading(void)
{
    sheaf_notify("RELOADING=1\nMONOTONIC_USEC=%llu", (unsigned long long)sheaf_clock_monotonic_us(NULL));
}
