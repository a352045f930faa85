/* run/plugcount.c - counters of plugins, in the metrics that all workers share. */
#include "gateway/run/plughost_inside.h"

void sheaf_plugcount_find(sheaf_p_worker_t *instance)
{
    const sheaf_p_counter_t *counters = instance->conf->plugin->counters;
    sheaf_metrics_region_t *region = instance->guests->host->env.region;

    for (uint32_t i = 0; i < SHEAF_PLUGIN_COUNTERS; i++)
        instance->counters[i] = SHEAF_METRICS_NO_COUNTER;
    for (uint32_t i = 0; region != NULL && counters != NULL && counters[i].name != NULL; i++)
        instance->counters[i] = sheaf_metrics_named(region, counters[i].name, instance->conf->name, counters[i].manual);
}

void sheaf_plugcount_add(sheaf_p_worker_t *worker, uint32_t counter, uint64_t n)
{
    sheaf_metrics_t *metrics = worker->guests->host->env.metrics;

    if (metrics != NULL && counter < SHEAF_PLUGIN_COUNTERS && worker->counters[counter] != SHEAF_METRICS_NO_COUNTER)
        sheaf_metrics_bump(&metrics->named[worker->counters[counter]], n);
}
