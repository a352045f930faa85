/* run/shares.h - memory that a plugin's instances in all workers share: one memfd for each.
 *
 * The supervisor makes them before its workers open the plugins, and hands them on with a reload as it does with listening
 * sockets. An instance that has the same name, plugin and size in the new configuration keeps its memory: counts of a
 * rate limit live on. */
#ifndef SHEAF_RUN_SHARES_H
#define SHEAF_RUN_SHARES_H

#include "config/snapshot.h"

typedef struct sheaf_share {
    char name[SHEAF_PLUGIN_NAME_MAX + 40]; /* of the instance and of its plugin */
    uint64_t bytes;
    int fd;
    bool is_new; /* not of the configuration before */
} sheaf_share_t;

typedef struct sheaf_shares {
    sheaf_share_t items[SHEAF_PLUGINS_SHARED_MAX];
    uint32_t count;
} sheaf_shares_t;

/* How many of the snapshot's plugins want memory. */
uint32_t sheaf_shares_wanted(const sheaf_snapshot_t *snapshot);

/* One for each plugin of `snapshot` that wants memory, in their order: that of `old` (may be NULL), else the next one of
 * `received`, else, when that is NULL, a new one. Received ones belong to `ret_new` from here on. */
sheaf_err_t sheaf_shares_open(const sheaf_snapshot_t *snapshot, const sheaf_shares_t *old, const int *received,
                              sheaf_shares_t *ret_new, sheaf_fail_t *fail);

/* The descriptor of each plugin by number; -1: it wants none. */
void sheaf_shares_fds(const sheaf_shares_t *shares, const sheaf_snapshot_t *snapshot, int fds[SHEAF_PLUGINS_MAX]);

/* Closes those that `keep` (NULL: none) does not have. */
void sheaf_shares_close(const sheaf_shares_t *shares, const sheaf_shares_t *keep);
/* Closes those that came with a configuration that is not to be used. */
void sheaf_shares_close_new(const sheaf_shares_t *shares);

#endif
