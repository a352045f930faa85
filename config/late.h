/* config/late.h - when something is late: beyond a percentile of what it takes, or beyond a time. */
#ifndef SHEAF_CONFIG_LATE_H
#define SHEAF_CONFIG_LATE_H

#include "config/keys.h"
#include "gateway/base/error.h"

/* A percentile, p50 to p99.9 (one digit behind the point), or a duration of 1ms to 1h. */
sheaf_err_t sheaf_late_read(sheaf_str_t text, sheaf_late_t *ret_late, sheaf_fail_t *fail);

#endif
