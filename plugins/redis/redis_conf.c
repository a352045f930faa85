#include "redis_conf.h"

#include <stdio.h>

static int refuse(sheaf_p_fail_t *fail, const char *key, const char *why)
{
    snprintf(fail->key, sizeof(fail->key), "%s", key);
    snprintf(fail->why, sizeof(fail->why), "%s", why);
    return -1;
}

static sheaf_p_str_t password_of(const sheaf_p_value_t *section)
{
    sheaf_p_str_t password =
        section[REDIS_PASSWORD].is_set ? section[REDIS_PASSWORD].text : section[REDIS_PASSWORD_FILE].text;

    while (password.len > 0 && (password.base[password.len - 1] == '\n' || password.base[password.len - 1] == '\r'))
        password.len--;
    return password;
}

int redis_conf_read(const sheaf_p_value_t *section, size_t behind_max, redis_conn_conf_t *ret_conf,
                    sheaf_p_fail_t *fail)
{
    redis_conn_conf_t conf = {
        .user = section[REDIS_USERNAME].text,
        .password = password_of(section),
        .database = section[REDIS_DATABASE].number,
        .timeout_ms = (uint64_t)section[REDIS_TIMEOUT].number,
    };

    if (!redis_address_read(section[REDIS_ADDRESS].text, &conf.address))
        return refuse(fail, "redis.address", "must be a numeric address with a port, or unix:/PATH");
    if (section[REDIS_PASSWORD].is_set && section[REDIS_PASSWORD_FILE].is_set)
        return refuse(fail, "redis.password", "stands beside password_file: one of the two");
    if (section[REDIS_PREFIX].text.len + behind_max >= REDIS_PREFIX_MAX)
        return refuse(fail, "redis.prefix", "is too long");
    *ret_conf = conf;
    return 0;
}
