/* redis_conf.h - the keys that every `redis` section has; a plugin's own stand behind them.
 *
 *   static const sheaf_p_key_t redis_keys[] = {
 *       REDIS_KEYS("mine:", "What its keys begin with.", "50ms"),
 *       [REDIS_OWN] = {.name = "on_error", ...},
 *       {.name = NULL},
 *   }; */
#ifndef REDIS_CONF_H
#define REDIS_CONF_H

#include "redis_conn.h"

#define REDIS_PREFIX_MAX 64 /* with what a plugin puts behind it */

enum {
    REDIS_ADDRESS,
    REDIS_USERNAME,
    REDIS_PASSWORD,
    REDIS_PASSWORD_FILE,
    REDIS_DATABASE,
    REDIS_PREFIX,
    REDIS_TIMEOUT,
    REDIS_OWN, /* where a plugin's own begin */
};

#define REDIS_KEYS(prefix, prefix_manual, timeout)                                                                     \
    [REDIS_ADDRESS] = {.name = "address",                                                                              \
                       .type = SHEAF_P_TEXT,                                                                           \
                       .required = 1,                                                                                  \
                       .manual = "10.0.0.7:6379, [2001:db8::7]:6379 or unix:/run/redis.sock."},                        \
    [REDIS_USERNAME] = {.name = "username", .type = SHEAF_P_TEXT, .manual = "Of an ACL."},                             \
    [REDIS_PASSWORD] = {.name = "password", .type = SHEAF_P_TEXT, .manual = "Sent on every connection."},              \
    [REDIS_PASSWORD_FILE] = {.name = "password_file", .type = SHEAF_P_FILE, .manual = "The password, in a file."},     \
    [REDIS_DATABASE] = {.name = "database",                                                                            \
                        .type = SHEAF_P_NUMBER,                                                                        \
                        .preset = "0",                                                                                 \
                        .min = 0,                                                                                      \
                        .max = 65535,                                                                                  \
                        .manual = "Number of the database."},                                                          \
    [REDIS_PREFIX] = {.name = "prefix", .type = SHEAF_P_TEXT, .preset = prefix, .manual = prefix_manual},              \
    [REDIS_TIMEOUT] = {.name = "timeout",                                                                              \
                       .type = SHEAF_P_DURATION,                                                                       \
                       .preset = timeout,                                                                              \
                       .min = 1,                                                                                       \
                       .max = 10000,                                                                                   \
                       .manual = "How long a decision is waited for."}

/* Everything but what the plugin itself sets: answer_bytes, lost_counter, on_answer, owner. Of the prefix at most
 * REDIS_PREFIX_MAX - 1 - `behind_max` bytes are taken, so that as much fits behind it. 0, or -1 and `fail`. Texts are borrowed
 * of `section`. */
int redis_conf_read(const sheaf_p_value_t *section, size_t behind_max, redis_conn_conf_t *ret_conf,
                    sheaf_p_fail_t *fail);

#endif
