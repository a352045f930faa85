#include "gateway/base/exposition.h"

#include <stdarg.h>
#include <stdio.h>

void sheaf_exposition_print(sheaf_out_t *out, const char *format, ...)
{
    char *dst = sheaf_out_reserve(out, 1024);
    va_list args;
    int len;

    va_start(args, format);
    len = vsnprintf(dst, 1024, format, args);
    va_end(args);
    sheaf_out_commit(out, len < 1024 ? (size_t)len : 1023);
}

void sheaf_exposition_head(sheaf_out_t *out, const char *name, const char *help, const char *type)
{
    sheaf_exposition_print(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

void sheaf_exposition_value(sheaf_out_t *out, const char *name, const char *labels, int64_t value)
{
    sheaf_exposition_print(out, labels[0] != '\0' ? "%s{%s} %lld\n" : "%s%s %lld\n", name, labels, (long long)value);
}

static void print_end(sheaf_out_t *out, const char *name, const char *labels, uint64_t sum_us, uint64_t count)
{
    const char *open = labels[0] != '\0' ? "{" : "", *close = labels[0] != '\0' ? "}" : "";

    sheaf_exposition_print(out, "%s_sum%s%s%s %.6f\n%s_count%s%s%s %llu\n", name, open, labels, close,
                           (double)sum_us / 1e6, name, open, labels, close, (unsigned long long)count);
}

void sheaf_exposition_buckets(sheaf_out_t *out, const char *name, const char *labels,
                              const uint64_t buckets[SHEAF_HISTOGRAM_BUCKETS], uint64_t sum_us)
{
    const char *comma = labels[0] != '\0' ? "," : "";
    char bound[24];
    uint64_t count = 0;

    for (uint32_t i = 0; i < SHEAF_HISTOGRAM_BUCKETS; i++) {
        count += buckets[i];
        if (i < SHEAF_HISTOGRAM_BUCKETS - 1)
            snprintf(bound, sizeof(bound), "%.9g", (double)((uint64_t)64 << i) / 1e6);
        else
            snprintf(bound, sizeof(bound), "+Inf");
        sheaf_exposition_print(out, "%s_bucket{%s%sle=\"%s\"} %llu\n", name, labels, comma, bound,
                               (unsigned long long)count);
    }
    print_end(out, name, labels, sum_us, count);
}

bool sheaf_exposition_escape(sheaf_str_t text, char *dst, size_t size)
{
    size_t len = 0;

    for (size_t i = 0; i < text.len; i++) {
        char c = text.base[i];

        if (len + 3 > size)
            return false;
        if (c == '\\' || c == '"' || c == '\n')
            dst[len++] = '\\';
        dst[len++] = (char)(c == '\n' ? 'n' : c);
    }
    if (len >= size)
        return false;
    dst[len] = '\0';
    return true;
}
