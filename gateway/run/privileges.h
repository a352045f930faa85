/* run/privileges.h - who the workers are: the keys `user` and `group`.
 *
 * Started as root, the supervisor stays root (it opens sockets and files for reloads and new workers) and every worker
 * becomes somebody else before it touches a byte of a client's. Looked up once, at start, where the name service and its
 * files are still at hand; a reload does not change it. */
#ifndef SHEAF_RUN_PRIVILEGES_H
#define SHEAF_RUN_PRIVILEGES_H

#include <sys/types.h>

#include "config/snapshot.h"

#define SHEAF_GROUPS_MOST 64

typedef struct sheaf_privileges {
    bool is_wanted; /* false: stay who we are */
    uid_t uid;
    gid_t gid;
    gid_t groups[SHEAF_GROUPS_MOST];
    int group_count;
} sheaf_privileges_t;

/* Looks up `user` and `group` (names or numbers; the group of a user is the default) and whether this process may
 * become them. Fails with a sentence that says what to do. */
sheaf_err_t sheaf_privileges_find(const sheaf_conf_t *conf, sheaf_privileges_t *ret_privileges, sheaf_fail_t *fail);

/* Becomes that user, for good: groups, group, user, no new privileges by any exec. Core dumps stay possible. PR_SET_PDEATHSIG
 * is cleared by this, set it afterwards. */
sheaf_err_t sheaf_privileges_take(const sheaf_privileges_t *privileges, sheaf_fail_t *fail);

/* Logs a warning when these workers run as root. */
void sheaf_privileges_warn(const sheaf_privileges_t *privileges);

#endif
