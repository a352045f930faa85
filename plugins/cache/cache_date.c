#include "plugins/cache/cache_date.h"

#include <string.h>

/* What a form looks like: each letter takes characters, all else stands for itself. Y year, M month's name, D day (may begin
 * with a space), h m s, w any letter of the weekday. */
static const char imf[] = "www, DD MMM YYYY hh:mm:ss GMT";
static const char asctime_form[] = "www MMM DD hh:mm:ss YYYY";
static const char rfc850_tail[] = ", DD-MMM-yy hh:mm:ss GMT";

typedef struct parts {
    int year, month, day, hour, minute, second;
} parts_t;

static int take_digit(int *number, char c)
{
    if (c < '0' || c > '9')
        return -1;
    *number = *number * 10 + (c - '0');
    return 0;
}

static int take_month(const char *text, int *ret_month)
{
    static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

    for (int i = 0; i < 12; i++)
        if (memcmp(names + i * 3, text, 3) == 0) {
            *ret_month = i + 1;
            return 0;
        }
    return -1;
}

static int take_char(parts_t *parts, char form, char c)
{
    switch (form) {
    case 'Y':
    case 'y':
        return take_digit(&parts->year, c);
    case 'D':
        return c == ' ' && parts->day == 0 ? 0 : take_digit(&parts->day, c);
    case 'h':
        return take_digit(&parts->hour, c);
    case 'm':
        return take_digit(&parts->minute, c);
    case 's':
        return take_digit(&parts->second, c);
    case 'w':
        return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ? 0 : -1;
    default:
        return c == form ? 0 : -1;
    }
}

static int read_form(sheaf_p_str_t text, const char *form, parts_t *parts)
{
    if (text.len != strlen(form))
        return 0;
    memset(parts, 0, sizeof(*parts));
    for (size_t i = 0; i < text.len; i++) {
        if (strncmp(form + i, "MMM", 3) == 0) {
            if (take_month(text.base + i, &parts->month) != 0)
                return 0;
            i += 2;
        } else if (take_char(parts, form[i], text.base[i]) != 0)
            return 0;
    }
    return 1;
}

static int is_leap(int year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int is_possible(const parts_t *parts)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int last = days[parts->month - 1] + (parts->month == 2 && is_leap(parts->year));

    return parts->day >= 1 && parts->day <= last && parts->hour < 24 && parts->minute < 60 && parts->second <= 60;
}

static int64_t days_until(int year)
{
    int64_t before = year - 1;

    return before * 365 + before / 4 - before / 100 + before / 400;
}

static int64_t seconds_of(const parts_t *parts)
{
    static const int until[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    int64_t days = days_until(parts->year) - days_until(1970) + until[parts->month - 1] + parts->day - 1;

    if (parts->month > 2 && is_leap(parts->year))
        days++;
    return days * 86400 + parts->hour * 3600 + parts->minute * 60 + parts->second;
}

/* RFC 9110 5.6.7: more than 50 years in the future means the past with the same digits. */
static void guess_century(parts_t *parts, int64_t now_s)
{
    int this_year = (int)(1970 + now_s / 31556952);

    parts->year += this_year / 100 * 100;
    if (parts->year > this_year + 50)
        parts->year -= 100;
}

int cache_date_read(sheaf_p_str_t text, int64_t now_s, int64_t *ret_s)
{
    const char *comma = text.len > 0 ? memchr(text.base, ',', text.len) : NULL;
    size_t at = comma == NULL ? 0 : (size_t)(comma - text.base);
    parts_t parts;
    int is_read = read_form(text, imf, &parts) || read_form(text, asctime_form, &parts);

    if (!is_read && comma != NULL && at >= 6 && at <= 9 &&
        read_form(sheaf_p_str(comma, text.len - at), rfc850_tail, &parts)) {
        guess_century(&parts, now_s);
        is_read = 1;
    }
    if (!is_read || parts.year < 1 || !is_possible(&parts))
        return 0;
    *ret_s = seconds_of(&parts);
    return 1;
}
