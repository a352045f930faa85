/* config/word.h - values that are words of a list in keys.def: one of them, or a set. */
#ifndef SHEAF_CONFIG_WORD_H
#define SHEAF_CONFIG_WORD_H

#include "config/report.h"
#include "config/table.h"
#include "config/yaml.h"
#include "gateway/base/error.h"

/* `text` as the number of its word; else a sentence with all words, and the one that was probably meant. */
sheaf_err_t sheaf_word_load(const sheaf_key_t *key, sheaf_str_t text, uint8_t *ret_value, sheaf_fail_t *fail);

/* A list of words, bit n for word n. Also a single value, the default in keys.def: words with spaces between them. */
void sheaf_word_load_set(sheaf_report_t *report, const sheaf_key_t *key, const sheaf_yaml_t *node, uint32_t *ret_set);

#endif
