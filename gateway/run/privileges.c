#include "gateway/run/privileges.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "gateway/base/log.h"

/* --- looking up --- */

static bool to_number(sheaf_str_t text, uint32_t *ret_number)
{
    uint64_t number;

    if (!sheaf_str_to_u64(text, &number) || number >= UINT32_MAX) /* -1 means "as it is" to the kernel */
        return false;
    *ret_number = (uint32_t)number;
    return true;
}

static sheaf_err_t to_name(const char *key, sheaf_str_t text, char *ret_name, size_t room, sheaf_fail_t *fail)
{
    if (text.len == 0 || text.len >= room)
        return sheaf_fail(fail, SHEAF_ERR_CONFIG, "`%s` must be a name or a number, not `%.*s`", key,
                          SHEAF_STR_ARG(text));
    memcpy(ret_name, text.base, text.len);
    ret_name[text.len] = '\0';
    return SHEAF_OK;
}

static sheaf_err_t find_user(sheaf_str_t text, sheaf_privileges_t *privileges, const struct passwd **ret_entry,
                             sheaf_fail_t *fail)
{
    char name[256];
    sheaf_err_t err = to_name("user", text, name, sizeof(name), fail);

    if (err != SHEAF_OK)
        return err;
    *ret_entry = getpwnam(name);
    if (*ret_entry == NULL && to_number(text, &privileges->uid))
        *ret_entry = getpwuid(privileges->uid);
    else if (*ret_entry == NULL)
        return sheaf_fail(fail, SHEAF_ERR_CONFIG, "there is no user `%s` here", name);
    if (*ret_entry == NULL) { /* a number may do without an entry, but then nobody knows its group */
        privileges->gid = (gid_t)-1;
        return SHEAF_OK;
    }
    privileges->uid = (*ret_entry)->pw_uid;
    privileges->gid = (*ret_entry)->pw_gid;
    return SHEAF_OK;
}

static sheaf_err_t find_group(sheaf_str_t text, sheaf_privileges_t *privileges, sheaf_fail_t *fail)
{
    char name[256];
    const struct group *entry;
    sheaf_err_t err = to_name("group", text, name, sizeof(name), fail);

    if (err != SHEAF_OK)
        return err;
    entry = getgrnam(name);
    if (entry != NULL)
        privileges->gid = entry->gr_gid;
    else if (!to_number(text, &privileges->gid))
        return sheaf_fail(fail, SHEAF_ERR_CONFIG, "there is no group `%s` here", name);
    return SHEAF_OK;
}

/* Only root may become others; a process that is whom it is to be already has nothing to do. */
static sheaf_err_t check_permitted(sheaf_privileges_t *privileges, sheaf_fail_t *fail)
{
    if (geteuid() == 0)
        return SHEAF_OK;
    if (geteuid() != privileges->uid || getegid() != privileges->gid)
        return sheaf_fail(fail, SHEAF_ERR_CONFIG,
                          "cannot become user %u and group %u: only root may. Start as root, or leave `user` and "
                          "`group` out",
                          privileges->uid, privileges->gid);
    privileges->is_wanted = false;
    return SHEAF_OK;
}

sheaf_err_t sheaf_privileges_find(const sheaf_conf_t *conf, sheaf_privileges_t *ret_privileges, sheaf_fail_t *fail)
{
    sheaf_privileges_t privileges = {.is_wanted = true, .uid = geteuid(), .gid = getegid()};
    const struct passwd *entry = NULL;
    sheaf_err_t err = SHEAF_OK;

    if (conf->user.base == NULL && conf->group.base == NULL) {
        privileges.is_wanted = false;
        *ret_privileges = privileges;
        return SHEAF_OK;
    }
    if (conf->user.base != NULL)
        err = find_user(conf->user, &privileges, &entry, fail);
    if (err == SHEAF_OK && conf->group.base != NULL)
        err = find_group(conf->group, &privileges, fail);
    if (err != SHEAF_OK)
        return err;
    if (privileges.gid == (gid_t)-1)
        return sheaf_fail(fail, SHEAF_ERR_CONFIG, "nobody knows the group of user %u: say `group` too", privileges.uid);
    privileges.groups[0] = privileges.gid;
    privileges.group_count = SHEAF_GROUPS_MOST;
    if (entry == NULL)
        privileges.group_count = 1;
    else if (getgrouplist(entry->pw_name, privileges.gid, privileges.groups, &privileges.group_count) < 0)
        return sheaf_fail(fail, SHEAF_ERR_CONFIG, "the user `%s` is in more than %d groups", entry->pw_name,
                          SHEAF_GROUPS_MOST);
    err = check_permitted(&privileges, fail);
    if (err == SHEAF_OK)
        *ret_privileges = privileges;
    return err;
}

/* --- becoming --- */

/* Groups first: without the user's rights they could not be changed any more. */
static bool change(const sheaf_privileges_t *privileges)
{
    return setgroups((size_t)privileges->group_count, privileges->groups) == 0 &&
           setresgid(privileges->gid, privileges->gid, privileges->gid) == 0 &&
           setresuid(privileges->uid, privileges->uid, privileges->uid) == 0;
}

sheaf_err_t sheaf_privileges_take(const sheaf_privileges_t *privileges, sheaf_fail_t *fail)
{
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (!privileges->is_wanted)
        return SHEAF_OK;
    if (!change(privileges))
        return sheaf_fail(fail, SHEAF_ERR_SYSTEM, "cannot become user %u and group %u: %s", privileges->uid,
                          privileges->gid, strerror(errno));
    if (privileges->uid != 0 && setuid(0) == 0)
        return sheaf_fail(fail, SHEAF_ERR_SYSTEM, "the rights of root could not be given up");
    prctl(PR_SET_DUMPABLE, 1, 0, 0, 0); /* the change forbade core dumps */
    return SHEAF_OK;
}

void sheaf_privileges_warn(const sheaf_privileges_t *privileges)
{
    if ((privileges->is_wanted ? privileges->uid : geteuid()) == 0)
        sheaf_log(SHEAF_LOG_WARN, "start", "workers run as root: set `user`, so that a break-in is worth less");
}
