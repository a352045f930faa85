/* plugins/field/field_name.h - which names a field may be given. */
#ifndef SHEAF_PLUGINS_FIELD_NAME_H
#define SHEAF_PLUGINS_FIELD_NAME_H

#include "plugins/sheaf_plugin.h"

#define FIELD_NAME_MAX 128 /* bytes */

/* NULL, or why `name` cannot be changed on the way to a backend or (is_request 0) back: no token (RFC 9110 5.1), too long, or
 * one that Sheaf writes itself. */
const char *field_name_refused(sheaf_p_str_t name, int is_request);

/* Would a backend that turns names into variables (CGI and what came of it) take `name` for `other`, which is spelt otherwise?
 * X_User is HTTP_X_USER as X-User is. 1 or 0; the same name in another case is no alias. */
int field_name_is_alias(sheaf_p_str_t name, const char *other);

#endif
