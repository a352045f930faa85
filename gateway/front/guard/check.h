/* guard/check.h - are our functions the ones that libh2o calls?
 *
 * A link option or a preloaded library could put others in their place, and nothing would show it. So before anything is
 * served, one request over HTTP/1 and one over HTTP/2 go through libh2o on a socket pair. */
#ifndef SHEAF_FRONT_GUARD_CHECK_H
#define SHEAF_FRONT_GUARD_CHECK_H

#include "gateway/base/error.h"

/* SHEAF_ERR_SYSTEM, with what was not called, when the guard is not in place. Runs in a process of its own. */
sheaf_err_t sheaf_guard_check(sheaf_fail_t *fail);

#endif
