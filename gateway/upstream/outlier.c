/* upstream/outlier.c - see outlier.h. */
#include "gateway/upstream/outlier.h"

void sheaf_outliers_init(sheaf_outliers_t *outliers, const sheaf_outlier_conf_t *conf, uint32_t count, uint64_t seed)
{
    *outliers = (sheaf_outliers_t){.conf = conf, .chance = {seed}, .count = count};
}

static bool may_eject(const sheaf_outliers_t *outliers)
{
    uint64_t after = (uint64_t)outliers->ejected_count + 1;

    return after + outliers->absent_count < outliers->count &&
           after * 100 <= outliers->count * outliers->conf->max_ejected_percent;
}

/* eject, twice, four times... up to max_eject; and a little by chance, so that workers do not try together. */
static uint64_t eject_ms(sheaf_outliers_t *outliers, uint32_t times)
{
    uint64_t ms = outliers->conf->eject_ms, most = outliers->conf->max_eject_ms;

    while (times-- > 0 && ms < most)
        ms *= 2;
    if (ms > most)
        ms = most;
    return ms + sheaf_chance_upto(&outliers->chance, ms / 10);
}

static void eject(sheaf_outliers_t *outliers, sheaf_outlier_t *one, uint64_t now_ms)
{
    one->until_ms = now_ms + eject_ms(outliers, one->times);
    one->is_ejected = true;
    one->is_on_trial = false;
    one->errors = 0;
    one->seen = one->failed = 0;
    one->times += one->times < UINT32_MAX;
    outliers->ejected_count++;
}

static void count(const sheaf_outliers_t *outliers, sheaf_outlier_t *one, bool is_good, uint64_t now_ms)
{
    uint64_t interval_ms = outliers->conf->interval_ms;

    if (now_ms >= one->interval_end_ms) {
        one->interval_end_ms = (now_ms / interval_ms + 1) * interval_ms;
        one->seen = one->failed = 0;
    }
    one->seen++;
    one->failed += !is_good;
    one->errors = is_good ? 0 : one->errors + 1;
}

static bool is_bad(const sheaf_outliers_t *outliers, const sheaf_outlier_t *one)
{
    const sheaf_outlier_conf_t *conf = outliers->conf;

    return one->is_on_trial || (conf->errors != 0 && one->errors >= conf->errors) ||
           (conf->ratio_percent != 0 && one->seen >= SHEAF_OUTLIER_LEAST &&
            one->failed * 100 >= one->seen * conf->ratio_percent);
}

bool sheaf_outlier_note(sheaf_outliers_t *outliers, sheaf_outlier_t *one, bool is_good, uint64_t now_ms)
{
    if (one->is_ejected)
        return false;
    count(outliers, one, is_good, now_ms);
    if (is_good) {
        if (one->is_on_trial)
            one->times = 0;
        one->is_on_trial = false;
        return false;
    }
    if (!is_bad(outliers, one) || !may_eject(outliers))
        return false;
    eject(outliers, one, now_ms);
    return true;
}

bool sheaf_outlier_readmit(sheaf_outliers_t *outliers, sheaf_outlier_t *one, uint64_t now_ms)
{
    if (!one->is_ejected || now_ms < one->until_ms)
        return false;
    one->is_ejected = false;
    one->is_on_trial = true;
    outliers->ejected_count--;
    return true;
}
