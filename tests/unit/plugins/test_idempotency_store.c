#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "plugins/idempotency/idempotency_store.h"

static void of_a_full_bucket_the_oldest_answer_goes_and_never_what_runs(void **unused)
{
    idempotency_store_t store;
    void *memory = calloc(1, idempotency_store_bytes(8, 64));
    uint8_t key[IDEMPOTENCY_HASH] = {0}, payload[IDEMPOTENCY_HASH] = {0};
    idempotency_ticket_t ticket, tickets[8];
    char answer[64];
    uint32_t len, evicted;

    idempotency_store_init(&store, memory, 8, 64, (const uint64_t[2]){1, 2});
    for (uint8_t i = 0; i < 8; i++) {
        key[31] = i;
        assert_int_equal(idempotency_store_begin(&store, key, payload, 1000, 5000, &tickets[i], answer, &len, &evicted),
                         IDEMPOTENCY_NEW);
    }
    key[31] = 8;
    assert_int_equal(idempotency_store_begin(&store, key, payload, 1000, 5000, &ticket, answer, &len, &evicted),
                     IDEMPOTENCY_FULL);
    idempotency_store_finish(&store, tickets[5], 1000, 9000, "five", 4);
    idempotency_store_finish(&store, tickets[3], 1000, 8000, "three", 5);
    assert_int_equal(idempotency_store_begin(&store, key, payload, 1000, 5000, &ticket, answer, &len, &evicted),
                     IDEMPOTENCY_NEW);
    assert_int_equal(evicted, 1);
    key[31] = 5;
    assert_int_equal(idempotency_store_begin(&store, key, payload, 1000, 5000, &ticket, answer, &len, &evicted),
                     IDEMPOTENCY_DONE);
    assert_memory_equal(answer, "five", len);
    idempotency_store_drop(&store, tickets[3], 1000); /* its slot is another's */
    key[31] = 8;
    assert_int_equal(idempotency_store_begin(&store, key, payload, 1000, 5000, &ticket, answer, &len, &evicted),
                     IDEMPOTENCY_RUNNING);
    free(memory);
}

static void a_lock_that_a_dead_worker_left_is_taken_over(void **unused)
{
    idempotency_store_t store;
    uint64_t *memory = calloc(1, idempotency_store_bytes(8, 64));
    uint8_t key[IDEMPOTENCY_HASH] = {0};
    idempotency_ticket_t ticket;
    char answer[64];
    uint32_t len, evicted;

    memory[8] = 1; /* behind the secret the lock of the only bucket, from long ago */
    idempotency_store_init(&store, memory, 8, 64, (const uint64_t[2]){1, 2});
    assert_int_equal(idempotency_store_begin(&store, key, key, 1000, 5000, &ticket, answer, &len, &evicted),
                     IDEMPOTENCY_NEW);
    assert_int_equal(memory[8], 0);
    idempotency_store_init(&store, memory, 8, 64, (const uint64_t[2]){3, 4}); /* another worker's has come later */
    assert_int_equal(store.secret[0], 1);
    assert_int_equal(store.secret[1], 2);
    free(memory);
}

#define LARGE 8192

/* Ends while it copies an answer, of which the last half cannot be read. */
static void die_in_the_middle(idempotency_store_t *store, idempotency_ticket_t ticket)
{
    pid_t pid = fork();
    int status;

    assert_true(pid >= 0);
    if (pid == 0) {
        char *answer = mmap(NULL, LARGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        signal(SIGSEGV, SIG_DFL);
        mprotect(answer + LARGE / 2, LARGE / 2, PROT_NONE);
        idempotency_store_finish(store, ticket, 1000, 9000, answer, LARGE);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
}

/* The slot holds the answer of somebody else still. */
static void an_answer_that_a_dying_worker_was_writing_is_none(void **unused)
{
    const uint64_t size = idempotency_store_bytes(8, LARGE);
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    uint8_t key[IDEMPOTENCY_HASH] = {1};
    idempotency_store_t store;
    idempotency_ticket_t ticket;
    char *answer = calloc(1, LARGE);
    uint32_t len, evicted;

    idempotency_store_init(&store, memory, 8, LARGE, (const uint64_t[2]){1, 2});
    idempotency_store_begin(&store, (const uint8_t[IDEMPOTENCY_HASH]){0}, key, 0, 10, &ticket, answer, &len, &evicted);
    idempotency_store_finish(&store, ticket, 0, 10, "another's", 9);
    assert_int_equal(idempotency_store_begin(&store, key, key, 1000, 5000, &ticket, answer, &len, &evicted),
                     IDEMPOTENCY_NEW);
    die_in_the_middle(&store, ticket);
    assert_int_equal(idempotency_store_begin(&store, key, key, 5999, 5000, &ticket, answer, &len, &evicted),
                     IDEMPOTENCY_RUNNING);
    assert_int_equal(idempotency_store_begin(&store, key, key, 6000, 5000, &ticket, answer, &len, &evicted),
                     IDEMPOTENCY_NEW);
    free(answer);
    munmap(memory, size);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_a_full_bucket_the_oldest_answer_goes_and_never_what_runs),
        cmocka_unit_test(a_lock_that_a_dead_worker_left_is_taken_over),
        cmocka_unit_test(an_answer_that_a_dying_worker_was_writing_is_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
