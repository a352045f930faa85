/* upstream/health.h - how a server fares by what its probes tell, and when the next one is due.
 *
 *   healthy --`unhealthy` failures in a row--> unhealthy --`healthy` successes in a row--> healthy
 *
 * A server begins healthy: one that was never asked is not left out. Pure: time and chance are handed in. */
#ifndef SHEAF_UPSTREAM_HEALTH_H
#define SHEAF_UPSTREAM_HEALTH_H

#include "config/keys.h"
#include "gateway/base/chance.h"

#define SHEAF_HEALTH_FIRST_MS 1000 /* within which the first probe comes, or within the interval if that is shorter */

typedef struct sheaf_health { /* one server; zero-initialised is well */
    bool is_unhealthy;
    uint32_t against; /* probes in a row that say the contrary */
} sheaf_health_t;

/* A probe went well or did not. True: the server is the contrary of what it was. */
bool sheaf_health_note(const sheaf_health_conf_t *conf, sheaf_health_t *health, bool is_good);

/* Is the status among those that are expected? */
bool sheaf_health_expects(const sheaf_health_conf_t *conf, uint16_t status);

/* The state as a number that is not 0 only while there is something to say, and back. */
uint64_t sheaf_health_pack(const sheaf_health_t *health);
sheaf_health_t sheaf_health_unpack(uint64_t value);

/* When a server is asked for the first time: by chance, so that a thousand are not asked at once. */
uint64_t sheaf_health_first_ms(const sheaf_health_conf_t *conf, sheaf_chance_t *chance, uint64_t now_ms);
/* When it is asked again after a probe that began at `began_ms`: an interval later, a tenth more or less by chance, and
 * not before now. */
uint64_t sheaf_health_next_ms(const sheaf_health_conf_t *conf, sheaf_chance_t *chance, uint64_t began_ms,
                              uint64_t now_ms);

#endif
