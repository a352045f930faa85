/* config/env.h - `${env.NAME}` and `${env.NAME:-default}` in a scalar.
 *
 * What comes out is the scalar's text and nothing more: it is never read as YAML again, so a variable cannot change
 * the structure of a file. `:-` also stands in for an empty variable, as in a shell. `$${env.` is a literal `${env.`;
 * any other `${` is left alone. NAME is [A-Za-z_][A-Za-z0-9_]*; a default ends at the first `}`. */
#ifndef SHEAF_CONFIG_ENV_H
#define SHEAF_CONFIG_ENV_H

#include "gateway/base/error.h"
#include "gateway/base/pool.h"

#define SHEAF_ENV_MAX 65536 /* bytes of a scalar once its references are replaced */

/* True when `text` needs sheaf_env_expand(). */
bool sheaf_env_is_in(sheaf_str_t text);

/* On failure `*ret_bad` is the reference at fault, a slice of `text`. */
sheaf_err_t sheaf_env_expand(sheaf_pool_t *pool, sheaf_str_t text, sheaf_str_t *ret_text, sheaf_str_t *ret_bad,
                             sheaf_fail_t *fail);

#endif
