/* config/range.h - whether a number lies where its key wants it.
 *
 * Values and bounds are uint64_t. Those of an INTEGER, which may be negative, are int64_t in the same bits. */
#ifndef SHEAF_CONFIG_RANGE_H
#define SHEAF_CONFIG_RANGE_H

#include "config/report.h"
#include "config/table.h"
#include "config/yaml.h"
#include "gateway/base/error.h"

/* -12 or 12, as the bits of an int64_t. */
sheaf_err_t sheaf_range_integer(sheaf_str_t text, uint64_t *ret_value, sheaf_fail_t *fail);

/* Is `value`, which `node` says, one that `key` takes? If not it is reported. */
bool sheaf_range_has(sheaf_report_t *report, const sheaf_key_t *key, const sheaf_yaml_t *node, uint64_t value);

#endif
