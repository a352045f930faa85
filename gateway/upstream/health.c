/* upstream/health.c - see health.h. */
#include "gateway/upstream/health.h"

bool sheaf_health_note(const sheaf_health_conf_t *conf, sheaf_health_t *health, bool is_good)
{
    uint64_t enough = health->is_unhealthy ? conf->healthy : conf->unhealthy;

    if (is_good != health->is_unhealthy) { /* nothing new */
        health->against = 0;
        return false;
    }
    if (++health->against < enough)
        return false;
    health->is_unhealthy = !health->is_unhealthy;
    health->against = 0;
    return true;
}

bool sheaf_health_expects(const sheaf_health_conf_t *conf, uint16_t status)
{
    for (uint32_t i = 0; i < conf->expect.count; i++)
        if (conf->expect.items[i] == status || conf->expect.items[i] == status / 100)
            return true;
    return false;
}

uint64_t sheaf_health_pack(const sheaf_health_t *health)
{
    return (uint64_t)health->against << 1 | health->is_unhealthy;
}

sheaf_health_t sheaf_health_unpack(uint64_t value)
{
    return (sheaf_health_t){.is_unhealthy = value & 1, .against = (uint32_t)(value >> 1)};
}

uint64_t sheaf_health_first_ms(const sheaf_health_conf_t *conf, sheaf_chance_t *chance, uint64_t now_ms)
{
    uint64_t within_ms = conf->interval_ms < SHEAF_HEALTH_FIRST_MS ? conf->interval_ms : SHEAF_HEALTH_FIRST_MS;

    return now_ms + sheaf_chance_upto(chance, within_ms);
}

uint64_t sheaf_health_next_ms(const sheaf_health_conf_t *conf, sheaf_chance_t *chance, uint64_t began_ms,
                              uint64_t now_ms)
{
    uint64_t tenth_ms = conf->interval_ms / 10;
    uint64_t next_ms = began_ms + conf->interval_ms - tenth_ms + sheaf_chance_upto(chance, 2 * tenth_ms);

    return next_ms > now_ms ? next_ms : now_ms;
}
