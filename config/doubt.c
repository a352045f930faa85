#include "config/doubt.h"

#include "config/value.h"

static const sheaf_yaml_t *member(const sheaf_yaml_t *node, const char *section, const char *key)
{
    return sheaf_yaml_get(sheaf_yaml_get(node, sheaf_str_of(section)), sheaf_str_of(key));
}

/* The place of a key that may have been left to its default. */
static sheaf_mark_t mark_of(const sheaf_yaml_t *node, const char *section, const char *key)
{
    const sheaf_yaml_t *written = member(node, section, key);

    return written != NULL ? written->mark : sheaf_yaml_get(node, sheaf_str_of(section))->mark;
}

/* A section without a value is absent, as every key is, and not all of its defaults. */
static void doubt_empty(sheaf_report_t *report, const sheaf_yaml_t *node)
{
    static const char *const sections[] = {"retry", "outlier", "breaker", "health", "adaptive", "hedge"};

    for (size_t i = 0; i < sizeof(sections) / sizeof(*sections); i++) {
        const sheaf_yaml_t *section = sheaf_yaml_get(node, sheaf_str_of(sections[i]));

        if (section != NULL && section->kind == SHEAF_YAML_NULL)
            sheaf_report_warning(report, section->name_mark,
                                 "`%s` has no value and stays off; `{}` is all its defaults", sections[i]);
    }
}

static void doubt_retry(sheaf_report_t *report, const sheaf_upstream_conf_t *upstream, const sheaf_yaml_t *node)
{
    const sheaf_retry_conf_t *retry = &upstream->retry;

    if (!sheaf_mark_is_set(retry->mark))
        return;
    if (retry->attempts == 1)
        sheaf_report_warning(report, mark_of(node, "retry", "attempts"),
                             "with `attempts: 1` nothing is sent again: the first time counts");
    if ((retry->on & 1u << SHEAF_RETRY_ON_TIMEOUT) != 0 && upstream->first_byte_timeout_ms == 0)
        sheaf_report_warning(report, mark_of(node, "retry", "on"),
                             "`timeout` is that of `first_byte_timeout`, which is off here");
}

static void doubt_outlier(sheaf_report_t *report, const sheaf_outlier_conf_t *outlier, const sheaf_yaml_t *node)
{
    if (!sheaf_mark_is_set(outlier->mark))
        return;
    if (outlier->errors == 0 && outlier->ratio_percent == 0)
        sheaf_report_warning(report, mark_of(node, "outlier", "errors"),
                             "with `errors: 0` and `ratio: 0%%` no server is ever left out");
    else if (outlier->max_ejected_percent == 0)
        sheaf_report_warning(report, mark_of(node, "outlier", "max_ejected"),
                             "with `max_ejected: 0%%` no server is ever left out");
}

static void doubt_silence(sheaf_report_t *report, const sheaf_upstream_conf_t *upstream, const sheaf_yaml_t *node,
                          const char *key, uint64_t silence_ms)
{
    if (silence_ms >= upstream->timeout_ms)
        sheaf_report_warning(report, sheaf_yaml_get(node, sheaf_str_of(key))->mark,
                             "`%s` never strikes: `timeout`, %llums, is not longer", key,
                             (unsigned long long)upstream->timeout_ms);
}

static void doubt_protocol(sheaf_report_t *report, const sheaf_upstream_conf_t *upstream, const sheaf_yaml_t *node)
{
    const sheaf_yaml_t *pipeline = sheaf_yaml_get(node, SHEAF_STR("pipeline"));

    if (upstream->pipeline > 1 && upstream->protocol == SHEAF_PROTOCOL_HTTP2)
        sheaf_report_warning(report, pipeline->mark,
                             "`pipeline` is for HTTP/1.1; with `protocol: http2` it changes nothing");
}

/* A value that could not be read is 0 here, and was told. */
static void refuse_contradictions(sheaf_report_t *report, const sheaf_upstream_conf_t *upstream,
                                  const sheaf_yaml_t *node)
{
    const sheaf_outlier_conf_t *outlier = &upstream->outlier;
    const sheaf_adaptive_conf_t *adaptive = &upstream->adaptive;

    if (sheaf_mark_is_set(outlier->mark) && outlier->max_eject_ms != 0 && outlier->eject_ms > outlier->max_eject_ms)
        sheaf_report_error(report, mark_of(node, "outlier", "eject"),
                           "`eject`, %llums, is more than `max_eject`, %llums", (unsigned long long)outlier->eject_ms,
                           (unsigned long long)outlier->max_eject_ms);
    if (sheaf_mark_is_set(adaptive->mark) && adaptive->max != 0 && adaptive->min > adaptive->max)
        sheaf_report_error(report, mark_of(node, "adaptive", "min"), "`min`, %llu, is more than `max`, %llu",
                           (unsigned long long)adaptive->min, (unsigned long long)adaptive->max);
}

void sheaf_doubt_upstream(sheaf_report_t *report, const sheaf_upstream_conf_t *upstream, const sheaf_yaml_t *node)
{
    refuse_contradictions(report, upstream, node);
    if (report->errors != 0) /* what could not be read would look like what changes nothing */
        return;
    doubt_empty(report, node);
    doubt_retry(report, upstream, node);
    doubt_outlier(report, &upstream->outlier, node);
    doubt_protocol(report, upstream, node);
    if (upstream->first_byte_timeout_ms != 0)
        doubt_silence(report, upstream, node, "first_byte_timeout", upstream->first_byte_timeout_ms);
    if (upstream->idle_timeout_ms != 0)
        doubt_silence(report, upstream, node, "idle_timeout", upstream->idle_timeout_ms);
}

void sheaf_doubt_route(sheaf_report_t *report, const sheaf_conf_t *conf, const sheaf_route_conf_t *route,
                       const sheaf_yaml_t *node)
{
    const sheaf_yaml_t *unsafe = sheaf_yaml_get(node, SHEAF_STR("retry_unsafe"));

    if (report->errors != 0 || !route->retry_unsafe || route->upstream >= conf->upstreams.count ||
        route->fallback != UINT32_MAX)
        return;
    if (!sheaf_mark_is_set(conf->upstreams.items[route->upstream].retry.mark))
        sheaf_report_warning(
            report, unsafe->mark,
            "`retry_unsafe` changes nothing: the upstream `%.*s` has no `retry`, the route no `fallback`",
            SHEAF_VALUE_ARG(conf->upstreams.items[route->upstream].map_key));
}
