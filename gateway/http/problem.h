/* http/problem.h - problem details (RFC 9457): what an error looks like on the wire. */
#ifndef SHEAF_HTTP_PROBLEM_H
#define SHEAF_HTTP_PROBLEM_H

#include "gateway/base/error.h"
#include "gateway/base/out.h"

#define SHEAF_PROBLEM_MEDIA "application/problem+json"

/* Room that any problem document fits in, every byte of detail and pointer escaped as \u00XX. */
#define SHEAF_PROBLEM_MAX 4096

/* Writes {"type":"urn:sheaf:problem:slug","title":...,"status":N,"detail":...,"item":...,"pointer":...,"line":N,"column":N} to
 * `dst` (SHEAF_PROBLEM_MAX bytes), leaving out what `fail` does not know; strings are escaped, bytes that are not UTF-8
 * replaced by U+FFFD. Returns its length. */
size_t sheaf_problem_write(const sheaf_fail_t *fail, char *dst);

/* The same for an error that is none of ours: {"type":"urn:sheaf:problem:SLUG","title":reason of status,"status":N,"detail":...}.
 * What is longer than fits is cut. */
size_t sheaf_problem_write_own(uint32_t status, const char *slug, const char *detail, char *dst);

/* How clients of another gateway look for an error. */
typedef struct sheaf_problem_form {
    const char *media;
    const char *sentence; /* the member that holds the detail, or the title when there is none */
    const char *status;   /* what "status" says; NULL: the number */
} sheaf_problem_form_t;

/* RFC 9457's own: "detail", left out when there is none. */
extern const sheaf_problem_form_t sheaf_problem_plain;

/* The same document in that form. */
size_t sheaf_problem_write_as(const sheaf_problem_form_t *form, const sheaf_fail_t *fail, char *dst);

#endif
