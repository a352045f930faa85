/* base/exposition.h - the text that Prometheus reads, format 0.0.4: a family is its head and then its lines.
 *
 * Names, labels and help are those of .def files and need no escapes; a value that came from outside is escaped first. */
#ifndef SHEAF_BASE_EXPOSITION_H
#define SHEAF_BASE_EXPOSITION_H

#include "gateway/base/metrics.h"
#include "gateway/base/out.h"

/* Formatted; a line is under 1 KiB. */
void sheaf_exposition_print(sheaf_out_t *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* type: counter, gauge or histogram. */
void sheaf_exposition_head(sheaf_out_t *out, const char *name, const char *help, const char *type);

/* `labels` may be empty. */
void sheaf_exposition_value(sheaf_out_t *out, const char *name, const char *labels, int64_t value);

/* The lines of a histogram with these labels, which may be empty. Buckets hold each its own, as they are counted. */
void sheaf_exposition_buckets(sheaf_out_t *out, const char *name, const char *labels,
                              const uint64_t buckets[SHEAF_HISTOGRAM_BUCKETS], uint64_t sum_us);

/* Writes `text` as it stands between the quotes of a label's value, and a NUL. False: `size` is too small for it. */
bool sheaf_exposition_escape(sheaf_str_t text, char *dst, size_t size);

#endif
