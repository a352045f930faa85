/* list: rings whose links know their neighbours. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "gateway/base/list.h"

typedef struct {
    char name;
    sheaf_link_t link;
} bead_t;

/* The names forwards, then backwards: a ring that is broken in one direction shows. */
static const char *walk(const sheaf_link_t *list)
{
    static char text[32];
    size_t len = 0;

    for (const sheaf_link_t *link = list->next; link != list; link = link->next)
        text[len++] = SHEAF_OWNER(link, bead_t, link)->name;
    text[len++] = '|';
    for (const sheaf_link_t *link = list->prev; link != list; link = link->prev)
        text[len++] = SHEAF_OWNER(link, bead_t, link)->name;
    text[len] = '\0';
    return text;
}

static void links_go_in_at_both_ends(void **state)
{
    bead_t a = {.name = 'a'}, b = {.name = 'b'}, c = {.name = 'c'};
    sheaf_link_t list;

    sheaf_list_init(&list);
    assert_true(sheaf_list_is_empty(&list));
    sheaf_list_push_back(&list, &a.link);
    sheaf_list_push_back(&list, &b.link);
    sheaf_list_push_front(&list, &c.link);
    assert_false(sheaf_list_is_empty(&list));
    assert_string_equal(walk(&list), "cab|bac");
}

static void a_link_leaves_from_anywhere_and_may_come_back(void **state)
{
    bead_t beads[] = {{.name = 'a'}, {.name = 'b'}, {.name = 'c'}};
    sheaf_link_t list;

    sheaf_list_init(&list);
    for (size_t i = 0; i < SHEAF_COUNT(beads); i++)
        sheaf_list_push_back(&list, &beads[i].link);
    sheaf_list_remove(&beads[1].link);
    assert_string_equal(walk(&list), "ac|ca");
    sheaf_list_push_front(&list, &beads[1].link);
    assert_string_equal(walk(&list), "bac|cab");
    for (size_t i = 0; i < SHEAF_COUNT(beads); i++)
        sheaf_list_remove(&beads[i].link);
    assert_true(sheaf_list_is_empty(&list));
}

static void a_link_on_no_ring_may_be_removed(void **state)
{
    bead_t bead = {.name = 'a'};
    sheaf_link_t list;

    sheaf_list_remove(&bead.link); /* all zero: never was on one */
    sheaf_list_init(&list);
    sheaf_list_push_back(&list, &bead.link);
    sheaf_list_remove(&bead.link);
    sheaf_list_remove(&bead.link); /* twice */
    assert_true(sheaf_list_is_empty(&list));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(links_go_in_at_both_ends),
        cmocka_unit_test(a_link_leaves_from_anywhere_and_may_come_back),
        cmocka_unit_test(a_link_on_no_ring_may_be_removed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
