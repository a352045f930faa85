#include "config/report.h"

#include "gateway/base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define LINE_SHOWN 160 /* bytes of a source line that are shown around the caret */

struct sheaf_finding {
    sheaf_mark_t mark;
    uint32_t order; /* keeps the sort stable */
    bool is_error;
    sheaf_str_t sentence;
};

static bool is_continuation(char c)
{
    return ((unsigned char)c & 0xC0) == 0x80;
}

/* A line ends at LF, CR LF or a lone CR (YAML 1.2 5.4). */
static bool ends_line(sheaf_str_t text, size_t at)
{
    return text.base[at] == '\n' || (text.base[at] == '\r' && (at + 1 == text.len || text.base[at + 1] != '\n'));
}

void sheaf_report_init(sheaf_report_t *report, sheaf_pool_t *pool, const char *path, sheaf_str_t text)
{
    uint32_t lines = 1;

    for (size_t i = 0; i < text.len; i++)
        lines += ends_line(text, i);
    *report = (sheaf_report_t){.pool = pool, .path = path, .text = text, .line_count = lines};
    report->line_starts = sheaf_pool_alloc(pool, lines * sizeof(uint32_t));
    report->line_starts[0] = 0;
    for (size_t i = 0, line = 1; i < text.len; i++)
        if (ends_line(text, i))
            report->line_starts[line++] = (uint32_t)(i + 1);
}

sheaf_mark_t sheaf_report_mark(const sheaf_report_t *report, size_t offset)
{
    uint32_t low = 0, high = report->line_count;
    sheaf_mark_t mark;

    if (offset > report->text.len)
        offset = report->text.len;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;

        if (report->line_starts[middle] <= offset)
            low = middle;
        else
            high = middle;
    }
    mark = (sheaf_mark_t){low + 1, 1};
    for (size_t i = report->line_starts[low]; i < offset; i++)
        mark.column += !is_continuation(report->text.base[i]);
    return mark;
}

/* The line without its end. */
static sheaf_str_t line_of(const sheaf_report_t *report, uint32_t line)
{
    size_t start = report->line_starts[line - 1];
    size_t end = line < report->line_count ? report->line_starts[line] : report->text.len;

    while (end > start && (report->text.base[end - 1] == '\n' || report->text.base[end - 1] == '\r'))
        end--;
    return sheaf_str(report->text.len > 0 ? report->text.base + start : "", end - start);
}

static size_t column_offset(sheaf_str_t line, uint32_t column)
{
    size_t at = 0;

    for (; column > 1 && at < line.len; column--) {
        at++;
        while (at < line.len && is_continuation(line.base[at]))
            at++;
    }
    return at;
}

size_t sheaf_report_offset(const sheaf_report_t *report, sheaf_mark_t mark)
{
    if (mark.line == 0 || mark.line > report->line_count)
        return report->text.len;
    return report->line_starts[mark.line - 1] + column_offset(line_of(report, mark.line), mark.column);
}

bool sheaf_report_is_full(const sheaf_report_t *report)
{
    return report->count == SHEAF_REPORT_MAX;
}

/* Sentences quote what the file says: no control character of it may reach the terminal. */
static sheaf_str_t tamed(sheaf_pool_t *pool, char *sentence)
{
    sheaf_str_t s = sheaf_str_of(sentence);
    size_t valid = sheaf_utf8_valid_prefix(s);

    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)sentence[i] < 0x20 || sentence[i] == 0x7F || i >= valid)
            sentence[i] = '?';
    return sheaf_pool_dup(pool, s);
}

static void add(sheaf_report_t *report, sheaf_mark_t mark, bool is_error, const char *format, va_list args)
{
    char sentence[512];

    report->errors += is_error;
    if (sheaf_report_is_full(report)) {
        report->left_out++;
        return;
    }
    if (report->count == report->room) {
        uint32_t room = report->room == 0 ? 16 : report->room * 2;
        sheaf_finding_t *grown = sheaf_pool_alloc(report->pool, room * sizeof(*grown));

        if (report->count > 0)
            memcpy(grown, report->findings, report->count * sizeof(*grown));
        report->findings = grown;
        report->room = room;
    }
    vsnprintf(sentence, sizeof(sentence), format, args);
    report->findings[report->count] = (sheaf_finding_t){mark, report->count, is_error, tamed(report->pool, sentence)};
    report->count++;
}

void sheaf_report_error(sheaf_report_t *report, sheaf_mark_t mark, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    add(report, mark, true, format, args);
    va_end(args);
}

void sheaf_report_warning(sheaf_report_t *report, sheaf_mark_t mark, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    add(report, mark, false, format, args);
    va_end(args);
}

static int by_place(const void *a, const void *b)
{
    const sheaf_finding_t *x = a, *y = b;

    if (x->mark.line != y->mark.line)
        return x->mark.line < y->mark.line ? -1 : 1;
    if (x->mark.column != y->mark.column)
        return x->mark.column < y->mark.column ? -1 : 1;
    return x->order < y->order ? -1 : 1;
}

static void put_source_bytes(FILE *out, sheaf_str_t bytes)
{
    for (size_t i = 0; i < bytes.len;) {
        size_t valid = sheaf_utf8_valid_prefix(sheaf_str(bytes.base + i, bytes.len - i));

        for (size_t end = i + valid; i < end; i++)
            fputc(((unsigned char)bytes.base[i] < 0x20 && bytes.base[i] != '\t') || bytes.base[i] == 0x7F
                      ? '?'
                      : bytes.base[i],
                  out);
        if (i < bytes.len) {
            fputc('?', out);
            i++;
        }
    }
}

/* The line and a caret under the place; tabs are kept before the caret so that it stands right at any tab width. */
static void put_source(FILE *out, sheaf_str_t line, sheaf_mark_t mark)
{
    size_t caret = column_offset(line, mark.column);
    size_t start = caret > LINE_SHOWN / 2 && line.len > LINE_SHOWN ? caret - LINE_SHOWN / 2 : 0;
    size_t end = line.len - start > LINE_SHOWN ? start + LINE_SHOWN : line.len;

    while (start < caret && is_continuation(line.base[start]))
        start++;
    while (end < line.len && end > caret && is_continuation(line.base[end]))
        end--;
    put_source_bytes(out, sheaf_str(line.base + start, end - start));
    fputc('\n', out);
    for (size_t i = start; i < caret; i++)
        if (!is_continuation(line.base[i]))
            fputc(line.base[i] == '\t' ? '\t' : ' ', out);
    fputs("^\n", out);
}

static void put_finding(const sheaf_report_t *report, FILE *out, const sheaf_finding_t *finding)
{
    const char *weight = finding->is_error ? "error" : "warning";

    if (finding->mark.line == 0) {
        fprintf(out, "%s: %s: %.*s\n", report->path, weight, SHEAF_STR_ARG(finding->sentence));
        return;
    }
    fprintf(out, "%s:%u:%u: %s: %.*s\n", report->path, finding->mark.line, finding->mark.column, weight,
            SHEAF_STR_ARG(finding->sentence));
    put_source(out, line_of(report, finding->mark.line), finding->mark);
}

char *sheaf_report_take(sheaf_report_t *report)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    SHEAF_ASSERT(out != NULL);
    if (report->count > 0)
        qsort(report->findings, report->count, sizeof(*report->findings), by_place);
    for (uint32_t i = 0; i < report->count; i++)
        put_finding(report, out, &report->findings[i]);
    if (report->left_out > 0)
        fprintf(out, "%s: %u more are not shown\n", report->path, report->left_out);
    fclose(out);
    SHEAF_ASSERT(text != NULL);
    return text;
}
