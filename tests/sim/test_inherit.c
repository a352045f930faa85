#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/sim/sim.h"

static int up(void **state)
{
    *state = sim_new();
    return 0;
}

static int down(void **state)
{
    sim_t *sim = *state;

    if (sim->batch->is_started) {
        sheaf_batch_abandon(sim->batch);
        sim_drain(sim);
    }
    sim_free(sim);
    return 0;
}

static void envelope(sim_t *sim, const char *name, const char *value)
{
    sheaf_headers_add(&sim->batch->headers, sim->batch->pool, sheaf_str_of(name), sheaf_str_of(value));
}

static const char *sent(sim_t *sim, const char *id, const char *name)
{
    return sim_sent_header(sim_item(sim, id), name);
}

static void an_item_beats_the_envelope_which_beats_the_outer_request(void **state)
{
    sim_t *sim = *state;

    sim_outer(sim, "authorization", "outer");
    sim_outer(sim, "x-a", "outer");
    sim_outer(sim, "x-b", "outer");
    sim_open(sim);
    envelope(sim, "X-A", "envelope");
    envelope(sim, "x-b", "envelope");
    envelope(sim, "accept", "text/plain");
    sim_add(sim, "p GET /any/1");
    sim_add(sim, "q GET /any/2 with X-B: item");
    assert_int_equal(sheaf_batch_seal(sim->batch, NULL), SHEAF_OK);
    sim_start(sim);
    assert_string_equal(sent(sim, "p", "authorization"), "outer");
    assert_string_equal(sent(sim, "p", "x-a"), "envelope");
    assert_string_equal(sent(sim, "p", "x-b"), "envelope");
    assert_string_equal(sent(sim, "p", "accept"), "text/plain");
    assert_string_equal(sent(sim, "q", "x-b"), "item");
    assert_string_equal(sent(sim, "q", "x-a"), "envelope");
    /* replaced, not doubled */
    assert_null(sheaf_headers_find(&sim_item(sim, "q")->exchange.shared->list, SHEAF_STR("x-b")));
    assert_null(memmem(sim_item(sim, "q")->exchange.shared->wire.base, sim_item(sim, "q")->exchange.shared->wire.len,
                       "x-b", 3));
}

static void items_with_the_same_override_share_one_block(void **state)
{
    sim_t *sim = *state;

    sim_outer(sim, "x-a", "outer");
    sim_batch(sim, "p GET /any/1 with x-a: 1", "q GET /any/2 with x-a: 2", "r GET /any/3 with x-forwarded-for: 9");
    sim_start(sim);
    assert_ptr_equal(sim_item(sim, "p")->exchange.shared, sim_item(sim, "q")->exchange.shared);
    assert_ptr_equal(sim_item(sim, "r")->exchange.shared, &sim->batch->shared);
}

static void what_belongs_to_the_outer_request_alone_is_not_inherited(void **state)
{
    static const char *const names[] = {
        "accept",     "accept-encoding", "content-type", "content-length",  "range",          "if-match",
        "expect",     "prefer",          "te",           "idempotency-key", "host",           "connection",
        "keep-alive", "upgrade",         "x-hop",        "forwarded",       "x-original-url", "x-rewrite-url"};
    sim_t *sim = *state;

    for (size_t i = 0; i < SHEAF_COUNT(names); i++)
        sim_outer(sim, names[i], strcmp(names[i], "connection") == 0 ? "close, X-Hop" : "1");
    sim_outer(sim, "user-agent", "u");
    sim_batch(sim, "p GET /any/1");
    sim_start(sim);
    for (size_t i = 0; i < SHEAF_COUNT(names); i++)
        assert_string_equal(sent(sim, "p", names[i]), "");
    assert_string_equal(sent(sim, "p", "user-agent"), "u");
}

static void split_cookies_become_one(void **state)
{
    sim_t *sim = *state;

    sim_outer(sim, "cookie", "a=1");
    sim_outer(sim, "x-a", "1");
    sim_outer(sim, "cookie", "b=2");
    sim_outer(sim, "cookie", "c=3");
    sim_batch(sim, "p GET /any/1");
    sim_start(sim);
    assert_string_equal(sent(sim, "p", "cookie"), "a=1; b=2; c=3");
    assert_string_equal(sent(sim, "p", "x-a"), "1");
}

static void trust_headers_are_the_gateways_own(void **state)
{
    sim_t *sim = *state;

    sim_outer(sim, "x-forwarded-for", "1.2.3.4");
    sim_outer(sim, "x-forwarded-proto", "https");
    sim_outer(sim, "x-real-ip", "1.2.3.4");
    sim_open(sim);
    envelope(sim, "X_Forwarded_For", "5.6.7.8");
    sim_add(sim, "p GET /any/1 with X-Real-IP: 9.9.9.9");
    assert_int_equal(sheaf_batch_seal(sim->batch, NULL), SHEAF_OK);
    sim_start(sim);
    assert_string_equal(sent(sim, "p", "x-forwarded-for"), "192.0.2.7");
    assert_string_equal(sent(sim, "p", "x_forwarded_for"), "");
    assert_string_equal(sent(sim, "p", "x-forwarded-proto"), "http");
    assert_string_equal(sent(sim, "p", "x-forwarded-host"), "api.example");
    assert_string_equal(sent(sim, "p", "x-real-ip"), "192.0.2.7");
}

static void a_trusted_proxy_is_believed_as_far_as_trust_reaches(void **state)
{
    sim_t *sim = *state;

    memcpy(sim->outer.peer + 12, (uint8_t[]){10, 0, 0, 1}, 4);
    sim_outer(sim, "x-forwarded-for", "6.6.6.6, 1.2.3.4");
    sim_outer(sim, "x-forwarded-for", "10.9.9.9:4711");
    sim_outer(sim, "x-forwarded-proto", "https");
    sim_outer(sim, "x-forwarded-host", "www.example");
    sim_batch(sim, "p GET /any/1");
    sim_start(sim);
    assert_string_equal(sent(sim, "p", "x-forwarded-for"), "6.6.6.6, 1.2.3.4, 10.9.9.9:4711, 10.0.0.1");
    assert_string_equal(sent(sim, "p", "x-real-ip"), "1.2.3.4");
    assert_string_equal(sent(sim, "p", "x-forwarded-proto"), "https");
    assert_string_equal(sent(sim, "p", "x-forwarded-host"), "www.example");
}

static void via_is_appended_to(void **state)
{
    sim_t *sim = *state;

    sim->outer.is_http2 = true;
    sim_outer(sim, "via", "1.1 other (a, sheaf), 1.0 sheaf.example");
    sim_batch(sim, "p GET /any/1 with via: 1.1 sheaf");
    sim_start(sim);
    assert_string_equal(sent(sim, "p", "via"), "1.1 other (a, sheaf), 1.0 sheaf.example, 2 sheaf");
}

static void connection_lists_no_more_than_64_names(void **state)
{
    sim_t *sim = *state;
    char line[512] = "p GET /any/1 with connection: x-y", *at = line + strlen(line);

    for (int i = 1; i < 64; i++)
        at = stpcpy(at, ",a");
    sim_open(sim);
    sim_add(sim, line);
    line[0] = 'q';
    strcpy(at, ",a");
    sim_add(sim, line);
    assert_true(sheaf_batch_seal(sim->batch, NULL) == SHEAF_OK);
    sim_start(sim);
    assert_string_equal(sim_flying(sim), "p");
    assert_int_equal(sim_item(sim, "q")->err, SHEAF_ERR_ITEM_TOO_LARGE);
    sim_answer(sim, "p", 200, "1");
}

static void fields_of_one_name_are_joined_in_one_copy(void **state)
{
    sim_t *sim = *state;
    size_t before;

    for (int i = 0; i < 100; i++)
        sim_outer(sim, "via",
                  "1.1 a-proxy-with-a-name-of-its-own-that-is-as-long-as-names-of-proxies-are-in-large-houses");
    sim_open(sim);
    before = sheaf_pool_bytes(sim->batch->pool);
    sim_add(sim, "p GET /any/1");
    assert_true(sheaf_batch_seal(sim->batch, NULL) == SHEAF_OK);
    assert_in_range(sheaf_pool_bytes(sim->batch->pool) - before, 0, 150000);
    sim_start(sim);
    sim_answer(sim, "p", 200, "1");
}

static void its_own_name_in_via_is_a_loop(void **state)
{
    sim_t *sim = *state;
    sheaf_fail_t fail;

    sim_outer(sim, "via", "1.1 a (x), 2  Sheaf (comment)");
    sim_open(sim);
    sim_add(sim, "p GET /any/1");
    assert_int_equal(sheaf_batch_seal(sim->batch, &fail), SHEAF_ERR_LOOP);
    assert_int_equal(sheaf_err_status(fail.err), 508);
}

static void bad_headers_fail_their_item_or_the_envelope(void **state)
{
    static char large[65536];
    sim_t *sim = *state;
    sheaf_draft_t draft = {.url = SHEAF_STR("/any/1")};

    memset(large, 'a', sizeof(large));
    sim_open(sim);
    sim_add(sim, "a GET /any/1 with b(d: 1");
    assert_int_equal(sim->batch->items[0].err, SHEAF_ERR_ITEM_HEADER);
    sim_add(sim, "b GET /any/1 with good: 1\r\nevil: 2");
    assert_int_equal(sim->batch->items[1].err, SHEAF_ERR_ITEM_HEADER);
    sheaf_headers_add(&draft.headers, sim->batch->pool, SHEAF_STR("x"), sheaf_str(large, sizeof(large)));
    assert_int_equal(sheaf_batch_add(sim->batch, &draft, NULL), SHEAF_OK);
    assert_int_equal(sim->batch->items[2].err, SHEAF_ERR_ITEM_TOO_LARGE);
    envelope(sim, "x", "a\nb");
    assert_int_equal(sheaf_batch_seal(sim->batch, NULL), SHEAF_ERR_VALUE);
}

static void the_wire_form_says_what_the_list_says(void **state)
{
    sim_t *sim = *state;
    const char *want = "x-a: 1\r\nx-forwarded-for: 192.0.2.7\r\nx-forwarded-proto: http\r\n"
                       "x-forwarded-host: api.example\r\nx-real-ip: 192.0.2.7\r\nvia: 1.1 sheaf\r\n";

    sim_outer(sim, "x-a", "1");
    sim_batch(sim, "p GET /any/1");
    assert_int_equal(sim->batch->shared.wire.len, strlen(want));
    assert_memory_equal(sim->batch->shared.wire.base, want, strlen(want));
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, up, down)

static const char *letters(size_t len)
{
    static char text[70000];

    memset(text, 'h', len);
    text[len] = '\0';
    return text;
}

static sheaf_err_t seal_with(sim_t *sim, size_t inherited, uint32_t count, sheaf_fail_t *fail)
{
    char line[64];

    sim_outer(sim, "x-a", letters(inherited));
    sim_open(sim);
    for (uint32_t i = 0; i < count; i++) {
        snprintf(line, sizeof(line), "i%u GET /any/%u", i, i);
        sim_add(sim, line);
    }
    return sheaf_batch_seal(sim->batch, fail);
}

static void what_one_item_inherits_has_a_limit(void **state)
{
    sim_t *sim = *state;
    sheaf_fail_t fail;

    assert_int_equal(seal_with(sim, 16 << 10, 1, &fail), SHEAF_ERR_INHERITED);
    assert_non_null(strstr(fail.detail, "limits.inherited allows 16384"));
    assert_int_equal(sim->metrics.values[SHEAF_METRIC_REFUSED_INHERITED], 1);
    assert_int_equal(sheaf_err_status(SHEAF_ERR_INHERITED), 431);
}

static void what_all_items_inherit_has_a_limit(void **state)
{
    sim_t *sim = *state;
    sheaf_fail_t fail;

    assert_int_equal(seal_with(sim, 9000, 100, &fail), SHEAF_ERR_INHERITED);
    assert_non_null(strstr(fail.detail, "max_inherited allows 819200"));
}

static void a_bulk_of_ten_thousand_inherits_an_honest_session(void **state)
{
    sim_t *sim = *state;

    sim->endpoint->max_items = 10000;
    assert_int_equal(seal_with(sim, 2048, 10000, NULL), SHEAF_OK);
}

static void what_an_item_inherits_counts_as_its_own(void **state)
{
    sim_t *sim = *state;
    char line[80000];

    sim_outer(sim, "x-a", letters(10000));
    sim_open(sim);
    snprintf(line, sizeof(line), "p GET /any/1 with x-b: %s", letters(60000));
    sim_add(sim, line);
    snprintf(line, sizeof(line), "q GET /any/1 with x-a: %s", letters(60000));
    sim_add(sim, line);
    assert_int_equal(sheaf_batch_seal(sim->batch, NULL), SHEAF_OK);
    sim_start(sim);
    assert_int_equal(sim_item(sim, "p")->status, 413);
    assert_string_equal(sim_flying(sim), "q"); /* in the place of what it would have inherited */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(an_item_beats_the_envelope_which_beats_the_outer_request),
        STORY(items_with_the_same_override_share_one_block),
        STORY(what_belongs_to_the_outer_request_alone_is_not_inherited),
        STORY(split_cookies_become_one),
        STORY(trust_headers_are_the_gateways_own),
        STORY(a_trusted_proxy_is_believed_as_far_as_trust_reaches),
        STORY(via_is_appended_to),
        STORY(its_own_name_in_via_is_a_loop),
        STORY(connection_lists_no_more_than_64_names),
        STORY(fields_of_one_name_are_joined_in_one_copy),
        STORY(bad_headers_fail_their_item_or_the_envelope),
        STORY(the_wire_form_says_what_the_list_says),
        STORY(what_one_item_inherits_has_a_limit),
        STORY(what_all_items_inherit_has_a_limit),
        STORY(a_bulk_of_ten_thousand_inherits_an_honest_session),
        STORY(what_an_item_inherits_counts_as_its_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
