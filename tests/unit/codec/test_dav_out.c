#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/codec/results.h"

static bool is_encoded_as_written(const char *folder)
{
    size_t len;
    char *text = result_encode(folder, &sheaf_dav_out, &len);
    bool is_same = kit_is_golden(folder, "want", text, len) && result_is_xml(text, len);

    free(text);
    return is_same;
}

static void every_case_is_encoded_as_written(void **state)
{
    (void)state;
    assert_int_equal(kit_each_case("dav_out", is_encoded_as_written), 0);
}

static void a_hostile_body_never_breaks_the_document(void **state)
{
    (void)state;
    result_survives_all(&sheaf_dav_out, result_is_xml);
}

static void xml_is_embedded_as_elements_down_to_128_levels_and_as_text_beyond(void **state)
{
    (void)state;
    for (size_t depth = 128; depth <= 129; depth++) {
        size_t len, got_len;
        char *body = result_nest(SHEAF_STR("<a>"), SHEAF_STR("</a>"), depth, &len);
        char *got = result_of_body(&sheaf_dav_out, "application/xml", body, len, &got_len);

        assert_int_equal(strstr(got, "&lt;a") != NULL, depth > 128);
        assert_true(result_is_xml(got, got_len));
        free(got);
        free(body);
    }
}

static void no_href_stands_twice_among_many(void **state)
{
    kit_t kit;
    sheaf_batch_t *batch;
    size_t len, urns = 0;
    char *text, url[32];

    (void)state;
    kit_init(&kit);
    kit.endpoint.max_items = 2000;
    batch = kit_batch(&kit);
    for (int i = 0; i < 2000; i++) {
        snprintf(url, sizeof(url), "/users/%d", i % 1000);
        kit_add(batch, NULL, "GET", url)->status = 200;
    }
    text = kit_encode(batch, &sheaf_dav_out, &len);
    for (const char *at = text; (at = strstr(at, "<D:href>urn:sheaf:item:")) != NULL; at++)
        urns++;
    assert_int_equal(urns, 1000);
    free(text);
    sheaf_batch_free(batch);
    kit_fini(&kit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_case_is_encoded_as_written),
        cmocka_unit_test(a_hostile_body_never_breaks_the_document),
        cmocka_unit_test(xml_is_embedded_as_elements_down_to_128_levels_and_as_text_beyond),
        cmocka_unit_test(no_href_stands_twice_among_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
