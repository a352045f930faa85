/* The golden folder of the multipart decoder: each `in` is either understood (want: the plan) or refused (error). The
 * first line of `in` is the Content-Type, then one "key: value" a line (prefer, change-sets, on-error), a blank line, and
 * the body. In the body a line "<all bytes>" stands for the bytes 0 to 255. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/codec/plans.h"

static sheaf_prefer_t preferences;

static void set_up(kit_t *kit, sheaf_pool_t *pool, sheaf_str_t line)
{
    sheaf_str_t value = line, name = sheaf_str_cut(&value, ':');

    value = sheaf_pool_dup(pool, sheaf_str_trim(value));
    if (sheaf_str_eq(name, SHEAF_STR("content-type")))
        sheaf_headers_add(&kit->outer_headers, pool, SHEAF_STR("content-type"), value);
    else if (sheaf_str_eq(name, SHEAF_STR("prefer")))
        sheaf_prefer_add(&preferences, value);
    else if (sheaf_str_eq(name, SHEAF_STR("on-error")))
        kit->endpoint.on_error = sheaf_str_eq(value, SHEAF_STR("stop")) ? SHEAF_ON_ERROR_STOP : SHEAF_ON_ERROR_CONTINUE;
    else if (sheaf_str_eq(name, SHEAF_STR("change-sets")))
        kit->endpoint.change_sets =
            sheaf_str_eq(value, SHEAF_STR("flat")) ? SHEAF_CHANGE_SETS_FLAT : SHEAF_CHANGE_SETS_INDEPENDENT;
    else
        abort();
}

static void print_places(FILE *file, const sheaf_batch_t *batch)
{
    for (uint32_t i = 0; i < batch->count; i++) {
        const sheaf_item_t *item = sheaf_batch_item(batch, i);

        if (item->label.base != NULL || item->set != 0)
            fprintf(file, "%u is called \"%.*s\" in set %u\n", i, SHEAF_STR_ARG(item->label), item->set);
    }
}

static char *decode(kit_t *kit, sheaf_str_t body, const char **ret_name, size_t *ret_len)
{
    sheaf_batch_t *batch = kit_batch(kit);
    char *plan, *text;
    sheaf_fail_t fail;
    size_t plan_len;
    FILE *file;

    sheaf_batch_prefer(batch, &preferences);
    if (sheaf_multipart_in.decode(batch, body, &fail) != SHEAF_OK) {
        *ret_name = "error";
        text = plan_print_fail(&fail, ret_len);
        sheaf_batch_free(batch);
        return text;
    }
    *ret_name = "want";
    plan = plan_print_batch(batch, &plan_len);
    file = open_memstream(&text, ret_len);
    fwrite(plan, 1, plan_len, file);
    print_places(file, batch);
    fclose(file);
    free(plan);
    sheaf_batch_free(batch);
    return text;
}

static bool is_decoded_as_written(const char *folder)
{
    sheaf_pool_t *pool = sheaf_pool_new();
    size_t in_len = 0, len;
    char *in = kit_read(folder, "in", &in_len), *got;
    sheaf_str_t rest = sheaf_str(in, in_len), line;
    const char *name;
    bool is_same;
    kit_t kit;

    assert_non_null(in);
    kit_init(&kit);
    preferences = (sheaf_prefer_t){0};
    while ((line = sheaf_str_cut(&rest, '\n')).len > 0)
        set_up(&kit, pool, line);
    got = decode(&kit, rest, &name, &len);
    is_same = kit_is_golden(folder, name, got, len);
    free(got);
    kit_fini(&kit);
    sheaf_pool_free(pool);
    free(in);
    return is_same;
}

static void every_case_is_decoded_or_refused_as_written(void **state)
{
    (void)state;
    assert_int_equal(kit_each_case("multipart_in", is_decoded_as_written), 0);
}

static void set_boundary(kit_t *kit)
{
    kit_init(kit);
    sheaf_headers_add(&kit->outer_headers, kit->snapshot.pool, SHEAF_STR("content-type"),
                      SHEAF_STR("multipart/mixed; boundary=b"));
}

/* One POST whose body is `body`, lines ending in `newline`; true when the item has exactly that body. */
static bool body_passes(sheaf_str_t body, const char *newline)
{
    kit_t kit;
    sheaf_batch_t *batch;
    char *doc;
    size_t len;
    FILE *file = open_memstream(&doc, &len);
    bool is_same;

    fprintf(file, "--b%sContent-Type: application/http%s%sPOST /orders%s%s", newline, newline, newline, newline,
            newline);
    fwrite(body.base, 1, body.len, file);
    fprintf(file, "%s--b--", newline);
    fclose(file);
    set_boundary(&kit);
    batch = kit_batch(&kit);
    is_same = sheaf_multipart_in.decode(batch, sheaf_str(doc, len), NULL) == SHEAF_OK && batch->count == 1 &&
              sheaf_str_eq(sheaf_batch_item(batch, 0)->exchange.body, body);
    sheaf_batch_free(batch);
    kit_fini(&kit);
    free(doc);
    return is_same;
}

static void any_body_passes_byte_for_byte(void **state)
{
    static const sheaf_str_t bodies[] = {{"", 0},         {"x", 1},          {"\r", 1},        {"\n", 1},
                                         {"\r\n", 2},     {"x\r", 2},        {"x\r\n", 3},     {"--b", 3},
                                         {"--bx\r\n", 6}, {"\n --b--\n", 8}, {"\0\0\r\n\0", 5}};
    char all[256];

    (void)state;
    for (int i = 0; i < 256; i++)
        all[i] = (char)i;
    assert_true(body_passes(sheaf_str(all, sizeof(all)), "\r\n"));
    assert_true(body_passes(sheaf_str(all, sizeof(all)), "\n"));
    for (size_t i = 0; i < SHEAF_COUNT(bodies); i++) {
        if (sheaf_str_eq(bodies[i], SHEAF_STR("--b")))
            continue; /* that is a delimiter */
        assert_true(body_passes(bodies[i], "\r\n"));
        assert_true(body_passes(bodies[i], "\n"));
    }
}

static void what_is_cut_off_anywhere_is_refused_or_understood(void **state)
{
    /* behind the dashes of the close delimiter nothing is needed */
    static const char doc[] = "--b\r\nContent-Type: multipart/mixed;\r\n boundary=\"c d\"\r\n\r\n--c "
                              "d\r\nContent-Type: application/http\r\nContent-ID: 1"
                              "\r\n\r\nPOST /orders HTTP/1.1\r\nA: b\r\n\r\nx\r\n--c d--\r\n--b\r\nContent-Type: "
                              "application/http\r\n\r\nGET $1/x\r\n--b--";
    (void)state;
    for (size_t len = 0; len < sizeof(doc); len++) {
        char *copy = memcpy(sheaf_alloc(len + 1), doc, len);
        sheaf_batch_t *batch;
        sheaf_fail_t fail;
        kit_t kit;

        set_boundary(&kit);
        batch = kit_batch(&kit);
        assert_int_equal(sheaf_multipart_in.decode(batch, sheaf_str(copy, len), &fail) == SHEAF_OK,
                         len == sizeof(doc) - 1);
        sheaf_batch_free(batch);
        kit_fini(&kit);
        free(copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_case_is_decoded_or_refused_as_written),
        cmocka_unit_test(any_body_passes_byte_for_byte),
        cmocka_unit_test(what_is_cut_off_anywhere_is_refused_or_understood),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
