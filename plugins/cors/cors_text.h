/* plugins/cors/cors_text.h - lists of names as fields carry them. */
#ifndef SHEAF_PLUGINS_CORS_TEXT_H
#define SHEAF_PLUGINS_CORS_TEXT_H

#include "plugins/sheaf_plugin.h"

#define CORS_LIST_MAX 2048 /* bytes of a list of names that a browser asks for */

/* RFC 9110 5.6.2. 1 or 0. */
int cors_is_token(sheaf_p_str_t text);
/* Tokens parted by commas and blanks, as Access-Control-Request-Headers is (Fetch 3.2.2): what can be said back. 1 or 0. */
int cors_is_list(sheaf_p_str_t text);
/* "a, b, c" on the heap; NULL: no memory. */
char *cors_join(const sheaf_p_str_t *texts, uint32_t count);

#endif
