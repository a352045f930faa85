/* upstream/retry.h - whether an exchange that failed is sent again, and when.
 *
 *   failure --in `on`?--safe to repeat?--attempts left?--before the deadline?--in the budget?--> a time
 *
 * Nothing of an answer has reached the exchange's owner when this is asked. The budget keeps a backend that is down
 * from getting more than its share: retries are at most `budget` of the exchanges of the last ten seconds, or three a
 * second where that is more (so that an upstream nobody asks much still gets its retries). Pure: time is handed in. */
#ifndef SHEAF_UPSTREAM_RETRY_H
#define SHEAF_UPSTREAM_RETRY_H

#include "config/snapshot.h"
#include "gateway/base/chance.h"
#include "gateway/http/exchange.h"
#include "gateway/upstream/tally.h"

#define SHEAF_RETRY_WINDOW_MS      10000
#define SHEAF_RETRY_FLOOR          3 /* a second, whatever the budget */
#define SHEAF_RETRY_MAX_BACKOFF_MS 1000

typedef struct sheaf_retry {
    const sheaf_retry_conf_t *conf; /* the owner's; an equal one may take its place */
    sheaf_chance_t chance;
    sheaf_tally_t tally; /* exchanges; marked: retries */
    uint64_t second;     /* which one `in_second` counts */
    uint32_t in_second;
} sheaf_retry_t;

/* What became of an attempt. */
typedef struct sheaf_failure {
    sheaf_err_t err;         /* SHEAF_OK: there is an answer, with `status` */
    uint16_t status;         /* 0: no head of an answer came */
    bool was_sent;           /* a byte of the request may have reached the backend */
    uint64_t retry_after_ms; /* as the answer said it; 0 when it said nothing */
} sheaf_failure_t;

typedef enum sheaf_retry_verdict {
    SHEAF_RETRY_NO,
    SHEAF_RETRY_BUDGET, /* it would be, but for the budget */
    SHEAF_RETRY_YES,
} sheaf_retry_verdict_t;

void sheaf_retry_init(sheaf_retry_t *retry, const sheaf_retry_conf_t *conf, uint64_t seed);

/* An exchange is on its way for the first time: it earns its share of the budget. */
void sheaf_retry_earn(sheaf_retry_t *retry, uint64_t now_ms);

/* `exchange` was sent exchange->sends times. Yes takes one from the budget, counts the next send, and writes the time
 * it is due to `ret_at_ms`: always before exchange->end_ms. */
sheaf_retry_verdict_t sheaf_retry_ask(sheaf_retry_t *retry, sheaf_exchange_t *exchange, const sheaf_failure_t *failure,
                                      uint64_t now_ms, uint64_t *ret_at_ms);

/* The value of a Retry-After (RFC 9110 10.2.3), seconds or a date, as milliseconds from `wall_s` (seconds since 1970)
 * on; 0 for one that cannot be understood or is over. */
uint64_t sheaf_retry_after_ms(sheaf_str_t value, int64_t wall_s);

#endif
