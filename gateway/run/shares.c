#include "gateway/run/shares.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

uint32_t sheaf_shares_wanted(const sheaf_snapshot_t *snapshot)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < snapshot->plugin_count; i++)
        count += snapshot->plugins[i]->shared_bytes > 0;
    return count;
}

static int find(const sheaf_shares_t *shares, const sheaf_share_t *like)
{
    for (uint32_t i = 0; shares != NULL && i < shares->count; i++)
        if (strcmp(shares->items[i].name, like->name) == 0 && shares->items[i].bytes == like->bytes)
            return shares->items[i].fd;
    return -1;
}

static int make(uint64_t bytes)
{
    int fd = memfd_create("sheaf-plugin", MFD_CLOEXEC);

    if (fd >= 0 && ftruncate(fd, (off_t)bytes) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static void take(sheaf_share_t *share, const sheaf_shares_t *old, const int *received)
{
    share->fd = received != NULL ? *received : find(old, share);
    share->is_new = received != NULL || share->fd < 0;
    if (share->fd < 0)
        share->fd = make(share->bytes);
}

sheaf_err_t sheaf_shares_open(const sheaf_snapshot_t *snapshot, const sheaf_shares_t *old, const int *received,
                              sheaf_shares_t *ret_new, sheaf_fail_t *fail)
{
    ret_new->count = 0;
    for (uint32_t i = 0; i < snapshot->plugin_count; i++) {
        const sheaf_plugin_conf_t *conf = snapshot->plugins[i];
        sheaf_share_t *share = &ret_new->items[ret_new->count];

        if (conf->shared_bytes == 0)
            continue;
        if (ret_new->count == SHEAF_PLUGINS_SHARED_MAX) {
            sheaf_shares_close_new(ret_new);
            return sheaf_fail(fail, SHEAF_ERR_CONFIG, "more than %d plugins share memory", SHEAF_PLUGINS_SHARED_MAX);
        }
        snprintf(share->name, sizeof(share->name), "%.*s %s", SHEAF_STR_ARG(conf->name), conf->plugin->name);
        share->bytes = conf->shared_bytes;
        take(share, old, received == NULL ? NULL : received + ret_new->count);
        if (share->fd < 0) {
            sheaf_shares_close_new(ret_new);
            return sheaf_fail(fail, SHEAF_ERR_SYSTEM, "no shared memory is to be had: %s", strerror(errno));
        }
        ret_new->count++;
    }
    return SHEAF_OK;
}

void sheaf_shares_fds(const sheaf_shares_t *shares, const sheaf_snapshot_t *snapshot, int fds[SHEAF_PLUGINS_MAX])
{
    uint32_t at = 0;

    for (uint32_t i = 0; i < snapshot->plugin_count; i++)
        fds[i] = snapshot->plugins[i]->shared_bytes > 0 && at < shares->count ? shares->items[at++].fd : -1;
}

void sheaf_shares_close(const sheaf_shares_t *shares, const sheaf_shares_t *keep)
{
    for (uint32_t i = 0; i < shares->count; i++) {
        bool is_kept = false;

        for (uint32_t k = 0; keep != NULL && k < keep->count; k++)
            is_kept |= keep->items[k].fd == shares->items[i].fd;
        if (!is_kept)
            close(shares->items[i].fd);
    }
}

void sheaf_shares_close_new(const sheaf_shares_t *shares)
{
    for (uint32_t i = 0; i < shares->count; i++)
        if (shares->items[i].is_new)
            close(shares->items[i].fd);
}
