#include "config/range.h"

#include <inttypes.h>

#include "config/value.h"

sheaf_err_t sheaf_range_integer(sheaf_str_t text, uint64_t *ret_value, sheaf_fail_t *fail)
{
    bool is_negative = sheaf_str_starts(text, SHEAF_STR("-"));
    sheaf_str_t digits = sheaf_str(text.base + is_negative, text.len - is_negative);
    uint64_t value;

    if (!sheaf_str_to_u64(digits, &value) || value > (uint64_t)INT64_MAX)
        return sheaf_fail(fail, SHEAF_ERR_CONFIG, "`%.*s` is no whole number", SHEAF_VALUE_ARG(text));
    *ret_value = is_negative ? 0 - value : value;
    return SHEAF_OK;
}

static bool is_within(const sheaf_key_t *key, uint64_t value)
{
    if (key->kind == SHEAF_KIND_OF_INTEGER)
        return (int64_t)value >= (int64_t)key->min && (int64_t)value <= (int64_t)key->max;
    return key->max == 0 || (value >= key->min && value <= key->max);
}

static void show(const sheaf_key_t *key, uint64_t bound, char text[SHEAF_VALUE_SHOWN])
{
    if (key->kind == SHEAF_KIND_OF_DURATION)
        sheaf_value_show_duration(bound, text);
    else if (key->kind == SHEAF_KIND_OF_SIZE)
        sheaf_value_show_size(bound, text);
    else if (key->kind == SHEAF_KIND_OF_INTEGER)
        snprintf(text, SHEAF_VALUE_SHOWN, "%" PRId64, (int64_t)bound);
    else
        snprintf(text, SHEAF_VALUE_SHOWN, "%" PRIu64 "%s", bound, key->kind == SHEAF_KIND_OF_PERCENT ? "%" : "");
}

bool sheaf_range_has(sheaf_report_t *report, const sheaf_key_t *key, const sheaf_yaml_t *node, uint64_t value)
{
    char low[SHEAF_VALUE_SHOWN], high[SHEAF_VALUE_SHOWN];

    if (is_within(key, value))
        return true;
    show(key, key->min, low);
    show(key, key->max, high);
    sheaf_report_error(report, node->mark, "`%.*s` must be between %s and %s, not %.*s", SHEAF_STR_ARG(key->name), low,
                       high, SHEAF_VALUE_ARG(node->text));
    return false;
}
