/* Who hears of SIGUSR1 in a worker: every plugin that is open. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config/plugin.h"
#include "config/snapshot.h"
#include "gateway/run/plughost.h"

#define HEAD .size = sizeof(sheaf_plugin_t), .abi_major = SHEAF_P_ABI_MAJOR, .version = "1", .manual = "It is here."

static struct {
    int opened, heard[8];
} told;

static void *open_number(const sheaf_p_open_t *open, sheaf_p_fail_t *fail)
{
    (void)open;
    (void)fail;
    return &told.heard[told.opened++];
}

static void on_reopen(void *self)
{
    ++*(int *)self;
}

static const sheaf_plugin_t listener = {HEAD, .name = "listener", .open = open_number, .on_reopen = on_reopen};
static const sheaf_plugin_t deaf = {HEAD, .name = "deaf", .open = open_number};

static const sheaf_plugin_t *open_fake(const char *path, sheaf_fail_t *fail)
{
    (void)fail;
    return strcmp(path, "deaf") == 0 ? &deaf : &listener;
}

/* Three instances. */
static sheaf_snapshot_t *snapshot(void)
{
    const char *text = "listen: [{address: \"127.0.0.1:0\"}]\n"
                       "plugins: [{file: listener, name: a}, {file: deaf}, {file: listener, name: b}]\n";
    sheaf_snapshot_t *loaded;
    char *report;

    sheaf_plugin_register(open_fake);
    loaded = sheaf_snapshot_load("t", sheaf_str_of(text), &report);
    assert_non_null(loaded);
    free(report);
    return loaded;
}

static void assert_heard(int a, int b, int c, int d)
{
    assert_int_equal(told.heard[0], a);
    assert_int_equal(told.heard[2], b);
    assert_int_equal(told.heard[3], c);
    assert_int_equal(told.heard[5], d);
    assert_int_equal(told.heard[1] + told.heard[4], 0);
}

static void all_that_are_open_hear_that_files_are_to_be_opened_anew(void **state)
{
    const sheaf_plughost_env_t env = {.worker_number = 0};
    sheaf_plughost_t *host = sheaf_plughost_new(&env);
    sheaf_snapshot_t *conf = snapshot();
    sheaf_guests_t *old, *new;
    sheaf_fail_t fail;

    (void)state;
    sheaf_plughost_reopen(host); /* nobody is there yet */
    old = sheaf_guests_open(host, conf, NULL, &fail);
    assert_non_null(old);
    sheaf_plughost_reopen(host);
    assert_heard(1, 1, 0, 0);

    new = sheaf_guests_open(host, conf, NULL, &fail); /* as a reload does, while the old ones are in use */
    assert_non_null(new);
    sheaf_plughost_reopen(host);
    assert_heard(2, 2, 1, 1);

    sheaf_guests_close(old);
    sheaf_plughost_reopen(host);
    assert_heard(2, 2, 2, 2);

    sheaf_guests_close(new);
    sheaf_plughost_reopen(host);
    assert_heard(2, 2, 2, 2);
    sheaf_snapshot_drop(conf);
    sheaf_plughost_free(host);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_that_are_open_hear_that_files_are_to_be_opened_anew),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
