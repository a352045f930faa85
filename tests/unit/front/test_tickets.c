#include <setjmp.h>
#include <stdarg.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "gateway/front/tickets.h"
#include "tests/unit/config/certificates.h"

#define PERIOD 1000

typedef struct {
    sheaf_tickets_t *tickets;
    SSL_CTX *server, *client;
    SSL_SESSION *session; /* the last that the server gave */
} kit_t;

static kit_t *kit;

static int on_session(SSL *ssl, SSL_SESSION *session)
{
    SSL_SESSION_free(kit->session);
    kit->session = session;
    return 1;
}

static int set_up(void **state)
{
    made_t made = make((wish_t){.common_name = "a", .end_days = 1});

    kit = *state = sheaf_zalloc(sizeof(*kit));
    kit->tickets = sheaf_tickets_new();
    kit->server = SSL_CTX_new(TLS_server_method());
    kit->client = SSL_CTX_new(TLS_client_method());
    SSL_CTX_use_certificate(kit->server, made.x509);
    SSL_CTX_use_PrivateKey(kit->server, made.key);
    SSL_CTX_set_session_cache_mode(kit->server, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_session_cache_mode(kit->client, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(kit->client, on_session);
    sheaf_tickets_install(kit->tickets, kit->server);
    made_free(&made);
    return 0;
}

static int tear_down(void **state)
{
    SSL_SESSION_free(kit->session);
    SSL_CTX_free(kit->server);
    SSL_CTX_free(kit->client);
    sheaf_tickets_free(kit->tickets);
    free(kit);
    return 0;
}

/* One connection that offers `session` (NULL: none): was it resumed? What the server gives lands in kit->session. */
static bool resumes(SSL_SESSION *session)
{
    SSL *server = SSL_new(kit->server), *client = SSL_new(kit->client);
    BIO *left, *right;
    bool is_resumed;
    char byte;

    BIO_new_bio_pair(&left, 0, &right, 0);
    SSL_set_bio(server, left, left);
    SSL_set_bio(client, right, right);
    SSL_set_accept_state(server);
    SSL_set_connect_state(client);
    if (session != NULL) { /* a copy: a connection marks its session as used */
        SSL_SESSION *copy = SSL_SESSION_dup(session);
        SSL_set_session(client, copy);
        SSL_SESSION_free(copy);
    }
    for (int i = 0; i < 10; i++) {
        SSL_do_handshake(client);
        SSL_do_handshake(server);
    }
    assert_true(SSL_is_init_finished(client) && SSL_is_init_finished(server));
    SSL_read(client, &byte, 1); /* TLS 1.3: tickets come after the handshake */
    is_resumed = SSL_session_reused(client);
    if (SSL_version(client) == TLS1_2_VERSION && is_resumed) /* there a renewed ticket is not told */
        on_session(client, SSL_get1_session(client));
    SSL_shutdown(client); /* a session whose connection broke would not be used again */
    SSL_free(server);
    SSL_free(client);
    return is_resumed;
}

/* The last session, which a connection will replace. */
static SSL_SESSION *last(void)
{
    return kit->session == NULL ? NULL : SSL_SESSION_dup(kit->session);
}

static void a_ticket_lives_as_long_as_its_key_and_one_period_more(void **state)
{
    SSL_SESSION *first;

    assert_int_equal(sheaf_tickets_rotate(kit->tickets, 5000, PERIOD), 6000);
    assert_false(resumes(NULL));
    first = last();
    assert_true(resumes(first));
    assert_int_equal(sheaf_tickets_rotate(kit->tickets, 5999, PERIOD), 6000); /* too early: the same key */
    assert_true(resumes(first));
    assert_int_equal(sheaf_tickets_rotate(kit->tickets, 6000, PERIOD), 7000);
    assert_true(resumes(first)); /* the key before */
    assert_int_equal(sheaf_tickets_rotate(kit->tickets, 7000, PERIOD), 8000);
    assert_false(resumes(first));
    SSL_SESSION_free(first);
}

static void a_resumption_brings_a_ticket_of_the_key_that_seals_now(void **state)
{
    SSL_SESSION *session;

    sheaf_tickets_rotate(kit->tickets, 5000, PERIOD);
    resumes(NULL);
    for (uint64_t now_ms = 6000; now_ms < 15000; now_ms += PERIOD) {
        sheaf_tickets_rotate(kit->tickets, now_ms, PERIOD);
        session = last();
        assert_true(resumes(session));
        SSL_SESSION_free(session);
    }
}

static void tls_1_2_resumes_and_renews_too(void **state)
{
    SSL_CTX_set_max_proto_version(kit->server, TLS1_2_VERSION);
    a_resumption_brings_a_ticket_of_the_key_that_seals_now(state);
}

static void a_rotation_that_comes_far_too_late_forgets_all(void **state)
{
    SSL_SESSION *first;

    sheaf_tickets_rotate(kit->tickets, 5000, PERIOD);
    resumes(NULL);
    first = last();
    sheaf_tickets_rotate(kit->tickets, 7000, PERIOD); /* two periods at once */
    assert_false(resumes(first));
    SSL_SESSION_free(first);
}

static void without_a_key_there_is_no_ticket_and_no_failure(void **state)
{
    assert_int_equal(sheaf_tickets_rotate(kit->tickets, 5000, 0), UINT64_MAX);
    assert_false(resumes(NULL));
    assert_true(kit->session == NULL || !SSL_SESSION_has_ticket(kit->session));
}

/* The memory is shared: what another process does is seen here. */
static void keys_made_by_another_process_are_used(void **state)
{
    SSL_SESSION *first;
    int status;
    pid_t pid;

    sheaf_tickets_rotate(kit->tickets, 5000, PERIOD);
    resumes(NULL);
    first = last();
    for (int round = 1; round <= 2; round++) {
        pid = fork();
        if (pid == 0) {
            sheaf_tickets_rotate(kit->tickets, 5000 + (uint64_t)round * PERIOD, PERIOD);
            _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(resumes(first) == (round == 1));
    }
    SSL_SESSION_free(first);
}

/* What a new binary does: new memory, the old keys. */
static bool succeed(uint64_t now_ms)
{
    sheaf_tickets_t *heir = sheaf_tickets_new();
    bool is_taken = sheaf_tickets_take(heir, sheaf_tickets_give(kit->tickets), now_ms);

    sheaf_tickets_install(heir, kit->server);
    sheaf_tickets_free(kit->tickets);
    kit->tickets = heir;
    return is_taken;
}

static void a_successor_opens_what_was_sealed_before_and_keys_stay_as_old_as_they_are(void **state)
{
    SSL_SESSION *first, *second;

    sheaf_tickets_rotate(kit->tickets, 5000, PERIOD);
    resumes(NULL);
    first = last();
    sheaf_tickets_rotate(kit->tickets, 6000, PERIOD);
    resumes(NULL);
    second = last();
    assert_true(succeed(6500));
    assert_true(resumes(first));
    assert_true(resumes(second));
    assert_int_equal(sheaf_tickets_rotate(kit->tickets, 6500, PERIOD), 7000);
    sheaf_tickets_rotate(kit->tickets, 7000, PERIOD);
    assert_false(resumes(first));
    assert_true(resumes(second));
    SSL_SESSION_free(first);
    SSL_SESSION_free(second);
}

static void a_successor_takes_nothing_that_makes_no_sense(void **state)
{
    char bytes[4096];
    ssize_t len;
    int fd;

    assert_false(succeed(5000)); /* no key yet */
    sheaf_tickets_rotate(kit->tickets, 5000, PERIOD);
    fd = sheaf_tickets_give(kit->tickets);
    assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
    len = pread(fd, bytes, sizeof(bytes), 0);
    assert_true(len > 160 && len < (ssize_t)sizeof(bytes));
    assert_int_equal(ftruncate(fd, len - 1), 0);
    assert_false(sheaf_tickets_take(kit->tickets, fd, 6000));
    assert_int_equal(fcntl(fd, F_GETFD), -1);
    for (int at = 0; at < 24; at += 23) { /* the layout, then the number of keys */
        fd = sheaf_tickets_give(kit->tickets);
        assert_int_equal(pwrite(fd, "X", 1, at), 1);
        assert_false(sheaf_tickets_take(kit->tickets, fd, 6000));
    }
    assert_false(succeed(4999)); /* made in the future */
    assert_false(sheaf_tickets_take(kit->tickets, -1, 6000));
    assert_int_equal(sheaf_tickets_rotate(kit->tickets, 4999, PERIOD), 5999);
    assert_false(resumes(NULL));
    assert_true(resumes(kit->session));
}

/* The line `VmFlags` of the mapping that holds `address` (proc(5), smaps). */
static bool is_left_out_of_dumps(const void *address)
{
    FILE *file = fopen("/proc/self/smaps", "r");
    uintptr_t wanted = (uintptr_t)address, first, end;
    bool is_inside = false, is_out = false;
    char line[512];

    assert_non_null(file);
    while (fgets(line, sizeof(line), file) != NULL) {
        if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " ", &first, &end) == 2)
            is_inside = first <= wanted && wanted < end;
        else if (is_inside && strncmp(line, "VmFlags:", 8) == 0)
            is_out = strstr(line, " dd") != NULL;
    }
    fclose(file);
    return is_out;
}

static void a_core_dump_holds_no_key(void **state)
{
    assert_true(is_left_out_of_dumps(kit->tickets));
    assert_false(is_left_out_of_dumps(kit));
    sheaf_tickets_rotate(kit->tickets, 5000, PERIOD);
    assert_true(succeed(5000));
    assert_true(is_left_out_of_dumps(kit->tickets));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_ticket_lives_as_long_as_its_key_and_one_period_more, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_resumption_brings_a_ticket_of_the_key_that_seals_now, set_up, tear_down),
        cmocka_unit_test_setup_teardown(tls_1_2_resumes_and_renews_too, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_rotation_that_comes_far_too_late_forgets_all, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_a_key_there_is_no_ticket_and_no_failure, set_up, tear_down),
        cmocka_unit_test_setup_teardown(keys_made_by_another_process_are_used, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_successor_opens_what_was_sealed_before_and_keys_stay_as_old_as_they_are,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_successor_takes_nothing_that_makes_no_sense, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_core_dump_holds_no_key, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
