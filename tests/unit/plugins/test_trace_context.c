#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "plugins/trace/trace_context.h"

#define ID   "4bf92f3577b34da6a3ce929d0e0e4736"
#define SPAN "00f067aa0ba902b7"

static sheaf_p_str_t text_of(const char *text)
{
    return sheaf_p_str(text, strlen(text));
}

static void a_valid_parent_is_read_and_written(void **state)
{
    trace_context_t context;
    char text[TRACE_PARENT_BYTES];

    (void)state;
    assert_true(trace_context_read(text_of("00-" ID "-" SPAN "-01"), &context));
    assert_memory_equal(context.trace_id, ID, 32);
    assert_memory_equal(context.span_id, SPAN, 16);
    assert_true(context.is_sampled);
    trace_context_write(&context, text);
    assert_memory_equal(text, "00-" ID "-" SPAN "-01", TRACE_PARENT_BYTES);
    assert_true(trace_context_read(text_of("00-" ID "-" SPAN "-02"), &context));
    assert_false(context.is_sampled);
    assert_true(trace_context_read(text_of("00-" ID "-" SPAN "-ff"), &context));
    assert_true(context.is_sampled);
}

static void a_later_version_is_read_as_far_as_it_is_known(void **state)
{
    trace_context_t context;

    (void)state;
    assert_true(trace_context_read(text_of("01-" ID "-" SPAN "-01"), &context));
    assert_true(trace_context_read(text_of("cc-" ID "-" SPAN "-01-what-comes"), &context));
    assert_false(trace_context_read(text_of("cc-" ID "-" SPAN "-01.what-comes"), &context));
    assert_false(trace_context_read(text_of("00-" ID "-" SPAN "-01-what-comes"), &context));
    assert_false(trace_context_read(text_of("ff-" ID "-" SPAN "-01"), &context));
}

static void what_is_no_parent_is_none(void **state)
{
    static const char *const none[] = {"",
                                       "00",
                                       "00-" ID "-" SPAN,
                                       "00-" ID "-" SPAN "-1",
                                       "00-" ID "-" SPAN "-0g",
                                       "00-" ID "-" SPAN "-01 ",
                                       "00_" ID "-" SPAN "-01",
                                       "00-" ID "_" SPAN "-01",
                                       "00-" ID "-" SPAN "_01",
                                       "0x-" ID "-" SPAN "-01",
                                       "00-4BF92F3577B34DA6A3CE929D0E0E4736-" SPAN "-01",
                                       "00-00000000000000000000000000000000-" SPAN "-01",
                                       "00-" ID "-0000000000000000-01",
                                       "00-" ID "-00f067aa0ba902b -01"};
    trace_context_t context;

    (void)state;
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
        if (trace_context_read(text_of(none[i]), &context))
            fail_msg("%s", none[i]);
}

static void a_state_is_handed_on_when_it_is_valid(void **state)
{
    char many[512] = "", longest[TRACE_STATE_MAX + 2];

    (void)state;
    assert_true(trace_state_is_valid(text_of("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE")));
    assert_true(trace_state_is_valid(text_of("a=1 , t@b=2,,*not=x")) == 0);
    assert_true(trace_state_is_valid(text_of("a=1 , t@b=2,,c=x")));
    assert_false(trace_state_is_valid(text_of("")));
    assert_false(trace_state_is_valid(text_of("a")));
    assert_false(trace_state_is_valid(text_of("=1")));
    assert_false(trace_state_is_valid(text_of("A=1")));
    assert_false(trace_state_is_valid(text_of("a=1=2")));
    assert_false(trace_state_is_valid(text_of("a=\xc3\xa9")));
    for (int i = 0; i < 32; i++)
        strcat(many, i == 0 ? "a=1" : ",a=1");
    assert_true(trace_state_is_valid(text_of(many)));
    strcat(many, ",a=1");
    assert_false(trace_state_is_valid(text_of(many)));
    memset(longest, 'a', sizeof(longest));
    longest[1] = longest[255] = longest[500] = '=';
    longest[250] = longest[498] = ',';
    assert_false(trace_state_is_valid(sheaf_p_str(longest, TRACE_STATE_MAX + 1)));
}

static void a_share_is_a_decimal_and_chooses_by_the_id(void **state)
{
    static const char *const none[] = {"", "2", "1.1", "-1", "0.", "0,5", ".5", "5%", "1e-3", "0.12345678901234567"};
    static const char least[] = "4bf92f3577b34da6a300000000000000", most[] = "4bf92f3577b34da6a3ffffffffffffff",
                      half[] = "4bf92f3577b34da6a380000000000000";

    (void)state;
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
        assert_true(trace_share_read(text_of(none[i])) < 0);
    assert_true(trace_is_chosen(most, trace_share_read(text_of("1"))));
    assert_true(trace_is_chosen(most, trace_share_read(text_of("1.000"))));
    assert_false(trace_is_chosen(least, trace_share_read(text_of("0"))));
    assert_true(trace_is_chosen(least, trace_share_read(text_of("0.5"))));
    assert_false(trace_is_chosen(half, trace_share_read(text_of("0.5"))));
    assert_true(trace_is_chosen(half, trace_share_read(text_of("0.51"))));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_valid_parent_is_read_and_written),
        cmocka_unit_test(a_later_version_is_read_as_far_as_it_is_known),
        cmocka_unit_test(what_is_no_parent_is_none),
        cmocka_unit_test(a_state_is_handed_on_when_it_is_valid),
        cmocka_unit_test(a_share_is_a_decimal_and_chooses_by_the_id),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
