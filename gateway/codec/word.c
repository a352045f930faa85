#include "gateway/codec/word.h"

bool sheaf_word_duration(sheaf_str_t text, uint64_t *ret_ms)
{
    static const struct {
        sheaf_str_t unit;
        uint64_t ms;
    } units[] = {{{"ms", 2}, 1}, {{"s", 1}, 1000}, {{"m", 1}, 60000}};
    uint64_t count;

    for (size_t i = 0; i < SHEAF_COUNT(units); i++) {
        if (!sheaf_str_ends(text, units[i].unit))
            continue;
        text.len -= units[i].unit.len;
        if (!sheaf_str_to_u64(text, &count) || count > UINT64_MAX / 60000)
            return false;
        *ret_ms = count * units[i].ms;
        return true;
    }
    return false;
}

bool sheaf_word_status(sheaf_str_t text, uint16_t *ret_status)
{
    uint64_t status;

    if (text.len == 3 && text.base[0] >= '1' && text.base[0] <= '5' && memcmp(text.base + 1, "xx", 2) == 0) {
        *ret_status = (uint16_t)(text.base[0] - '0');
        return true;
    }
    if (!sheaf_str_to_u64(text, &status) || status < 100 || status > 599)
        return false;
    *ret_status = (uint16_t)status;
    return true;
}
