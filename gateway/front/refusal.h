/* front/refusal.h - requests that libh2o refuses between their head and the handler, answered as we answer.
 *
 * libh2o's own errors (a body over its limit, an unknown Expect, a broken chunk) go through the filters of the host's
 * fallback path. The one registered here turns text/plain into problem+json, gives the refusal its log line and its
 * count, and lets the connection linger, because the rest of the request is still on its way (libh2o.md fact 20). What
 * is no HTTP at all gets libh2o's own 400. */
#ifndef SHEAF_FRONT_REFUSAL_H
#define SHEAF_FRONT_REFUSAL_H

#include "gateway/front/inside.h"

/* Registers the filter on `host`; once, before a context is made of its configuration. */
void sheaf_refusal_register(sheaf_front_t *front, h2o_hostconf_t *host);

#endif
