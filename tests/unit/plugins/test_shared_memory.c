/* Memory that all workers see, used by several at once: threads stand for workers here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "plugins/idempotency/idempotency_store.h"
#include "plugins/rate_limit/rate_limit_table.h"

#define WORKERS 4
#define KEYS    500

static const rate_limit_rule_t rule = {.rate = 100, .period_ms = 3600000, .burst = 100};

typedef struct worker {
    void *memory;
    uint64_t number;
    _Atomic uint32_t *count; /* of each key: what passed, or what was new */
} worker_t;

static void together(void *(*run)(void *), void *memory, _Atomic uint32_t *count)
{
    pthread_t threads[WORKERS];
    worker_t workers[WORKERS];

    for (uint64_t i = 0; i < WORKERS; i++) {
        workers[i] = (worker_t){memory, i, count};
        assert_int_equal(pthread_create(&threads[i], NULL, run, &workers[i]), 0);
    }
    for (int i = 0; i < WORKERS; i++)
        pthread_join(threads[i], NULL);
}

static void *charge(void *data)
{
    const worker_t *worker = data;
    const uint64_t random[2] = {worker->number + 1, worker->number + 2};
    rate_limit_outcome_t outcome;
    rate_limit_table_t table;

    rate_limit_table_init(&table, worker->memory, 16384, random, &rule, 1);
    for (int round = 0; round < 60; round++)
        for (uint64_t key = 0; key < KEYS; key++) {
            const uint64_t hash[2] = {key * 0x9e3779b97f4a7c15u ^ table.secret[0], key << 20};

            rate_limit_table_charge(&table, hash, 1000, 1, &outcome);
            atomic_fetch_add(&worker->count[key], outcome.is_allowed);
        }
    return NULL;
}

static void workers_at_once_charge_no_more_than_there_is(void **unused)
{
    void *memory = calloc(1, rate_limit_table_bytes(16384));
    _Atomic uint32_t passed[KEYS] = {0};
    uint32_t exact = 0;

    together(charge, memory, passed);
    for (int key = 0; key < KEYS; key++) {
        assert_in_range(passed[key], 100,
                        100 + WORKERS - 1); /* who sees a key for the first time at the same instant */
        exact += passed[key] == 100;
    }
    assert_true(exact > KEYS * 9 / 10);
    free(memory);
}

static void *begin(void *data)
{
    const worker_t *worker = data;
    idempotency_store_t store;
    idempotency_ticket_t ticket;
    uint8_t key[IDEMPOTENCY_HASH] = {0};
    char answer[64];
    uint32_t len, evicted;

    idempotency_store_init(&store, worker->memory, 8192, sizeof(answer), (const uint64_t[2]){1, 2});
    for (int round = 0; round < 20; round++)
        for (uint32_t n = 0; n < KEYS; n++) {
            const uint32_t place = n * 7919;

            memcpy(key, &place, sizeof(place));
            memcpy(key + 16, &n, sizeof(n));
            switch (idempotency_store_begin(&store, key, key, 1000, 5000, &ticket, answer, &len, &evicted)) {
            case IDEMPOTENCY_NEW:
                atomic_fetch_add(&worker->count[n], 1);
                memset(answer, (int)(n & 0x7f), sizeof(answer));
                idempotency_store_finish(&store, ticket, 1000, 5000, answer, sizeof(answer));
                break;
            case IDEMPOTENCY_DONE:
                if (len != sizeof(answer) || answer[0] != (char)(n & 0x7f) || answer[63] != answer[0])
                    atomic_fetch_add(&worker->count[n], 1000);
                break;
            case IDEMPOTENCY_RUNNING:
                break;
            default:
                atomic_fetch_add(&worker->count[n], 1000);
            }
        }
    return NULL;
}

static void of_workers_at_once_one_runs_and_all_get_its_answer(void **unused)
{
    void *memory = calloc(1, idempotency_store_bytes(8192, 64));
    _Atomic uint32_t begun[KEYS] = {0};

    together(begin, memory, begun);
    for (int n = 0; n < KEYS; n++)
        assert_int_equal(begun[n], 1);
    free(memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(workers_at_once_charge_no_more_than_there_is),
        cmocka_unit_test(of_workers_at_once_one_runs_and_all_get_its_answer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
