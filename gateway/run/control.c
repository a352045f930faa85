#include "gateway/run/control.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct { /* what travels as bytes; descriptors travel beside it */
    uint32_t kind, generation, fd_count;
} wire_note_t;

typedef union {
    struct cmsghdr head; /* for alignment */
    char bytes[CMSG_SPACE(sizeof(int) * SHEAF_NOTE_FDS_MAX)];
} rights_t;

bool sheaf_control_pair(int ret_ends[2])
{
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ret_ends) == 0;
}

static void attach_rights(struct msghdr *message, rights_t *rights, const int *fds, size_t count)
{
    struct cmsghdr *head;

    memset(rights, 0, sizeof(*rights));
    message->msg_control = rights->bytes;
    message->msg_controllen = CMSG_SPACE(sizeof(int) * count);
    head = CMSG_FIRSTHDR(message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof(int) * count);
    memcpy(CMSG_DATA(head), fds, sizeof(int) * count);
}

bool sheaf_control_send(int fd, const sheaf_note_t *note)
{
    wire_note_t wire = {note->kind, note->generation, note->fd_count};
    struct iovec part = {&wire, sizeof(wire)};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    rights_t rights;

    if (note->fd_count > 0)
        attach_rights(&message, &rights, note->fds, note->fd_count);
    return sendmsg(fd, &message, MSG_NOSIGNAL) == (ssize_t)sizeof(wire);
}

static uint32_t take_rights(struct msghdr *message, int *fds)
{
    struct cmsghdr *head = CMSG_FIRSTHDR(message);
    size_t count;

    if (head == NULL || head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS)
        return 0;
    count = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    memcpy(fds, CMSG_DATA(head), count * sizeof(int));
    return (uint32_t)count;
}

int sheaf_control_receive(int fd, sheaf_note_t *ret_note)
{
    wire_note_t wire = {0, 0, 0};
    struct iovec part = {&wire, sizeof(wire)};
    rights_t rights;
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = rights.bytes, .msg_controllen = sizeof(rights.bytes)};
    ssize_t got;

    do
        got = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
    while (got < 0 && errno == EINTR);
    if (got < 0 && errno == EAGAIN)
        return 0;
    if (got != (ssize_t)sizeof(wire))
        return -1;
    memset(ret_note, 0, sizeof(*ret_note));
    ret_note->kind = wire.kind;
    ret_note->generation = wire.generation;
    ret_note->fd_count = take_rights(&message, ret_note->fds);
    return 1;
}

static bool write_all(int fd, sheaf_str_t text)
{
    while (text.len > 0) {
        ssize_t wrote = write(fd, text.base, text.len);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote <= 0)
            return false;
        text.base += wrote;
        text.len -= (size_t)wrote;
    }
    return true;
}

int sheaf_control_text_fd(sheaf_str_t text)
{
    int fd = memfd_create("sheaf-config", MFD_CLOEXEC);

    if (fd >= 0 && !write_all(fd, text)) {
        close(fd);
        return -1;
    }
    return fd;
}

bool sheaf_control_read_fd(int fd, size_t limit_bytes, char **ret_text, size_t *ret_len)
{
    struct stat stat;
    bool is_sized = fstat(fd, &stat) == 0 && stat.st_size > 0 && (uint64_t)stat.st_size <= limit_bytes;
    size_t len = 0, size = is_sized ? (size_t)stat.st_size + 1 : 64 << 10; /* growing would leave copies behind */
    char *text = sheaf_alloc(size);
    ssize_t got;

    while ((got = pread(fd, text + len, size - len, (off_t)len)) != 0) {
        if (got < 0 && errno == ESPIPE)
            got = read(fd, text + len, size - len);
        if (got < 0 && errno == EINTR)
            continue;
        if (got == 0)
            break;
        if (got < 0 || (len += (size_t)got) > limit_bytes) {
            errno = got < 0 ? errno : EFBIG;
            free(text);
            return false;
        }
        if (len == size)
            text = sheaf_realloc(text, size *= 2);
    }
    *ret_text = text;
    *ret_len = len;
    return true;
}
