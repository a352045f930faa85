/* Names: localhost through c-ares, names that do not exist, connects that time out. */
#include "tests/unit/upstream/harness.h"

#include "gateway/upstream/race.h"
#include "gateway/upstream/resolve.h"

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

/* --- a DNS server that follows a script --- */

typedef struct dns {
    uv_udp_t udp;
    char port[32];
    uint16_t number;
    int queries, a_queries;
    bool is_broken; /* answers SERVFAIL */
    bool is_mute;
    uint8_t ttl_s, host; /* the address is 127.0.0.host */
    uint8_t more[4];     /* and those of these, up to a 0 */
    char in[512];
} dns_t;

static void dns_on_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    dns_t *dns = handle->data;

    *buf = uv_buf_init(dns->in, sizeof(dns->in));
}

/* RFC 1035 4: the question comes back, with one A record behind it when A was asked. */
static void dns_on_query(uv_udp_t *udp, ssize_t nread, const uv_buf_t *buf, const struct sockaddr *from, unsigned flags)
{
    dns_t *dns = udp->data;
    uint8_t answer[600] = {0}, record[] = {0xC0, 12, 0, 1, 0, 1, 0, 0, 0, dns->ttl_s, 0, 4, 127, 0, 0, dns->host};
    size_t len = 12;
    uv_buf_t out;

    if (nread < 17 || from == NULL)
        return;
    if (dns->is_mute) {
        dns->queries++;
        return;
    }
    while (buf->base[len] != 0)
        len += (size_t)buf->base[len] + 1;
    len += 5;
    memcpy(answer, buf->base, len);
    memset(answer + 6, 0, 6);
    answer[2] = 0x81;
    answer[3] = dns->is_broken ? 0x82 : 0x80;
    dns->queries++;
    if (answer[len - 3] == 1) {
        dns->a_queries++;
        if (!dns->is_broken) {
            for (int i = -1; i < 0 || (i < 4 && dns->more[i] != 0); i++) {
                record[sizeof(record) - 1] = i < 0 ? dns->host : dns->more[i];
                memcpy(answer + len, record, sizeof(record));
                len += sizeof(record);
                answer[7]++;
            }
        }
    }
    out = uv_buf_init((char *)answer, (unsigned)len);
    uv_udp_try_send(udp, &out, 1, from);
}

static void dns_start_at(dns_t *dns, worker_t *w, const char *ip, int port)
{
    struct sockaddr_in address;
    int len = sizeof(address);

    memset(dns, 0, sizeof(*dns));
    dns->host = 1;
    uv_udp_init(&w->loop, &dns->udp);
    dns->udp.data = dns;
    uv_ip4_addr(ip, port, &address);
    uv_udp_bind(&dns->udp, (struct sockaddr *)&address, 0);
    uv_udp_recv_start(&dns->udp, dns_on_buffer, dns_on_query);
    uv_udp_getsockname(&dns->udp, (struct sockaddr *)&address, &len);
    dns->number = ntohs(address.sin_port);
    snprintf(dns->port, sizeof(dns->port), "%s:%d", ip, dns->number);
}

static void dns_start(dns_t *dns, worker_t *w)
{
    dns_start_at(dns, w, "127.0.0.1", 0);
}

typedef struct asker {
    sheaf_name_waiter_t waiter;
    bool is_told;
} asker_t;

static void on_told(sheaf_name_waiter_t *waiter)
{
    SHEAF_OWNER(waiter, asker_t, waiter)->is_told = true;
}

static void ask_name(worker_t *w, sheaf_name_t *name)
{
    asker_t asker = {.waiter.on_resolved = on_told};

    sheaf_name_ask(name, &asker.waiter);
    assert_false(asker.is_told);
    worker_until(w, &asker.is_told);
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
    uv_close((uv_handle_t *)&dns.udp, NULL);
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
    uv_close((uv_handle_t *)&dns.udp, NULL);
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
    uv_close((uv_handle_t *)&old.udp, NULL);
    uv_close((uv_handle_t *)&new.udp, NULL);
    rmdir(folder);
    worker_end(w);
}

/* --- a group whose names are asked of a scripted DNS server --- */

typedef struct site {
    worker_t *w;
    dns_t dns;
    sheaf_conn_env_t *env;
    sheaf_resolver_t *resolver;
    sheaf_name_t *name;
    sheaf_group_t *group;
    sheaf_dispatch_t dispatch;
} site_t;

static void site_send(sheaf_dispatch_t *self, sheaf_exchange_t *exchange)
{
    sheaf_group_send(SHEAF_OWNER(self, site_t, dispatch)->group, exchange);
}

static void site_cancel(sheaf_dispatch_t *self, sheaf_exchange_t *exchange)
{
    (void)self;
    sheaf_group_cancel(exchange);
}

/* Backends `a` at 127.0.0.1 and `b` at 127.0.0.2, on one port; the name leads to `a` first. */
static void site_start(site_t *s)
{
    worker_t *w = worker_new();
    struct sockaddr_in address;

    *s = (site_t){.w = w, .dispatch = {.send = site_send, .cancel = site_cancel}, .env = calloc(1, sizeof(*s->env))};
    backend_stop(&w->b);
    uv_run(&w->loop, UV_RUN_NOWAIT);
    uv_tcp_init(&w->loop, &w->b.listener);
    w->b.listener.data = &w->b;
    uv_ip4_addr("127.0.0.2", w->a.port, &address);
    assert_int_equal(uv_tcp_bind(&w->b.listener, (struct sockaddr *)&address, 0), 0);
    assert_int_equal(uv_listen((uv_stream_t *)&w->b.listener, 128, backend_on_conn), 0);
    w->b.is_listening = true;

    dns_start(&s->dns, w);
    s->dns.ttl_s = 60;
    s->env->loop = &w->loop;
    s->env->clock = &w->clock;
    s->env->deadlines = &w->deadlines;
    s->env->metrics = &w->metrics;
    s->resolver = sheaf_resolver_new(&w->loop, &w->clock, &w->deadlines, &w->soon);
    assert_true(sheaf_resolver_use_servers(s->resolver, s->dns.port));
    s->name = sheaf_name_hold(s->resolver, SHEAF_STR("backend.test"));
    worker_use(w, "backend.test", &w->a.port, 1);
    s->group = sheaf_group_new(s->env, &w->soon, s->resolver, w->snapshot, w->conf);
    w->view = &s->dispatch; /* where harness.h sends */
}

static void site_end(site_t *s)
{
    worker_t *w = s->w;

    w->view = NULL;
    sheaf_group_free(s->group);
    sheaf_name_drop(s->name);
    while (s->env->open_count != 0)
        uv_run(&w->loop, UV_RUN_ONCE);
    sheaf_resolver_free(s->resolver, worker_on_upstreams_closed, w);
    worker_until(w, &w->is_closed);
    w->is_closed = false;
    uv_close((uv_handle_t *)&s->dns.udp, NULL);
    free(s->env);
    worker_end(w);
}

/* The answer of the DNS server expires, and the next exchange, which goes to `backend` as before, brings a new one. */
static void site_expire(site_t *s, backend_t *backend)
{
    int queries = s->dns.a_queries, requests = backend->requests;
    ask_t ask;

    s->name->expires_ms = s->w->clock.now_ms;
    step_text(backend, OK_HI);
    ask_get(&ask, s->w, "/");
    ask_whole(&ask);
    assert_answer(&ask, 200, "hi"); /* waited for nobody */
    assert_int_equal(backend->requests, requests + 1);
    worker_until_count(s->w, &s->dns.a_queries, queries + 1);
    s->w->is_late = false;
    while (s->name->is_asked)
        uv_run(&s->w->loop, UV_RUN_ONCE);
}

static void conns_in_use_notice_that_a_name_has_moved_and_what_flies_ends_where_it_is(void **state)
{
    site_t s;
    ask_t first[3], flying, ask;
    int done = 0;

    site_start(&s);
    for (int i = 0; i < 3; i++) {
        step_text(&s.w->a, OK_HI);
        ask_get(&first[i], s.w, "/first");
        first[i].counter = &done;
        ask_send(&first[i]);
    }
    worker_until_count(s.w, &done, 3);
    assert_int_equal(metric(s.w, SHEAF_METRIC_CONNS_IDLE), 3);
    step_text(&s.w->a, ""); /* the next one waits for its answer */
    ask_get(&flying, s.w, "/flying");
    ask_send(&flying);
    worker_until_count(s.w, &s.w->a.requests, 4);

    s.dns.host = 2;
    site_expire(&s, &s.w->a);
    assert_in_range(metric(s.w, SHEAF_METRIC_CONNS_IDLE), 1, 2); /* to where the name was */
    step_text(&s.w->b, OK_HI);
    step_text(&s.w->b, OK_HI);
    ask_get(&ask, s.w, "/moved");
    ask_whole(&ask);
    assert_answer(&ask, 200, "hi");
    assert_string_equal(s.w->b.log, "0:GET /moved ");
    assert_int_equal(metric(s.w, SHEAF_METRIC_CONNS_IDLE), 1);

    assert_false(flying.is_done);
    for (int i = 0; i < 3; i++)
        if (s.w->a.conn[i] != NULL)
            backend_say(s.w->a.conn[i], OK_HI, strlen(OK_HI));
    worker_until(s.w, &flying.is_done);
    assert_answer(&flying, 200, "hi");
    ask_whole(&ask);
    assert_int_equal(s.w->b.requests, 2);
    assert_int_equal(metric(s.w, SHEAF_METRIC_CONNS_IDLE), 1); /* its conn is not used again */
    site_end(&s);
}

static void a_name_that_stays_keeps_its_conns(void **state)
{
    site_t s;
    ask_t ask;

    site_start(&s);
    step_text(&s.w->a, OK_HI);
    ask_get(&ask, s.w, "/");
    ask_whole(&ask);
    for (int i = 0; i < 3; i++)
        site_expire(&s, &s.w->a);
    assert_int_equal(s.w->a.conns, 1);
    site_end(&s);
}

static void a_lookup_that_fails_changes_nothing_for_those_who_use_the_name(void **state)
{
    site_t s;
    ask_t ask;

    site_start(&s);
    step_text(&s.w->a, OK_HI);
    ask_get(&ask, s.w, "/");
    ask_whole(&ask);
    s.dns.is_broken = true;
    site_expire(&s, &s.w->a);
    assert_true(s.name->detail[0] != '\0');
    site_expire(&s, &s.w->a);
    assert_int_equal(s.w->a.conns, 1); /* kept */
    backend_drop(s.w->a.conn[0]);
    worker_until_metric(s.w, SHEAF_METRIC_CONNS_IDLE, 0);
    step_text(&s.w->a, OK_HI);
    ask_whole(&ask); /* and dialed anew */
    assert_answer(&ask, 200, "hi");
    assert_int_equal(s.w->a.conns, 2);
    site_end(&s);
}

/* A listener whose queue is full answers no SYN: the kernel drops them. */
typedef struct hang {
    int listener, fill[4];
} hang_t;

/* On `*port`, or on any when it is 0. */
static void hang_start(hang_t *hang, const char *ip, uint16_t *port)
{
    struct sockaddr_in address;
    socklen_t len = sizeof(address);
    int yes = 1;

    uv_ip4_addr(ip, *port, &address);
    hang->listener = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(hang->listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    assert_int_equal(bind(hang->listener, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(hang->listener, 0), 0);
    getsockname(hang->listener, (struct sockaddr *)&address, &len);
    *port = ntohs(address.sin_port);
    for (int i = 0; i < 4; i++) {
        hang->fill[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        connect(hang->fill[i], (struct sockaddr *)&address, sizeof(address));
    }
}

static void hang_stop(hang_t *hang)
{
    for (int i = 0; i < 4; i++)
        close(hang->fill[i]);
    close(hang->listener);
}

static void a_connect_that_hangs_times_out(void **state)
{
    worker_t *w = worker_new();
    uint16_t port = 0;
    hang_t hang;
    ask_t ask;

    hang_start(&hang, "127.0.0.1", &port);
    worker_use(w, "127.0.0.1", &port, 1);
    w->conf->connect_timeout_ms = 40;
    worker_open(w);
    ask_get(&ask, w, "/");
    ask_whole(&ask);
    assert_int_equal(ask.err, SHEAF_ERR_CONNECT_TIMEOUT);
    hang_stop(&hang);
    worker_end(w);
}

/* --- a name of which some addresses lead nowhere --- */

/* Sends `count` at once; returns how long they took. Of two that dial one begins with the one address, one with the
 * other. */
static uint64_t ask_at_once(site_t *s, ask_t *asks, int count)
{
    uint64_t from = uv_now(&s->w->loop);
    int done = 0;

    for (int i = 0; i < count; i++) {
        ask_get(&asks[i], s->w, "/");
        asks[i].counter = &done;
        ask_send(&asks[i]);
    }
    worker_until_count(s->w, &done, count);
    return uv_now(&s->w->loop) - from;
}

static void an_address_that_hangs_is_overtaken_by_another_one(void **state)
{
    site_t s;
    hang_t hang;
    ask_t asks[3];
    uint64_t took;

    site_start(&s);
    s.dns.host = 3;
    s.dns.more[0] = 2;
    s.w->conf->connect_timeout_ms = 4000;
    hang_start(&hang, "127.0.0.3", &s.w->a.port);
    for (int i = 0; i < 5; i++)
        step_text(&s.w->b, OK_HI);
    took = ask_at_once(&s, asks, 2);
    assert_answer(&asks[0], 200, "hi");
    assert_answer(&asks[1], 200, "hi");
    assert_in_range(took, SHEAF_RACE_AFTER_MS - 10, 2000);
    assert_int_equal(metric(s.w, SHEAF_METRIC_CONNS_RACED), 1);
    assert_int_equal(metric(s.w, SHEAF_METRIC_CONNS_CONNECTING), 0); /* the loser is closed */

    ask_at_once(&s, asks, 3); /* one of them dials, and who was overtaken is passed over */
    assert_int_equal(metric(s.w, SHEAF_METRIC_CONNS_RACED), 1);
    assert_int_equal(s.w->b.conns, 3);
    hang_stop(&hang);
    site_end(&s);
}

static void cancel_or_a_deadline_in_a_race_ends_both_conns(void **state)
{
    site_t s;
    hang_t hang, other;
    ask_t cancelled, late;

    site_start(&s);
    s.dns.host = 3;
    s.dns.more[0] = 4;
    s.w->conf->connect_timeout_ms = 4000;
    hang_start(&hang, "127.0.0.3", &s.w->a.port);
    hang_start(&other, "127.0.0.4", &s.w->a.port);
    ask_get(&cancelled, s.w, "/");
    ask_get(&late, s.w, "/");
    late.exchange.deadline_ms = s.w->clock.now_ms + SHEAF_RACE_AFTER_MS + 60;
    ask_send(&cancelled);
    ask_send(&late);
    worker_until_metric(s.w, SHEAF_METRIC_CONNS_RACED, 2);
    assert_int_equal(metric(s.w, SHEAF_METRIC_CONNS_CONNECTING), 4);
    ask_cancel(&cancelled);
    assert_int_equal(metric(s.w, SHEAF_METRIC_CONNS_CONNECTING), 2);
    worker_until(s.w, &late.is_done);
    assert_int_equal(late.err, SHEAF_ERR_TIMEOUT);
    assert_int_equal(metric(s.w, SHEAF_METRIC_CONNS_CONNECTING), 0);
    hang_stop(&hang);
    hang_stop(&other);
    site_end(&s);
}

static void the_rival_goes_on_when_the_first_gives_up_and_the_first_when_the_rival_is_refused(void **state)
{
    site_t s;
    hang_t hang, other;
    ask_t asks[2];
    uint64_t took;

    site_start(&s);
    s.dns.host = 3;
    s.dns.more[0] = 4;
    s.w->conf->connect_timeout_ms = 300;
    hang_start(&hang, "127.0.0.3", &s.w->a.port);
    hang_start(&other, "127.0.0.4", &s.w->a.port);
    took = ask_at_once(&s, asks, 1);
    assert_int_equal(asks[0].err, SHEAF_ERR_CONNECT_TIMEOUT);
    assert_in_range(took, SHEAF_RACE_AFTER_MS + 290, 2000); /* until the second one gave up, too */
    hang_stop(&other);                                      /* nobody listens there any more */
    site_end(&s);

    site_start(&s);
    s.dns.host = 4;
    s.dns.more[0] = 3;
    s.w->conf->connect_timeout_ms = 300;
    hang_start(&other, "127.0.0.3", &s.w->a.port);
    took = ask_at_once(&s, asks, 2);
    for (int i = 0; i < 2; i++)
        assert_true(asks[i].err == SHEAF_ERR_CONNECT_TIMEOUT || asks[i].err == SHEAF_ERR_REFUSED);
    assert_in_range(took, 290, 2000);
    hang_stop(&hang);
    hang_stop(&other);
    site_end(&s);
}

static void a_race_takes_no_conn_beyond_the_limit(void **state)
{
    site_t s;
    hang_t hang;
    ask_t ask;

    site_start(&s);
    s.dns.host = 3;
    s.dns.more[0] = 4; /* refuses */
    s.w->conf->connect_timeout_ms = 300;
    s.w->conf->max_connections = 1;
    hang_start(&hang, "127.0.0.3", &s.w->a.port);
    ask_at_once(&s, &ask, 1);
    assert_int_equal(metric(s.w, SHEAF_METRIC_CONNS_RACED), 0);
    assert_int_equal(metric(s.w, SHEAF_METRIC_CONNS_OPENED), 0);
    hang_stop(&hang);
    site_end(&s);
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
        cmocka_unit_test(conns_in_use_notice_that_a_name_has_moved_and_what_flies_ends_where_it_is),
        cmocka_unit_test(a_name_that_stays_keeps_its_conns),
        cmocka_unit_test(a_lookup_that_fails_changes_nothing_for_those_who_use_the_name),
        cmocka_unit_test(a_connect_that_hangs_times_out),
        cmocka_unit_test(an_address_that_hangs_is_overtaken_by_another_one),
        cmocka_unit_test(cancel_or_a_deadline_in_a_race_ends_both_conns),
        cmocka_unit_test(the_rival_goes_on_when_the_first_gives_up_and_the_first_when_the_rival_is_refused),
        cmocka_unit_test(a_race_takes_no_conn_beyond_the_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
