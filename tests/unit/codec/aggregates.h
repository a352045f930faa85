/* unit/codec/aggregates.h - an aggregate in the kit: POST /profile/{id}, whose three items read all that a request
 * supplies. */
#ifndef SHEAF_TESTS_CODEC_AGGREGATES_H
#define SHEAF_TESTS_CODEC_AGGREGATES_H

#include "tests/unit/codec/kit.h"

#define AGGREGATES_CONF                                                                                                \
    "listen: [{address: \"127.0.0.1:0\"}]\n"                                                                           \
    "endpoints:\n"                                                                                                     \
    "  - path: /profile/{id}\n"                                                                                        \
    "    kind: aggregate\n"                                                                                            \
    "    method: POST\n"                                                                                               \
    "    response: merge\n"                                                                                            \
    "    items:\n"                                                                                                     \
    "      - {id: user, url: \"/users/${params.id}\", required: true}\n"                                               \
    "      - {id: orders, url: \"/orders?for=${user.body/id}&page=${query.page:-1}\", dependsOn: [user], as: last,\n"  \
    "         headers: {x-lang: \"${headers.accept-language:-en}\",\n"                                                 \
    "                   x-both: \"${headers.accept-language:-}${query.page:-}\"}, fallback: [0]}\n"                    \
    "      - {id: note, method: POST, url: /orders, body: {is: \"${body/a}\", text: \"<${query.page:-}>\"}}\n"

static sheaf_snapshot_t *aggregates_loaded;

static void aggregates_drop(void)
{
    sheaf_snapshot_drop(aggregates_loaded);
}

/* The endpoint of that configuration, which is loaded once. */
static inline const sheaf_endpoint_conf_t *aggregates_endpoint(void)
{
    char *report = NULL;

    if (aggregates_loaded != NULL)
        return &aggregates_loaded->conf.endpoints.items[0];
    aggregates_loaded = sheaf_snapshot_load("in.yaml", SHEAF_STR(AGGREGATES_CONF), &report);
    free(report);
    if (aggregates_loaded == NULL || atexit(aggregates_drop) != 0)
        abort();
    return &aggregates_loaded->conf.endpoints.items[0];
}

static inline void aggregates_outer(sheaf_outer_t *outer)
{
    outer->params[0] = SHEAF_STR("7");
    outer->param_count = 1;
    outer->content_type = SHEAF_STR("application/json");
}

/* The kit keeps its routes. */
static inline void aggregates_init(kit_t *kit)
{
    kit_init(kit);
    kit->endpoint = *aggregates_endpoint();
    aggregates_outer(&kit->outer);
}

#endif
