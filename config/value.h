/* config/value.h - the text of one value, read as what its key wants.
 *
 * Each reader takes the whole of `text` or fails with SHEAF_ERR_CONFIG and a sentence that says what would do. Strings
 * in results land in `pool`. */
#ifndef SHEAF_CONFIG_VALUE_H
#define SHEAF_CONFIG_VALUE_H

#include "config/snapshot.h"

/* 250ms 2s 1m 1h, to milliseconds. */
sheaf_err_t sheaf_value_duration(sheaf_str_t text, uint64_t *ret_ms, sheaf_fail_t *fail);
/* 512 512B 64KiB 8MiB 1GiB, to bytes. */
sheaf_err_t sheaf_value_size(sheaf_str_t text, uint64_t *ret_bytes, sheaf_fail_t *fail);
/* 20% */
sheaf_err_t sheaf_value_percent(sheaf_str_t text, uint64_t *ret_percent, sheaf_fail_t *fail);
sheaf_err_t sheaf_value_number(sheaf_str_t text, uint64_t *ret_value, sheaf_fail_t *fail);
sheaf_err_t sheaf_value_bool(sheaf_str_t text, bool *ret_value, sheaf_fail_t *fail);
/* A number, or auto: the cores this process may run on, at most `max`. */
sheaf_err_t sheaf_value_workers(sheaf_str_t text, uint64_t max, uint64_t *ret_count, sheaf_fail_t *fail);
/* The nine permission bits in octal, 660 or 0660; 0 is none. */
sheaf_err_t sheaf_value_mode(sheaf_str_t text, uint32_t *ret_mode, sheaf_fail_t *fail);
/* An absolute path, normalised (RFC 3986 6.2.2); no query, no encoded slash. */
sheaf_err_t sheaf_value_path(sheaf_pool_t *pool, sheaf_str_t text, sheaf_str_t *ret_path, sheaf_fail_t *fail);
/* The same, with segments that are {name}. */
sheaf_err_t sheaf_value_template(sheaf_pool_t *pool, sheaf_str_t text, sheaf_str_t *ret_path, sheaf_fail_t *fail);
/* 127.0.0.1:8080, [::1]:8080, :8080, unix:/path. */
sheaf_err_t sheaf_value_address(sheaf_pool_t *pool, sheaf_str_t text, sheaf_address_t *ret_address, sheaf_fail_t *fail);
/* 10.0.0.0/8, 10.1.2.3, fd00::/8. Bits beyond the prefix are cleared; `*ret_had_host_bits` tells that some were. */
sheaf_err_t sheaf_value_cidr(sheaf_str_t text, sheaf_cidr_t *ret_cidr, bool *ret_had_host_bits, sheaf_fail_t *fail);
/* A host name, or an address without brackets. */
sheaf_err_t sheaf_value_host(sheaf_str_t text, sheaf_fail_t *fail);
/* http://host:port or https://host:port, port 80 or 443 when there is none; unix:/path, http://unix:/path. */
sheaf_err_t sheaf_value_server(sheaf_pool_t *pool, sheaf_str_t text, sheaf_server_url_t *ret_server,
                               sheaf_fail_t *fail);
/* path, id, header NAME. */
sheaf_err_t sheaf_value_hash(sheaf_pool_t *pool, sheaf_str_t text, sheaf_hash_by_t *ret_hash, sheaf_fail_t *fail);
/* A method name, upper-cased; CONNECT and TRACE are never forwarded and so refused. */
sheaf_err_t sheaf_value_method(sheaf_pool_t *pool, sheaf_str_t text, sheaf_str_t *ret_method, sheaf_fail_t *fail);

/* How a person writes `value`: 90000 is 90s, 1048576 is 1MiB. Returns `buffer`. */
#define SHEAF_VALUE_SHOWN 32
const char *sheaf_value_show_duration(uint64_t ms, char buffer[SHEAF_VALUE_SHOWN]);
const char *sheaf_value_show_size(uint64_t bytes, char buffer[SHEAF_VALUE_SHOWN]);

/* For "%.*s" of text from the file: cut to 64 bytes, so that a sentence stays one. */
#define SHEAF_VALUE_ARG(s) (int)((s).len < 64 ? (s).len : 64), (s).base

#endif
