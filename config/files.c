#include "config/files.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/secret.h"
#include "gateway/base/pool.h"

#define MAGIC          SHEAF_STR("sheaf pack 1\n")
#define PACK_MAX_BYTES (SHEAF_FILES_MAX_BYTES + (32u << 20)) /* the text, and what is around them */

void sheaf_files_init(sheaf_files_t *files, const char *folder)
{
    *files = (sheaf_files_t){.folder = folder};
}

void sheaf_files_fini(sheaf_files_t *files)
{
    for (uint32_t i = 0; i < files->count; i++) {
        free((void *)(uintptr_t)files->items[i].path.base);
        sheaf_secret_free((void *)(uintptr_t)files->items[i].bytes.base, files->items[i].bytes.len + 1);
    }
    free(files->items);
    sheaf_files_init(files, NULL);
}

static char *copy_of(sheaf_str_t s)
{
    char *copy = sheaf_alloc(s.len + 1);

    if (s.len > 0)
        memcpy(copy, s.base, s.len);
    copy[s.len] = '\0';
    return copy;
}

static const sheaf_file_t *add(sheaf_files_t *files, sheaf_str_t path, sheaf_str_t content)
{
    char *bytes = sheaf_secret_alloc(content.len + 1); /* and a NUL */
    sheaf_file_t *file;

    if (content.len > 0)
        memcpy(bytes, content.base, content.len);

    if (files->count == files->room) {
        files->room = files->room == 0 ? 4 : files->room * 2;
        files->items = sheaf_realloc(files->items, files->room * sizeof(*files->items));
    }
    file = &files->items[files->count++];
    files->bytes += content.len;
    *file = (sheaf_file_t){sheaf_str(copy_of(path), path.len), sheaf_str(bytes, content.len)};
    return file;
}

/* --- from disk --- */

static int open_file(const sheaf_files_t *files, sheaf_str_t path)
{
    bool is_relative = path.base[0] != '/' && files->folder[0] != '\0';
    char *whole = NULL;
    int fd = -1;

    if (asprintf(&whole, "%s%s%.*s", is_relative ? files->folder : "", is_relative ? "/" : "", SHEAF_STR_ARG(path)) >=
        0)
        fd = open(whole, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe without a writer must not hold us up */
    free(whole);
    return fd;
}

static const char *read_bytes(int fd, char *bytes, size_t room, size_t *ret_len)
{
    struct stat stat;
    size_t len = 0;

    if (fstat(fd, &stat) != 0)
        return strerror(errno);
    if (!S_ISREG(stat.st_mode))
        return "it is not a file";
    while (len < room) {
        ssize_t got = read(fd, bytes + len, room - len);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return strerror(errno);
        if (got == 0)
            break;
        len += (size_t)got;
    }
    if (len == room)
        return "it is larger than 4 MiB";
    *ret_len = len;
    return len == 0 ? "it is empty" : NULL;
}

static sheaf_err_t read_from_disk(sheaf_files_t *files, sheaf_str_t path, sheaf_file_t *ret_file, sheaf_fail_t *fail)
{
    const size_t room = SHEAF_FILE_MAX_BYTES + 1;
    int fd = open_file(files, path);
    const char *why = strerror(errno);
    size_t len = 0;
    char *bytes;

    if (fd < 0)
        return sheaf_fail(fail, SHEAF_ERR_CONFIG, "cannot read %.*s: %s", SHEAF_STR_ARG(path), why);
    bytes = sheaf_secret_alloc(room);
    why = read_bytes(fd, bytes, room, &len);
    close(fd);
    if (why == NULL && files->bytes + len > SHEAF_FILES_MAX_BYTES)
        why = "all files together are larger than 128 MiB";
    if (why != NULL)
        sheaf_fail(fail, SHEAF_ERR_CONFIG, "cannot read %.*s: %s", SHEAF_STR_ARG(path), why);
    else
        *ret_file = *add(files, path, sheaf_str(bytes, len));
    sheaf_secret_free(bytes, room);
    return why != NULL ? SHEAF_ERR_CONFIG : SHEAF_OK;
}

sheaf_err_t sheaf_files_read(sheaf_files_t *files, sheaf_str_t path, sheaf_file_t *ret_file, sheaf_fail_t *fail)
{
    for (uint32_t i = 0; i < files->count; i++) {
        if (sheaf_str_eq(files->items[i].path, path)) {
            *ret_file = files->items[i];
            return SHEAF_OK;
        }
    }
    if (path.len == 0)
        return sheaf_fail(fail, SHEAF_ERR_CONFIG, "the name of a file is empty");
    if (memchr(path.base, '\0', path.len) != NULL)
        return sheaf_fail(fail, SHEAF_ERR_CONFIG, "the name of a file holds a NUL");
    if (files->folder == NULL)
        return sheaf_fail(fail, SHEAF_ERR_CONFIG, "%.*s was not handed on", SHEAF_STR_ARG(path));
    return read_from_disk(files, path, ret_file, fail);
}

/* --- the pack --- */

static char *put(char *at, sheaf_str_t s)
{
    if (s.len > 0)
        memcpy(at, s.base, s.len);
    return at + s.len;
}

static char *put_pair(char *at, sheaf_str_t path, sheaf_str_t bytes)
{
    uint64_t lens[2] = {htole64(path.len), htole64(bytes.len)};

    at = put(at, sheaf_str((const char *)lens, sizeof(lens)));
    return put(put(at, path), bytes);
}

char *sheaf_files_pack(const sheaf_files_t *files, sheaf_str_t text, size_t *ret_len)
{
    size_t len = MAGIC.len + 16 + text.len;
    char *pack, *at;

    for (uint32_t i = 0; i < files->count; i++)
        len += 16 + files->items[i].path.len + files->items[i].bytes.len;
    pack = sheaf_secret_alloc(len);
    at = put_pair(put(pack, MAGIC), SHEAF_STR(""), text);
    for (uint32_t i = 0; i < files->count; i++)
        at = put_pair(at, files->items[i].path, files->items[i].bytes);
    *ret_len = len;
    return pack;
}

/* The next pair, off the front of `rest`. */
static bool take_pair(sheaf_str_t *rest, sheaf_str_t *ret_path, sheaf_str_t *ret_bytes)
{
    uint64_t lens[2];

    if (rest->len < sizeof(lens))
        return false;
    memcpy(lens, rest->base, sizeof(lens));
    *rest = sheaf_str(rest->base + sizeof(lens), rest->len - sizeof(lens));
    lens[0] = le64toh(lens[0]);
    lens[1] = le64toh(lens[1]);
    if (lens[0] > rest->len || lens[1] > rest->len - lens[0])
        return false;
    *ret_path = sheaf_str(rest->base, lens[0]);
    *ret_bytes = sheaf_str(rest->base + lens[0], lens[1]);
    *rest = sheaf_str(ret_bytes->base + lens[1], rest->len - lens[0] - lens[1]);
    return true;
}

char *sheaf_files_pack_read(int fd, size_t *ret_len)
{
    struct stat stat;
    size_t len, got = 0;
    char *pack;

    if (fstat(fd, &stat) != 0 || stat.st_size <= 0 || (uint64_t)stat.st_size > PACK_MAX_BYTES)
        return NULL;
    len = (size_t)stat.st_size;
    pack = sheaf_secret_alloc(len);
    while (got < len) {
        ssize_t more = pread(fd, pack + got, len - got, (off_t)got);

        if (more < 0 && errno == EINTR)
            continue;
        if (more <= 0) {
            sheaf_secret_free(pack, len);
            return NULL;
        }
        got += (size_t)more;
    }
    *ret_len = len;
    return pack;
}

bool sheaf_files_unpack(sheaf_str_t pack, sheaf_str_t *ret_text, sheaf_files_t *ret_files)
{
    sheaf_str_t path, bytes, text, rest;
    sheaf_files_t files;

    if (!sheaf_str_starts(pack, MAGIC))
        return false;
    rest = sheaf_str(pack.base + MAGIC.len, pack.len - MAGIC.len);
    if (!take_pair(&rest, &path, &text) || path.len > 0)
        return false;
    sheaf_files_init(&files, NULL);
    while (rest.len > 0) {
        if (!take_pair(&rest, &path, &bytes)) {
            sheaf_files_fini(&files);
            return false;
        }
        add(&files, path, bytes);
    }
    *ret_text = text;
    *ret_files = files;
    return true;
}

void sheaf_files_pack_free(char *pack, size_t len)
{
    sheaf_secret_free(pack, len);
}
