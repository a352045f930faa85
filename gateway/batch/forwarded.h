/* batch/forwarded.h - the fields that the gateway writes itself: Via (RFC 9110 7.6.3), X-Forwarded-For, -Proto, -Host,
 * X-Real-IP and X-Request-Id.
 *
 * Those of a client are dropped; only what a peer in trusted_proxies says is believed and appended to. */
#ifndef SHEAF_BATCH_FORWARDED_H
#define SHEAF_BATCH_FORWARDED_H

#include "gateway/batch/batch.h"

/* The name the gateway goes by in Via. */
#define SHEAF_PSEUDONYM "sheaf"

/* LOOP when the outer request has been here before. */
sheaf_err_t sheaf_forwarded_check(sheaf_batch_t *batch, sheaf_fail_t *fail);

/* Who the client is: whom trusted proxies say, else the peer. */
void sheaf_forwarded_client(sheaf_batch_t *batch, uint8_t ret_ip[16]);

/* How the client speaks to whom it asks first, "http" or "https": as trusted proxies say, else as it came. */
sheaf_str_t sheaf_forwarded_scheme(const sheaf_batch_t *batch);

/* Adds them to the headers that every item sends. */
void sheaf_forwarded_add(sheaf_batch_t *batch);

#endif
