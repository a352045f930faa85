/* config/word.c - see word.h. */
#include "config/word.h"

#include <stdio.h>

#include "config/nearest.h"
#include "config/value.h"

sheaf_err_t sheaf_word_load(const sheaf_key_t *key, sheaf_str_t text, uint8_t *ret_value, sheaf_fail_t *fail)
{
    sheaf_nearest_t nearest = sheaf_nearest_start(text);
    char words[128] = "";
    size_t len = 0;

    for (uint32_t i = 0; i < key->word_count && len < sizeof(words); i++) {
        sheaf_str_t word = sheaf_str_of(key->words[i]);

        if (sheaf_str_eq(word, text)) {
            *ret_value = (uint8_t)i;
            return SHEAF_OK;
        }
        sheaf_nearest_try(&nearest, word);
        len += (size_t)snprintf(words + len, sizeof(words) - len, "%s%s",
                                i == 0                    ? ""
                                : i + 1 < key->word_count ? ", "
                                                          : " or ",
                                key->words[i]);
    }
    if (nearest.name.base != NULL)
        return sheaf_fail(fail, SHEAF_ERR_CONFIG, "`%.*s` must be %s, not `%.*s`; did you mean `%.*s`?",
                          SHEAF_STR_ARG(key->name), words, SHEAF_VALUE_ARG(text), SHEAF_STR_ARG(nearest.name));
    return sheaf_fail(fail, SHEAF_ERR_CONFIG, "`%.*s` must be %s, not `%.*s`", SHEAF_STR_ARG(key->name), words,
                      SHEAF_VALUE_ARG(text));
}

static void add(sheaf_report_t *report, const sheaf_key_t *key, const sheaf_yaml_t *node, sheaf_str_t text,
                uint32_t *set)
{
    sheaf_fail_t fail;
    uint8_t word;

    if (sheaf_word_load(key, text, &word, &fail) != SHEAF_OK)
        sheaf_report_error(report, node->mark, "an item of %s", fail.detail);
    else if ((*set & 1u << word) != 0)
        sheaf_report_error(report, node->mark, "`%.*s` stands twice", SHEAF_VALUE_ARG(text));
    else
        *set |= 1u << word;
}

void sheaf_word_load_set(sheaf_report_t *report, const sheaf_key_t *key, const sheaf_yaml_t *node, uint32_t *ret_set)
{
    *ret_set = 0;
    if (node->kind == SHEAF_YAML_SCALAR)
        for (sheaf_str_t rest = node->text; rest.base != NULL;)
            add(report, key, node, sheaf_str_cut(&rest, ' '), ret_set);
    if (node->kind == SHEAF_YAML_SEQUENCE && node->count == 0)
        sheaf_report_error(report, node->mark, "`%.*s` needs at least one item", SHEAF_STR_ARG(key->name));
    for (const sheaf_yaml_t *child = node->first; child != NULL; child = child->next) {
        if (child->is_bad)
            continue;
        if (child->kind == SHEAF_YAML_SCALAR)
            add(report, key, child, child->text, ret_set);
        else
            sheaf_report_error(report, child->mark, "an item of `%.*s` must be a single value",
                               SHEAF_STR_ARG(key->name));
    }
}
