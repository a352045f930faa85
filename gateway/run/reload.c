#include "gateway/run/reload.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "gateway/base/log.h"
#include "gateway/run/worker.h"

static sheaf_err_t read_text(sheaf_reload_t *reload, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool is_read = fd >= 0 && sheaf_control_read_fd(fd, SHEAF_CONFIG_MAX_BYTES, &reload->text, &reload->text_len);

    if (!is_read)
        fprintf(stderr, "%s: error: cannot be read: %s\n", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    return is_read ? SHEAF_OK : SHEAF_ERR_CONFIG;
}

static sheaf_err_t take_report(sheaf_reload_t *reload, char *report)
{
    if (report != NULL && report[0] != '\0')
        fputs(report, stderr);
    free(report);
    return reload->snapshot != NULL ? SHEAF_OK : SHEAF_ERR_CONFIG;
}

static sheaf_err_t check_text(sheaf_reload_t *reload, const char *path, sheaf_str_t text)
{
    char *report = NULL;

    reload->snapshot = sheaf_snapshot_load(path, text, &report);
    return take_report(reload, report);
}

/* The supervisor has read the files: this process may not be allowed to. */
static sheaf_err_t check_pack(sheaf_reload_t *reload, sheaf_str_t pack)
{
    char *report = NULL;
    sheaf_files_t files;
    sheaf_str_t text;

    if (!sheaf_files_unpack(pack, &text, &files))
        return SHEAF_ERR_SYSTEM;
    reload->snapshot = sheaf_snapshot_load_packed("configuration", text, &files, &report);
    return take_report(reload, report);
}

static sheaf_err_t open_all(sheaf_reload_t *fresh, const sheaf_sockets_t *old, const sheaf_shares_t *old_shares,
                            sheaf_fail_t *fail)
{
    sheaf_err_t err = sheaf_shares_open(fresh->snapshot, old_shares, NULL, &fresh->shares, fail);

    if (err != SHEAF_OK)
        return err;
    err = sheaf_sockets_open(&fresh->snapshot->conf, old, NULL, 0, &fresh->sockets, fail);
    if (err != SHEAF_OK)
        sheaf_shares_close_new(&fresh->shares);
    return err;
}

sheaf_err_t sheaf_reload_read(sheaf_reload_t *reload, const char *path, const sheaf_sockets_t *old,
                              const sheaf_shares_t *old_shares)
{
    sheaf_reload_t fresh = {.snapshot = NULL};
    sheaf_fail_t fail;
    sheaf_err_t err = read_text(&fresh, path);

    if (err == SHEAF_OK)
        err = check_text(&fresh, path, sheaf_str(fresh.text, fresh.text_len));
    if (err == SHEAF_OK) {
        err = open_all(&fresh, old, old_shares, &fail);
        if (err != SHEAF_OK)
            fprintf(stderr, "%s: error: %s\n", path, fail.detail);
    }
    if (err != SHEAF_OK) {
        sheaf_snapshot_drop(fresh.snapshot);
        free(fresh.text);
        return err;
    }
    *reload = fresh;
    return SHEAF_OK;
}

static sheaf_err_t close_received(const sheaf_note_t *note, sheaf_err_t err)
{
    for (uint32_t i = 1; i < note->fd_count; i++)
        close(note->fds[i]);
    return err != SHEAF_OK ? err : SHEAF_ERR_SYSTEM;
}

/* Sockets come first, then all the memory. */
static sheaf_err_t take_received(sheaf_reload_t *fresh, const sheaf_note_t *note, const sheaf_sockets_t *old,
                                 sheaf_fail_t *fail)
{
    uint32_t sockets = note->fd_count - 1 - sheaf_shares_wanted(fresh->snapshot);
    sheaf_err_t err;

    err = sheaf_shares_open(fresh->snapshot, NULL, note->fds + 1 + sockets, &fresh->shares, fail);
    if (err == SHEAF_OK)
        err = sheaf_sockets_open(&fresh->snapshot->conf, old, note->fds + 1, sockets, &fresh->sockets, fail);
    if (err != SHEAF_OK)
        sheaf_shares_close_new(&fresh->shares);
    return err;
}

sheaf_err_t sheaf_reload_receive(sheaf_reload_t *reload, const sheaf_note_t *note, const sheaf_sockets_t *old)
{
    sheaf_reload_t fresh = {.snapshot = NULL};
    sheaf_fail_t fail = {.detail = ""};
    sheaf_err_t err = SHEAF_ERR_SYSTEM;
    size_t len = 0;
    char *pack;

    if (note->fd_count == 0)
        return SHEAF_ERR_SYSTEM;
    pack = sheaf_files_pack_read(note->fds[0], &len);
    if (pack != NULL)
        err = check_pack(&fresh, sheaf_str(pack, len));
    close(note->fds[0]);
    sheaf_files_pack_free(pack, len);
    if (err == SHEAF_OK && note->fd_count >= 1 + sheaf_shares_wanted(fresh.snapshot))
        err = take_received(&fresh, note, old, &fail);
    else
        err = close_received(note, err);
    if (err != SHEAF_OK) {
        sheaf_log(SHEAF_LOG_ERROR, "reload", "this worker cannot take the new configuration: %s", fail.detail);
        sheaf_snapshot_drop(fresh.snapshot);
        return err;
    }
    *reload = fresh;
    return SHEAF_OK;
}

bool sheaf_reload_note(const sheaf_reload_t *reload, const sheaf_sockets_t *old, sheaf_note_t *ret_note)
{
    size_t len;
    char *pack;

    memset(ret_note, 0, sizeof(*ret_note));
    ret_note->kind = SHEAF_NOTE_PREPARE;
    pack = sheaf_files_pack(&reload->snapshot->files, sheaf_str(reload->text, reload->text_len), &len);
    ret_note->fds[0] = sheaf_control_text_fd(sheaf_str(pack, len));
    sheaf_files_pack_free(pack, len);
    if (ret_note->fds[0] < 0)
        return false;
    ret_note->fd_count = 1;
    for (uint32_t i = 0; i < reload->sockets.count; i++) {
        if (sheaf_sockets_find(old, &reload->sockets.items[i]) < 0)
            ret_note->fds[ret_note->fd_count++] = reload->sockets.items[i].fd;
    }
    for (uint32_t i = 0; i < reload->shares.count; i++)
        ret_note->fds[ret_note->fd_count++] = reload->shares.items[i].fd;
    return true;
}

void sheaf_reload_forget(sheaf_reload_t *reload, const sheaf_sockets_t *in_use)
{
    if (reload->snapshot == NULL)
        return;
    if (in_use != NULL) {
        sheaf_sockets_close(&reload->sockets, in_use);
        sheaf_shares_close_new(&reload->shares);
    }
    sheaf_snapshot_drop(reload->snapshot);
    free(reload->text);
    memset(reload, 0, sizeof(*reload));
}
