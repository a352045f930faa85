/* Names: localhost through c-ares, names that do not exist, how long an answer is kept, a resolv.conf that changes. */
#include "tests/unit/upstream/dns.h"
#include "tests/unit/upstream/harness.h"

static void localhost_is_found_and_shared_by_all_who_ask_at_once(void **state)
{
    worker_t *w = worker_new();
    ask_t asks[4];
    int done = 0;

    worker_use(w, "localhost", &w->a.port, 1);
    worker_open(w);
    for (int i = 0; i < 4; i++) {
        step_text(&w->a, OK_HI);
        ask_get(&asks[i], w, "/");
        asks[i].counter = &done;
        ask_send(&asks[i]);
    }
    worker_until_count(w, &done, 4);
    for (int i = 0; i < 4; i++)
        assert_answer(&asks[i], 200, "hi"); /* when it is ::1 first, that refuses and 127.0.0.1 is next */
    worker_end(w);
}

static void a_name_with_a_bad_form_is_a_resolve_error(void **state)
{
    worker_t *w = worker_new();
    ask_t ask;

    worker_use(w, "no..such..name", &w->a.port, 1);
    worker_open(w);
    for (int i = 0; i < 2; i++) {
        ask_get(&ask, w, "/");
        ask_whole(&ask);
        assert_int_equal(ask.err, SHEAF_ERR_RESOLVE);
        assert_non_null(strstr(ask.detail, "no..such..name"));
    }
    worker_end(w);
}

static void cancel_during_a_lookup_leaves_nothing_behind(void **state)
{
    worker_t *w = worker_new();
    ask_t ask;

    worker_use(w, "localhost", &w->a.port, 1);
    worker_open(w);
    ask_get(&ask, w, "/");
    ask_send(&ask);
    ask_cancel(&ask);
    assert_false(ask.is_done);
    worker_end(w);
}

static void a_name_is_one_however_often_it_is_held(void **state)
{
    worker_t *w = worker_new();
    sheaf_resolver_t *resolver = sheaf_resolver_new(&w->loop, &w->clock, &w->deadlines, &w->soon);
    sheaf_name_t *a = sheaf_name_hold(resolver, SHEAF_STR("localhost"));
    sheaf_name_t *b = sheaf_name_hold(resolver, SHEAF_STR("localhost"));
    sheaf_name_t *v6 = sheaf_name_hold(resolver, SHEAF_STR("::1"));

    assert_ptr_equal(a, b);
    assert_false(sheaf_name_is_ready(a));
    assert_true(sheaf_name_is_ready(v6));
    assert_int_equal(v6->addresses[0].any.sa_family, AF_INET6);
    sheaf_name_drop(a);
    sheaf_name_drop(b);
    sheaf_name_drop(v6);
    sheaf_resolver_free(resolver, worker_on_upstreams_closed, w);
    assert_true(w->is_closed); /* nothing was open */
    w->is_closed = false;
    worker_end(w);
}

static void a_name_is_looked_up_once_and_the_last_good_answer_is_kept(void **state)
{
    worker_t *w = worker_new();
    sheaf_resolver_t *resolver = sheaf_resolver_new(&w->loop, &w->clock, &w->deadlines, &w->soon);
    sheaf_name_t *name = sheaf_name_hold(resolver, SHEAF_STR("backend.test"));
    asker_t asker = {.waiter.on_resolved = on_told}, gone = asker;
    dns_t dns;

    dns_start(&dns, w);
    dns.ttl_s = 7;
    assert_true(sheaf_resolver_use_servers(resolver, dns.port));
    sheaf_name_ask(name, &asker.waiter);
    sheaf_name_ask(name, &gone.waiter);
    sheaf_name_forget(&gone.waiter);
    ask_name(w, name);
    assert_true(asker.is_told && !gone.is_told);
    assert_int_equal(dns.a_queries, 1);
    assert_int_equal(name->count, 1);
    assert_in_range(name->expires_ms, w->clock.now_ms + 6000, w->clock.now_ms + 7000);

    name->expires_ms = 0; /* its time is over, long since */
    dns.is_broken = true;
    ask_name(w, name);
    assert_true(dns.a_queries > 1);
    assert_int_equal(name->count, 1);
    assert_true(name->detail[0] != '\0');
    name->expires_ms = 0;
    assert_true(sheaf_name_is_ready(name)); /* in use while another lookup runs */

    sheaf_name_drop(name); /* in the middle of that lookup */
    sheaf_resolver_free(resolver, worker_on_upstreams_closed, w);
    worker_until(w, &w->is_closed);
    w->is_closed = false;
    dns_stop(&dns);
    worker_end(w);
}

static void an_answer_is_kept_within_the_bounds_whatever_its_ttl(void **state)
{
    worker_t *w = worker_new();
    sheaf_resolver_t *resolver = sheaf_resolver_new(&w->loop, &w->clock, &w->deadlines, &w->soon);
    const struct {
        uint8_t ttl_s;
        uint64_t min_ms, max_ms, kept_ms;
    } cases[] = {
        {7, 1000, 60000, 7000}, {0, 1000, 60000, 1000}, {7, 10000, 60000, 10000}, {7, 0, 300, 300}, {0, 20, 60000, 20}};
    dns_t dns;

    dns_start(&dns, w);
    assert_true(sheaf_resolver_use_servers(resolver, dns.port));
    for (size_t i = 0; i < SHEAF_COUNT(cases); i++) {
        sheaf_name_t *name = sheaf_name_hold(resolver, SHEAF_STR("backend.test"));

        dns.ttl_s = cases[i].ttl_s;
        sheaf_resolver_bound(resolver, cases[i].min_ms, cases[i].max_ms);
        ask_name(w, name);
        assert_in_range(name->expires_ms, w->clock.now_ms + cases[i].kept_ms - 10, w->clock.now_ms + cases[i].kept_ms);
        sheaf_name_drop(name);
    }
    assert_int_equal(dns.a_queries, SHEAF_COUNT(cases));
    sheaf_resolver_free(resolver, worker_on_upstreams_closed, w);
    worker_until(w, &w->is_closed);
    w->is_closed = false;
    dns_stop(&dns);
    worker_end(w);
}

/* As an editor does it: another file under the same name. */
static void write_conf(const char *path, const char *server)
{
    char beside[128];
    FILE *file;

    snprintf(beside, sizeof(beside), "%s.new", path);
    file = fopen(beside, "w");
    assert_non_null(file);
    fprintf(file, "nameserver %s\n", server);
    fclose(file);
    assert_int_equal(rename(beside, path), 0);
}

/* The clock is wound by hand: the resolver looks at the file once a second. */
static void a_resolv_conf_that_changed_is_read_again(void **state)
{
    worker_t *w = worker_new();
    sheaf_clock_t clock = {.now_ms = 100000};
    sheaf_resolver_t *resolver = sheaf_resolver_new(&w->loop, &clock, &w->deadlines, &w->soon);
    sheaf_name_t *name = sheaf_name_hold(resolver, SHEAF_STR("backend.test"));
    sheaf_name_t *slow = sheaf_name_hold(resolver, SHEAF_STR("slow.test"));
    asker_t waits = {.waiter.on_resolved = on_told};
    char folder[] = "/tmp/sheaf-resolve-XXXXXX", path[64];
    dns_t old, new;

    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/resolv.conf", folder);
    dns_start(&old, w);
    dns_start_at(&new, w, "127.0.0.2", old.number);
    old.ttl_s = new.ttl_s = 1;
    write_conf(path, "127.0.0.1");
    sheaf_resolver_use_file(resolver, path, old.number);
    ask_name(w, name);
    assert_true(old.a_queries == 1 && new.queries == 0 && name->count == 1);

    clock.now_ms += 100000; /* the same file: the same servers */
    ask_name(w, name);
    assert_true(old.a_queries == 2 && new.queries == 0);

    old.is_mute = true; /* an answer that will never come */
    old.queries = 0;
    sheaf_name_ask(slow, &waits.waiter);
    worker_until_count(w, &old.queries, 1);
    write_conf(path, "127.0.0.2");
    clock.now_ms += 100000;
    ask_name(w, name);
    assert_true(new.a_queries >= 1 && name->count == 1 && name->detail[0] == '\0');
    worker_until(w, &waits.is_told); /* asked again, of the new server */
    assert_true(slow->count == 1 && slow->detail[0] == '\0');

    assert_int_equal(unlink(path), 0); /* what is not there changes nothing */
    new.a_queries = 0;
    clock.now_ms += 100000;
    ask_name(w, name);
    assert_true(new.a_queries == 1 && name->detail[0] == '\0');

    sheaf_name_drop(name);
    sheaf_name_drop(slow);
    sheaf_resolver_free(resolver, worker_on_upstreams_closed, w);
    worker_until(w, &w->is_closed);
    w->is_closed = false;
    dns_stop(&old);
    dns_stop(&new);
    rmdir(folder);
    worker_end(w);
}

/* --- odd answers, one after the other of the same server --- */

typedef struct found {
    uint32_t count;
    uint64_t kept_ms;
    sa_family_t first;
    char detail[96];
} found_t;

/* What is found with `script`, by a resolver that knows nothing yet. */
static found_t find_with(void (*script)(dns_t *dns, uint16_t type, dns_reply_t *reply), bool is_short,
                         int *ret_tcp_queries)
{
    worker_t *w = worker_new();
    sheaf_resolver_t *resolver = sheaf_resolver_new(&w->loop, &w->clock, &w->deadlines, &w->soon);
    sheaf_name_t *name = sheaf_name_hold(resolver, SHEAF_STR("odd.test"));
    found_t found;
    dns_t dns;

    dns_start(&dns, w);
    dns.script = script;
    dns.is_short = is_short;
    assert_true(sheaf_resolver_use_servers(resolver, dns.port));
    ask_name(w, name);
    found = (found_t){.count = name->count, .kept_ms = name->expires_ms - w->clock.now_ms};
    if (name->count != 0)
        found.first = name->addresses[0].any.sa_family;
    memcpy(found.detail, name->detail, sizeof(found.detail));
    *ret_tcp_queries = dns.tcp_queries;
    sheaf_name_drop(name);
    sheaf_resolver_free(resolver, worker_on_upstreams_closed, w);
    worker_until(w, &w->is_closed);
    w->is_closed = false;
    dns_stop(&dns);
    worker_end(w);
    return found;
}

static void put_forty(dns_t *dns, uint16_t type, dns_reply_t *reply)
{
    for (uint8_t i = 0; i < 40 && type == DNS_A; i++)
        dns_put_a(reply, i, 30);
}

static void put_thousands(dns_t *dns, uint16_t type, dns_reply_t *reply)
{
    for (int i = 0; i < 4000 && type == DNS_A; i++)
        dns_put_a(reply, (uint8_t)i, 30);
}

static void put_only_v6(dns_t *dns, uint16_t type, dns_reply_t *reply)
{
    if (type == DNS_AAAA)
        dns_put_loopback6(reply, 30);
}

static void put_both(dns_t *dns, uint16_t type, dns_reply_t *reply)
{
    if (type == DNS_AAAA)
        dns_put_loopback6(reply, 20);
    else
        dns_put_a(reply, 1, 30);
}

static void put_circle(dns_t *dns, uint16_t type, dns_reply_t *reply)
{
    dns_put_cname(reply, NULL, "circle.test", 30);
    dns_put_cname(reply, "circle.test", "odd.test", 30);
}

static void put_alias(dns_t *dns, uint16_t type, dns_reply_t *reply)
{
    dns_put_cname(reply, NULL, "odd.test", 5);
    if (type == DNS_A)
        dns_put_a(reply, 1, 30);
}

static void put_endless_ttl(dns_t *dns, uint16_t type, dns_reply_t *reply)
{
    if (type == DNS_A)
        dns_put_a(reply, 1, INT32_MAX);
}

static void put_negative_ttl(dns_t *dns, uint16_t type, dns_reply_t *reply)
{
    if (type == DNS_A)
        dns_put_a(reply, 1, UINT32_MAX); /* RFC 2181 8: as 0 */
}

static void put_nonsense(dns_t *dns, uint16_t type, dns_reply_t *reply)
{
    reply->bytes[7] = 9; /* records that are not there */
}

static void odd_answers_are_taken_for_what_they_are(void **state)
{
    const struct {
        void (*script)(dns_t *dns, uint16_t type, dns_reply_t *reply);
        bool is_short;
        uint32_t count;
        uint64_t kept_s;
    } cases[] = {
        {put_forty, true, 40, 30},       {put_thousands, true, SHEAF_LOOKUP_MAX_ADDRESSES, 30},
        {put_only_v6, false, 1, 30},     {put_both, false, 2, 20},
        {put_circle, false, 0, 1},       {put_alias, false, 1, 5},
        {put_endless_ttl, false, 1, 60}, {put_negative_ttl, false, 1, 1},
        {put_nonsense, false, 0, 1},
    };

    for (size_t i = 0; i < SHEAF_COUNT(cases); i++) {
        int tcp_queries;
        found_t found = find_with(cases[i].script, cases[i].is_short, &tcp_queries);

        assert_int_equal(found.count, cases[i].count);
        assert_in_range(found.kept_ms, cases[i].kept_s * 1000 - 900, cases[i].kept_s * 1000);
        assert_int_equal(found.detail[0] != '\0', cases[i].count == 0);
        assert_int_equal(tcp_queries != 0, cases[i].is_short);
        if (cases[i].script == put_only_v6)
            assert_int_equal(found.first, AF_INET6);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(localhost_is_found_and_shared_by_all_who_ask_at_once),
        cmocka_unit_test(a_name_with_a_bad_form_is_a_resolve_error),
        cmocka_unit_test(cancel_during_a_lookup_leaves_nothing_behind),
        cmocka_unit_test(a_name_is_one_however_often_it_is_held),
        cmocka_unit_test(a_name_is_looked_up_once_and_the_last_good_answer_is_kept),
        cmocka_unit_test(an_answer_is_kept_within_the_bounds_whatever_its_ttl),
        cmocka_unit_test(a_resolv_conf_that_changed_is_read_again),
        cmocka_unit_test(odd_answers_are_taken_for_what_they_are),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
