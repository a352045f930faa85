#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "gateway/codec/codec.h"

static const sheaf_endpoint_conf_t endpoint;

static const sheaf_encoder_t *accepting(const char *accept)
{
    return sheaf_codec_encoder(&endpoint, sheaf_str_of(accept));
}

static void json_in_is_chosen_by_its_media_type(void **state)
{
    (void)state;
    assert_ptr_equal(sheaf_codec_decoder(&endpoint, SHEAF_STR("application/json")), &sheaf_json_in);
    assert_ptr_equal(sheaf_codec_decoder(&endpoint, SHEAF_STR("Application/JSON; charset=UTF-8")), &sheaf_json_in);
    assert_ptr_equal(sheaf_codec_decoder(&endpoint, SHEAF_STR("application/json;odata.metadata=minimal")),
                     &sheaf_json_in);
}

static void other_types_and_none_have_no_decoder(void **state)
{
    (void)state;
    assert_null(sheaf_codec_decoder(&endpoint, SHEAF_STR_NONE));
    assert_null(sheaf_codec_decoder(&endpoint, SHEAF_STR("")));
    assert_null(sheaf_codec_decoder(&endpoint, SHEAF_STR("text/plain")));
    assert_null(sheaf_codec_decoder(&endpoint, SHEAF_STR("application/json; charset=iso-8859-1")));
}

static void a_dialect_has_its_own_pair_and_reads_json_only(void **state)
{
    const sheaf_endpoint_conf_t apisix = {.dialect = SHEAF_DIALECT_APISIX}, tyk = {.dialect = SHEAF_DIALECT_TYK};

    (void)state;
    assert_ptr_equal(sheaf_codec_decoder(&apisix, SHEAF_STR("application/json")), &sheaf_apisix_in);
    assert_ptr_equal(sheaf_apisix_in.answers_with, &sheaf_apisix_out);
    assert_ptr_equal(sheaf_codec_decoder(&tyk, SHEAF_STR("application/json")), &sheaf_tyk_in);
    assert_ptr_equal(sheaf_tyk_in.answers_with, &sheaf_tyk_out);
    assert_null(sheaf_codec_decoder(&apisix, SHEAF_STR("text/plain")));
    assert_null(sheaf_codec_decoder(&tyk, SHEAF_STR_NONE));
    assert_string_equal(sheaf_codec_decodable(&tyk), "application/json");
}

static void a_refusal_is_where_the_dialects_clients_look(void **state)
{
    const sheaf_endpoint_conf_t apisix = {.dialect = SHEAF_DIALECT_APISIX}, tyk = {.dialect = SHEAF_DIALECT_TYK};
    char text[SHEAF_PROBLEM_MAX + 1];
    sheaf_fail_t fail;

    (void)state;
    sheaf_fail(&fail, SHEAF_ERR_SYNTAX, "not \"so\"");
    text[sheaf_problem_write_as(sheaf_codec_refusal(&apisix), &fail, text)] = 0;
    assert_non_null(strstr(text, "\"status\":400,\"error_msg\":\"not \\\"so\\\"\""));
    text[sheaf_problem_write_as(sheaf_codec_refusal(&tyk), &fail, text)] = 0;
    assert_non_null(strstr(text, "\"status\":\"error\",\"message\":\"not \\\"so\\\"\""));
    assert_ptr_equal(sheaf_codec_refusal(NULL), &sheaf_problem_plain);
}

static void accept_chooses_the_highest_quality(void **state)
{
    (void)state;
    assert_ptr_equal(accepting("application/xml"), &sheaf_dav_out);
    assert_ptr_equal(accepting("text/xml"), &sheaf_dav_text_out);
    assert_ptr_equal(accepting("application/json;q=0.5, application/xml"), &sheaf_dav_out);
    assert_ptr_equal(accepting("application/xml;q=0.5, */*;q=0.1"), &sheaf_dav_out);
    assert_ptr_equal(accepting("application/x-ndjson"), &sheaf_ndjson_out);
    assert_ptr_equal(accepting("application/json-seq, application/json;q=0.9"), &sheaf_json_seq_out);
}

static void json_wins_where_accept_leaves_a_choice(void **state)
{
    (void)state;
    assert_ptr_equal(sheaf_codec_encoder(&endpoint, SHEAF_STR_NONE), &sheaf_json_out);
    assert_ptr_equal(accepting("*/*"), &sheaf_json_out);
    assert_ptr_equal(accepting("application/xml, application/json"), &sheaf_json_out);
    assert_ptr_equal(accepting("application/*"), &sheaf_json_out);
}

static void nothing_acceptable_gives_none(void **state)
{
    (void)state;
    assert_null(accepting("text/html"));
    assert_null(accepting("application/json;q=0, application/xml;q=0, text/xml;q=0"));
}

static void the_lists_name_every_type(void **state)
{
    (void)state;
    assert_memory_equal(sheaf_codec_decodable(&endpoint), "application/json", 16);
    assert_memory_equal(sheaf_codec_encodable(&endpoint), "application/json, application/xml, text/xml", 43);
    assert_non_null(strstr(sheaf_codec_encodable(&endpoint), ", application/x-ndjson"));
    assert_non_null(strstr(sheaf_codec_encodable(&endpoint), ", application/json-seq"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_in_is_chosen_by_its_media_type),
        cmocka_unit_test(other_types_and_none_have_no_decoder),
        cmocka_unit_test(a_dialect_has_its_own_pair_and_reads_json_only),
        cmocka_unit_test(a_refusal_is_where_the_dialects_clients_look),
        cmocka_unit_test(accept_chooses_the_highest_quality),
        cmocka_unit_test(json_wins_where_accept_leaves_a_choice),
        cmocka_unit_test(nothing_acceptable_gives_none),
        cmocka_unit_test(the_lists_name_every_type),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
