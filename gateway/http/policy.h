/* http/policy.h - which header fields may pass, towards a backend or back from it.
 *
 * Lists hold lower-case names, or beginnings of names: "x-internal-*". What is denied does not pass, in whatever case it
 * came and with `_` for `-`, because many backends make both the same variable. What is allowed passes as it is named
 * and not otherwise, so that x_user is not let in for x-user. Without an `allow` list all that is not denied is.
 *
 * What a body cannot be read without always passes: content-type, content-encoding, content-length; and accept-encoding
 * needs no allowance, for what it asks for is between the gateway and the backend. */
#ifndef SHEAF_HTTP_POLICY_H
#define SHEAF_HTTP_POLICY_H

#include "gateway/base/error.h"
#include "gateway/http/header.h"

typedef struct sheaf_policy {
    const sheaf_str_t *allow; /* NULL: all; else none but these */
    uint32_t allow_count;
    const sheaf_str_t *deny;
    uint32_t deny_count;
    bool drops_credentials; /* authorization and cookie do not pass either */
} sheaf_policy_t;

/* Does everything pass? */
static inline bool sheaf_policy_is_open(const sheaf_policy_t *policy)
{
    return policy->allow == NULL && policy->deny_count == 0 && !policy->drops_credentials;
}

/* `name` is lower-case. */
bool sheaf_policy_passes(const sheaf_policy_t *policy, sheaf_str_t name);

/* Takes what may not pass out of `headers`, but for the names in `except` (NULL: none). The entries may be shared with
 * others: where something goes, what is left is copied to `pool`. */
void sheaf_policy_filter(const sheaf_policy_t *policy, const sheaf_headers_t *except, sheaf_pool_t *pool,
                         sheaf_headers_t *headers);

/* SHEAF_ERR_CONFIG with a sentence unless `pattern` is a lower-case name, or the beginning of one with a star; nor, for a
 * deny list, one that always passes. */
sheaf_err_t sheaf_policy_check(sheaf_str_t pattern, bool is_denied, sheaf_fail_t *fail);

#endif
