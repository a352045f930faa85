/* upstream/retry.c - see retry.h. */
#include "gateway/upstream/retry.h"

#include <time.h>

void sheaf_retry_init(sheaf_retry_t *retry, const sheaf_retry_conf_t *conf, uint64_t seed)
{
    *retry = (sheaf_retry_t){.conf = conf, .chance = {seed}};
    sheaf_tally_init(&retry->tally, SHEAF_RETRY_WINDOW_MS);
}

void sheaf_retry_earn(sheaf_retry_t *retry, uint64_t now_ms)
{
    sheaf_tally_add(&retry->tally, now_ms);
}

static bool has(const sheaf_retry_t *retry, sheaf_retry_on_t what)
{
    return (retry->conf->on & 1u << what) != 0;
}

static bool is_wanted(const sheaf_retry_t *retry, const sheaf_failure_t *failure)
{
    switch (failure->err) {
    case SHEAF_ERR_REFUSED:
    case SHEAF_ERR_CONNECT_TIMEOUT:
    case SHEAF_ERR_RESOLVE:
    case SHEAF_ERR_TLS: /* a handshake that fails is a dial that failed */
        return has(retry, SHEAF_RETRY_ON_CONNECT);
    case SHEAF_ERR_RESET:
        return failure->status == 0 && has(retry, SHEAF_RETRY_ON_RESET);
    case SHEAF_ERR_TIMEOUT: /* who asked would be told 504: it makes no odds whose clock ran out */
        return failure->status == 0 && (has(retry, SHEAF_RETRY_ON_TIMEOUT) || has(retry, SHEAF_RETRY_ON_504));
    case SHEAF_OK:
        break;
    default:
        return false;
    }
    return (failure->status == 502 && has(retry, SHEAF_RETRY_ON_502)) ||
           (failure->status == 503 && has(retry, SHEAF_RETRY_ON_503)) ||
           (failure->status == 504 && has(retry, SHEAF_RETRY_ON_504)) ||
           (failure->status == 429 && has(retry, SHEAF_RETRY_ON_429));
}

static bool is_listed(const sheaf_retry_t *retry, sheaf_str_t method)
{
    for (uint32_t i = 0; i < retry->conf->methods.count; i++)
        if (sheaf_str_eq(retry->conf->methods.items[i], method))
            return true;
    return retry->conf->methods.count == 0;
}

/* Half of it to all of it, so that those who failed together do not come back together. */
static uint64_t backoff_ms(sheaf_retry_t *retry, uint32_t sends)
{
    uint64_t most = retry->conf->backoff_ms;

    if (most < SHEAF_RETRY_MAX_BACKOFF_MS) {
        most <<= sends - 1; /* at most 9 times, of less than 1000 */
        if (most > SHEAF_RETRY_MAX_BACKOFF_MS)
            most = SHEAF_RETRY_MAX_BACKOFF_MS;
    }
    return most - sheaf_chance_upto(&retry->chance, most / 2);
}

/* The share is the promise; the floor is counted by the second, so that what it let pass is part of the share too. */
static bool spend(sheaf_retry_t *retry, uint64_t now_ms)
{
    uint64_t second = now_ms / 1000;

    if (second != retry->second) {
        retry->second = second;
        retry->in_second = 0;
    }
    sheaf_tally_turn(&retry->tally, now_ms);
    if (retry->in_second >= SHEAF_RETRY_FLOOR &&
        (retry->tally.marked + 1) * 100 > retry->tally.all * retry->conf->budget_percent)
        return false;
    retry->in_second++;
    sheaf_tally_mark(&retry->tally, now_ms);
    return true;
}

sheaf_retry_verdict_t sheaf_retry_ask(sheaf_retry_t *retry, sheaf_exchange_t *exchange, const sheaf_failure_t *failure,
                                      uint64_t now_ms, uint64_t *ret_at_ms)
{
    uint64_t wait_ms;

    if (exchange->sends >= retry->conf->attempts || !is_wanted(retry, failure) || !is_listed(retry, exchange->method))
        return SHEAF_RETRY_NO;
    if (failure->was_sent && !exchange->is_repeatable)
        return SHEAF_RETRY_NO;
    if (failure->retry_after_ms >= exchange->end_ms || now_ms >= exchange->end_ms)
        return SHEAF_RETRY_NO;
    wait_ms = failure->retry_after_ms + backoff_ms(retry, exchange->sends);
    if (wait_ms >= exchange->end_ms - now_ms)
        return SHEAF_RETRY_NO;
    if (!spend(retry, now_ms))
        return SHEAF_RETRY_BUDGET;
    exchange->sends++;
    *ret_at_ms = now_ms + wait_ms;
    return SHEAF_RETRY_YES;
}

uint64_t sheaf_retry_after_ms(sheaf_str_t value, int64_t wall_s)
{
    char text[30]; /* "Sun, 06 Nov 1994 08:49:37 GMT": the only form that is still written (RFC 9110 5.6.7) */
    struct tm date = {0};
    const char *end;
    uint64_t s;
    int64_t at_s;

    if (sheaf_str_to_u64(value, &s))
        return s < UINT32_MAX ? s * 1000 : (uint64_t)UINT32_MAX * 1000;
    if (value.len != sizeof(text) - 1)
        return 0;
    memcpy(text, value.base, value.len);
    text[value.len] = '\0';
    end = strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &date);
    if (end == NULL || *end != '\0')
        return 0;
    at_s = (int64_t)timegm(&date);
    return at_s > wall_s ? (uint64_t)(at_s - wall_s) * 1000 : 0;
}
