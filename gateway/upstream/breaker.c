/* upstream/breaker.c - see breaker.h. */
#include "gateway/upstream/breaker.h"

void sheaf_breaker_init(sheaf_breaker_t *breaker, const sheaf_breaker_conf_t *conf)
{
    *breaker = (sheaf_breaker_t){.conf = conf};
    sheaf_tally_init(&breaker->tally, conf->window_ms);
}

bool sheaf_breaker_lets(const sheaf_breaker_t *breaker, uint64_t now_ms)
{
    if (breaker->state == SHEAF_BREAKER_OPEN)
        return now_ms >= breaker->until_ms;
    return breaker->state == SHEAF_BREAKER_CLOSED || breaker->out + breaker->good < breaker->conf->probes;
}

uint32_t sheaf_breaker_lets_after_s(const sheaf_breaker_t *breaker, uint64_t now_ms)
{
    if (breaker->state != SHEAF_BREAKER_OPEN || now_ms >= breaker->until_ms)
        return 1;
    return (uint32_t)((breaker->until_ms - now_ms + 999) / 1000);
}

static void try_again(sheaf_breaker_t *breaker)
{
    breaker->state = SHEAF_BREAKER_TRYING;
    breaker->out = breaker->good = 0;
    if (++breaker->round == 0)
        breaker->round = 1;
}

bool sheaf_breaker_admit(sheaf_breaker_t *breaker, uint64_t now_ms, uint16_t *ret_round)
{
    *ret_round = 0;
    if (!sheaf_breaker_lets(breaker, now_ms))
        return false;
    if (breaker->state == SHEAF_BREAKER_CLOSED)
        return true;
    if (breaker->state == SHEAF_BREAKER_OPEN)
        try_again(breaker);
    breaker->out++;
    *ret_round = breaker->round;
    return true;
}

static void open(sheaf_breaker_t *breaker, uint64_t now_ms)
{
    breaker->state = SHEAF_BREAKER_OPEN;
    breaker->until_ms = now_ms + breaker->conf->open_ms;
}

static bool note_probe(sheaf_breaker_t *breaker, bool is_good, uint64_t now_ms)
{
    breaker->out--;
    if (!is_good) {
        open(breaker, now_ms);
        return true;
    }
    if (++breaker->good < breaker->conf->probes)
        return false;
    breaker->state = SHEAF_BREAKER_CLOSED;
    sheaf_tally_init(&breaker->tally, breaker->conf->window_ms); /* what opened it is forgiven */
    return true;
}

static bool note_ordinary(sheaf_breaker_t *breaker, bool is_good, uint64_t now_ms)
{
    const sheaf_tally_t *tally = &breaker->tally;

    sheaf_tally_add(&breaker->tally, now_ms);
    if (is_good)
        return false;
    sheaf_tally_mark(&breaker->tally, now_ms);
    if (tally->all < breaker->conf->requests || tally->marked * 100 < tally->all * breaker->conf->errors_percent)
        return false;
    open(breaker, now_ms);
    return true;
}

/* While it is open or trying, ordinary exchanges that come back flew before it opened: old news. */
bool sheaf_breaker_note(sheaf_breaker_t *breaker, uint16_t round, bool is_good, uint64_t now_ms)
{
    if (breaker->state == SHEAF_BREAKER_CLOSED)
        return round == 0 && note_ordinary(breaker, is_good, now_ms);
    return breaker->state == SHEAF_BREAKER_TRYING && round == breaker->round && note_probe(breaker, is_good, now_ms);
}

void sheaf_breaker_forget(sheaf_breaker_t *breaker, uint16_t round)
{
    if (breaker->state == SHEAF_BREAKER_TRYING && round == breaker->round)
        breaker->out--;
}
