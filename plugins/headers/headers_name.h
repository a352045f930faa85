/* plugins/headers/headers_name.h - which names a field may be given. */
#ifndef SHEAF_PLUGINS_HEADERS_NAME_H
#define SHEAF_PLUGINS_HEADERS_NAME_H

#include "plugins/sheaf_plugin.h"

#define HEADERS_NAME_MAX 128 /* bytes */

/* NULL, or why `name` cannot be changed: no token (RFC 9110 5.1), too long, or one that Sheaf writes itself. */
const char *headers_name_refused(sheaf_p_str_t name);

#endif
