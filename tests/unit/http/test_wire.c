/* Every recorded answer, fed whole, byte by byte and at every split, against the line kept beside it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <glob.h>
#include <stdio.h>

#include "tests/wire/feed.h"

#define ROOM 65536

/* NAME.want: METHOD STATUS OUTCOME keep|close LEFTOVER LENGTH BODY... (BODY: the first 40 bytes, controls as '.');
 * a malformed or cut head: METHOD 0 OUTCOME WHY... */
static void describe(const feed_t *feed, char *line, size_t size)
{
    static const char *const outcomes[] = {"cut", "complete", "malformed"};
    const char *method = feed->was_head ? "HEAD" : "GET";
    char body[41] = "";

    if (!feed->has_head) {
        snprintf(line, size, "%s 0 %s %s", method, outcomes[feed->outcome], feed->why);
        return;
    }
    for (size_t i = 0; i < feed->body_len && i < 40; i++)
        body[i] = (unsigned char)feed->body[i] < ' ' ? '.' : feed->body[i];
    snprintf(line, size, "%s %u %s %s %zu %zu %s", method, feed->head.status, outcomes[feed->outcome],
             feed->head.is_persistent ? "keep" : "close", feed->leftover, feed->body_len, body);
}

static size_t read_file(const char *path, char *bytes)
{
    FILE *file = fopen(path, "rb");
    size_t len;

    if (file == NULL)
        fail_msg("%s is missing", path);
    len = fread(bytes, 1, ROOM, file);
    fclose(file);
    assert_true(len < ROOM);
    bytes[len] = 0;
    return len;
}

static void check(feed_t *feed, const char *path, const char *want, const char *how)
{
    char line[256];

    feed_end(feed);
    describe(feed, line, sizeof(line));
    if (strcmp(line, want) != 0)
        fail_msg("%s, fed %s:\n  want %s\n  got  %s", path, how, want, line);
    feed_fini(feed);
}

static void check_answer(const char *path)
{
    static char bytes[ROOM + 1], want[ROOM + 1];
    char want_path[512];
    size_t len = read_file(path, bytes);
    bool was_head;
    feed_t feed;

    snprintf(want_path, sizeof(want_path), "%.*swant", (int)strlen(path) - 4, path);
    read_file(want_path, want);
    want[strcspn(want, "\n")] = 0;
    was_head = strncmp(want, "HEAD", 4) == 0;

    feed_init(&feed, len, was_head);
    feed_more(&feed, bytes, len);
    check(&feed, path, want, "whole");

    feed_init(&feed, len, was_head);
    for (size_t i = 0; i < len; i++)
        feed_more(&feed, bytes + i, 1);
    check(&feed, path, want, "byte by byte");

    for (size_t split = 1; split < len; split++) {
        char how[32];

        feed_init(&feed, len, was_head);
        feed_more(&feed, bytes, split);
        feed_more(&feed, bytes + split, len - split);
        snprintf(how, sizeof(how), "in two at %zu", split);
        check(&feed, path, want, how);
    }
}

static void every_recorded_answer_means_the_same_however_it_is_cut(void **state)
{
    glob_t found;

    (void)state;
    assert_int_equal(glob("tests/wire/answers/*.http", 0, NULL, &found), 0);
    assert_true(found.gl_pathc >= 40);
    for (size_t i = 0; i < found.gl_pathc; i++)
        check_answer(found.gl_pathv[i]);
    globfree(&found);
}

static char name_byte(size_t i, char odd)
{
    static const char usual[] = "Aa-ZzMmBb-";

    return odd != 0 && i % 11 == 7 ? odd : usual[i % (sizeof(usual) - 1)];
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 0x20) : c;
}

static void check_field(size_t name_len, size_t value_len, char odd)
{
    static const char status[] = "HTTP/1.1 200 OK\r\n";
    char bytes[256];
    int len = sprintf(bytes, "%s", status);
    sheaf_wire_head_t *head = malloc(sizeof(*head));
    const char *why;

    for (size_t i = 0; i < name_len; i++)
        bytes[len++] = name_byte(i, odd);
    len += sprintf(bytes + len, ":%.*s\r\n\r\n", (int)value_len, "VALUE OF CAPITALS [AND] ~ MORE OF THEM");
    assert_int_equal(sheaf_wire_parse_head(bytes, (size_t)len, 0, false, head, &why), len);
    assert_int_equal(head->header_count, 1);
    assert_int_equal(head->headers[0].name.len, name_len);
    for (size_t i = 0; i < name_len; i++)
        assert_int_equal(head->headers[0].name.base[i], lower(name_byte(i, odd)));
    assert_int_equal(head->headers[0].value.len, value_len);
    assert_memory_equal(head->headers[0].value.base, "VALUE OF CAPITALS [AND] ~ MORE OF THEM", value_len);
    free(head);
}

static void names_are_lowered_and_values_are_not(void **state)
{
    (void)state;
    for (size_t name_len = 1; name_len < 40; name_len++) {
        for (size_t value_len = 1; value_len < 30; value_len++) {
            if (value_len == 6 || value_len == 9 || value_len == 18 || value_len == 24 || value_len == 26)
                continue; /* would end in a space */
            check_field(name_len, value_len, 0);
            check_field(name_len, value_len, '_');
            check_field(name_len, value_len, '9');
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_recorded_answer_means_the_same_however_it_is_cut),
        cmocka_unit_test(names_are_lowered_and_values_are_not),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
