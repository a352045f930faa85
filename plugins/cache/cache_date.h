/* cache/cache_date.h - an HTTP-date (RFC 9110 5.6.7) in its three forms. */
#ifndef CACHE_DATE_H
#define CACHE_DATE_H

#include "plugins/sheaf_plugin.h"

/* Seconds since 1970; `now_s` tells which century two digits of a year mean. 1, or 0: that is no date. */
int cache_date_read(sheaf_p_str_t text, int64_t now_s, int64_t *ret_s);

#endif
