/* cache/cache_text.h - what the rooms of the cache read texts with. */
#ifndef CACHE_TEXT_H
#define CACHE_TEXT_H

#include "plugins/sheaf_plugin.h"

/* Seconds never count further (RFC 9111 1.2.2). */
#define CACHE_SECONDS_MAX ((int64_t)2147483648)

/* In any case. */
int cache_text_is(sheaf_p_str_t text, const char *word);
int cache_text_is_one_of(sheaf_p_str_t text, const char *const *words); /* ends with NULL */
int cache_text_eq(sheaf_p_str_t a, sheaf_p_str_t b);                    /* byte by byte */

/* The same field to a backend that makes variables of names: in any case, and with '_' for '-'. */
int cache_text_is_alike(sheaf_p_str_t name, const char *other);
int cache_text_is_alike_one_of(sheaf_p_str_t name, const char *const *others); /* ends with NULL */

/* Without spaces and tabs at both ends. */
sheaf_p_str_t cache_text_trim(sheaf_p_str_t text);

/* The next element of a list whose elements are parted by commas (RFC 9110 5.6.1), trimmed, and takes it from `rest`; commas in
 * quoted strings part nothing. Empty elements are left out. 0: there is none left. */
int cache_text_element(sheaf_p_str_t *rest, sheaf_p_str_t *ret_element);

int cache_text_is_token(sheaf_p_str_t text);
char cache_text_lower(char c);

/* Digits alone, at most CACHE_SECONDS_MAX; -1: that is no number. */
int64_t cache_text_seconds(sheaf_p_str_t text);

#endif
