/* unit/codec/kit.h - a small fixed configuration, batches in it, and golden folders; no cmocka, so fuzzers use it too. */
#ifndef SHEAF_TESTS_CODEC_KIT_H
#define SHEAF_TESTS_CODEC_KIT_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "gateway/codec/codec.h"

typedef struct kit {
    sheaf_clock_t clock;
    sheaf_deadlines_t deadlines;
    sheaf_soon_t soon;
    sheaf_snapshot_t snapshot;
    sheaf_endpoint_conf_t endpoint;
    sheaf_route_conf_t routes[3];
    sheaf_headers_t outer_headers;
    sheaf_outer_t outer;
    sheaf_batch_env_t env;
} kit_t;

static inline uint64_t kit_read_us(sheaf_clock_t *clock)
{
    return clock->now_ms * 1000;
}

static inline void kit_route(kit_t *kit, uint32_t index, const char *match, sheaf_str_t *methods, uint32_t count)
{
    uint32_t clash;

    kit->routes[index].match = sheaf_str_of(match);
    kit->routes[index].expose = 1u << SHEAF_EXPOSURE_BATCH;
    kit->routes[index].forward_credentials = true;
    kit->routes[index].max_body_bytes = 1 << 20;
    if (sheaf_router_add(kit->snapshot.routes, index, sheaf_str_of(match), methods, count, &clash, NULL) != SHEAF_OK)
        abort();
}

/* Routes /users/{id}, /orders (GET and POST) and /files/{rest...}; an endpoint /batch of at most 8 items. */
static inline void kit_init(kit_t *kit)
{
    static sheaf_str_t methods[] = {{"GET", 3}, {"POST", 4}};
    uint32_t clash;

    memset(kit, 0, sizeof(*kit));
    kit->clock = (sheaf_clock_t){.now_ms = 1000, .read_us = kit_read_us};
    sheaf_deadlines_init(&kit->deadlines, &kit->clock);
    sheaf_soon_init(&kit->soon);
    kit->snapshot.pool = sheaf_pool_new();
    kit->snapshot.holds = 1000; /* never dropped to nothing: it lives in the kit */
    kit->snapshot.routes = sheaf_router_new(kit->snapshot.pool);
    kit_route(kit, 0, "/users/{id}", NULL, 0);
    kit_route(kit, 1, "/orders", methods, 2);
    kit_route(kit, 2, "/files/{rest...}", NULL, 0);
    sheaf_router_build(kit->snapshot.routes);
    kit->snapshot.conf.routes.items = kit->routes;
    kit->snapshot.conf.routes.count = 3;
    kit->endpoint.path = SHEAF_STR("/batch");
    kit->endpoint.max_items = 8;
    kit->endpoint.max_body_bytes = 1 << 20;
    kit->endpoint.max_item_body_bytes = 1 << 20;
    kit->endpoint.budget_bytes = 64 << 20;
    kit->endpoint.timeout_ms = 30000;
    kit->snapshot.conf.limits.inherited_bytes = 16 << 10;
    kit->endpoint.parallel = 64;
    kit->snapshot.conf.endpoints.items = &kit->endpoint;
    kit->snapshot.conf.endpoints.count = 1;
    kit->endpoint.method = SHEAF_STR("POST");
    kit->snapshot.endpoints = sheaf_router_new(kit->snapshot.pool);
    if (sheaf_router_add(kit->snapshot.endpoints, 0, kit->endpoint.path, &kit->endpoint.method, 1, &clash, NULL) !=
        SHEAF_OK)
        abort();
    sheaf_router_build(kit->snapshot.endpoints);
    kit->outer = (sheaf_outer_t){
        .headers = &kit->outer_headers, .scheme = SHEAF_STR("http"), .host = SHEAF_STR("gateway.example")};
    kit->env = (sheaf_batch_env_t){
        .clock = &kit->clock, .deadlines = &kit->deadlines, .soon = &kit->soon, .snapshot = &kit->snapshot};
}

static inline void kit_fini(kit_t *kit)
{
    sheaf_pool_free(kit->snapshot.pool);
    sheaf_deadlines_fini(&kit->deadlines);
}

static inline sheaf_batch_t *kit_batch(kit_t *kit)
{
    return sheaf_batch_new(&kit->env, &kit->endpoint, &kit->outer);
}

/* --- answers by hand --- */

static inline sheaf_item_t *kit_add(sheaf_batch_t *batch, const char *id, const char *method, const char *url)
{
    sheaf_draft_t draft = {.url = sheaf_pool_dup(batch->pool, sheaf_str_of(url))};

    draft.method = sheaf_pool_dup(batch->pool, sheaf_str_of(method));
    if (id != NULL)
        draft.id = sheaf_pool_dup(batch->pool, sheaf_str_of(id));
    if (sheaf_batch_add(batch, &draft, NULL) != SHEAF_OK)
        abort();
    return &batch->items[batch->count - 1];
}

static inline void kit_header(sheaf_item_t *item, const char *name, sheaf_str_t value)
{
    sheaf_pool_t *pool = item->batch->pool;

    value = sheaf_pool_dup(pool, value);
    sheaf_headers_add(&item->answer, pool, sheaf_pool_dup(pool, sheaf_str_of(name)), value);
    if (strcmp(name, "content-type") != 0)
        return;
    item->content_type = value;
    item->kind = sheaf_media_kind(value);
}

/* The body in chunks of at most `step` bytes, judged as the batch does it. */
static inline void kit_body(sheaf_item_t *item, sheaf_str_t body, size_t step)
{
    sheaf_json_scan_t scan;

    item->body = sheaf_buf_new(1 << 24, step);
    for (size_t at = 0; at < body.len; at += step)
        sheaf_buf_append(item->body, body.base + at, body.len - at < step ? body.len - at : step);
    sheaf_json_scan_init(&scan, SHEAF_JSON_MAX_DEPTH);
    item->json_is_valid = item->kind == SHEAF_MEDIA_JSON && sheaf_json_scan_feed(&scan, body.base, body.len) &&
                          sheaf_json_scan_end(&scan);
}

/* The whole document of `batch` as a malloc'ed, NUL-terminated string. */
static inline char *kit_encode(sheaf_batch_t *batch, const sheaf_encoder_t *encoder, size_t *ret_len)
{
    sheaf_out_t out;
    sheaf_encode_t encode = {.encoder = encoder, .batch = batch, .out = &out};
    sheaf_iovec_t piece;
    char *text;
    size_t len = 0;

    sheaf_out_init(&out);
    batch->succeeded = batch->failed = 0;
    encoder->begin(&encode);
    for (uint32_t i = 0; i < batch->count; i++) {
        batch->failed += sheaf_item_has_failed(&batch->items[i]);
        encoder->item(&encode, &batch->items[i]);
    }
    batch->succeeded = batch->count - batch->failed;
    encoder->end(&encode);

    text = sheaf_alloc(out.len + 1);
    while (sheaf_out_peek(&out, &piece, 1, SIZE_MAX) == 1) {
        memcpy(text + len, piece.base, piece.len);
        len += piece.len;
        sheaf_out_consume(&out, piece.len);
    }
    text[len] = '\0';
    sheaf_out_fini(&out);
    *ret_len = len;
    return text;
}

/* --- golden folders --- */

/* malloc'ed; NULL when there is no such file. */
static inline char *kit_read(const char *folder, const char *name, size_t *ret_len)
{
    char path[4096];
    FILE *file;
    char *text;
    size_t len;

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    file = fopen(path, "rb");
    if (file == NULL)
        return NULL;
    text = sheaf_alloc((1 << 20) + 1);
    len = fread(text, 1, 1 << 20, file);
    fclose(file);
    text = sheaf_realloc(text, len + 1);
    text[len] = '\0';
    *ret_len = len;
    return text;
}

/* Compares `got` with the file `name` of the case; SHEAF_GOLDEN=write makes it what is expected instead. */
static inline bool kit_is_golden(const char *folder, const char *name, const char *got, size_t len)
{
    const char *mode = getenv("SHEAF_GOLDEN");
    char path[4096], *want;
    size_t want_len = 0;
    bool is_same;

    if (mode != NULL && strcmp(mode, "write") == 0) {
        FILE *file;

        snprintf(path, sizeof(path), "%s/%s", folder, name);
        file = fopen(path, "wb");
        if (file == NULL || fwrite(got, 1, len, file) != len)
            abort();
        fclose(file);
    }
    want = kit_read(folder, name, &want_len);
    is_same = want != NULL && want_len == len && memcmp(want, got, len) == 0;
    if (!is_same)
        fprintf(stderr, "%s/%s differs\n--- want\n%s\n--- got\n%s\n", folder, name, want == NULL ? "(none)" : want,
                got);
    free(want);
    return is_same;
}

/* Runs `check` on every case folder below tests/golden/<codec>; returns how many failed, or -1 when there is none. */
static inline int kit_each_case(const char *codec, bool (*check)(const char *folder))
{
    char path[2048], folder[4096];
    struct dirent **entries;
    int count, failed = 0, run = 0;

    snprintf(path, sizeof(path), "tests/golden/%s", codec);
    count = scandir(path, &entries, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        if (entries[i]->d_name[0] != '.') {
            snprintf(folder, sizeof(folder), "%s/%s", path, entries[i]->d_name);
            failed += !check(folder);
            run++;
        }
        free(entries[i]);
    }
    if (count >= 0)
        free(entries);
    return run > 0 ? failed : -1;
}

#endif
