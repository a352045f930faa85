/* config/late.c - see late.h. */
#include "config/late.h"

#include "config/value.h"

#define MAX_MS 3600000

/* "p99" or "p99.9" in thousandths; 0 for what is neither. */
static uint32_t per_mille_of(sheaf_str_t text)
{
    sheaf_str_t tenth = sheaf_str(text.base + 1, text.len - 1), whole = sheaf_str_cut(&tenth, '.');
    uint64_t percent, rest = 0;

    if (whole.len != 2 || !sheaf_str_to_u64(whole, &percent))
        return 0;
    if (tenth.base != NULL && (tenth.len != 1 || !sheaf_str_to_u64(tenth, &rest)))
        return 0;
    return percent < 50 ? 0 : (uint32_t)(percent * 10 + rest);
}

sheaf_err_t sheaf_late_read(sheaf_str_t text, sheaf_late_t *ret_late, sheaf_fail_t *fail)
{
    static const char wanted[] = "must be a percentile from p50 to p99.9 or a duration from 1ms to 1h";
    sheaf_late_t late = {0};
    sheaf_fail_t unit;

    if (text.len != 0 && text.base[0] == 'p')
        late.per_mille = per_mille_of(text);
    else if (sheaf_value_duration(text, &late.after_ms, &unit) != SHEAF_OK || late.after_ms > MAX_MS)
        late.after_ms = 0;
    if (late.per_mille == 0 && late.after_ms == 0)
        return sheaf_fail(fail, SHEAF_ERR_CONFIG, "`after` %s, not `%.*s`", wanted, SHEAF_VALUE_ARG(text));
    *ret_late = late;
    return SHEAF_OK;
}
