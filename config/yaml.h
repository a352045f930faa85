/* config/yaml.h - a YAML text as a tree in which everything knows its place.
 *
 * libfyaml reads, this room keeps: mappings, sequences and scalars with line and column, `${env...}` replaced in
 * values. Refused, with the place: aliases, anchors and tags (a configuration needs none, and aliases can blow up),
 * keys that are no scalars, keys that stand twice in one mapping, a second document, control characters, text that is
 * not UTF-8, more than SHEAF_YAML_MAX_DEPTH levels and more than SHEAF_YAML_MAX_BYTES. */
#ifndef SHEAF_CONFIG_YAML_H
#define SHEAF_CONFIG_YAML_H

#include "config/report.h"

#define SHEAF_YAML_MAX_BYTES (8u << 20)
#define SHEAF_YAML_MAX_DEPTH 32

typedef enum sheaf_yaml_kind {
    SHEAF_YAML_NULL, /* nothing, `null` or `~`, unquoted */
    SHEAF_YAML_SCALAR,
    SHEAF_YAML_SEQUENCE,
    SHEAF_YAML_MAPPING,
} sheaf_yaml_kind_t;

typedef struct sheaf_yaml sheaf_yaml_t;
struct sheaf_yaml {
    sheaf_yaml_kind_t kind;
    sheaf_mark_t mark;
    sheaf_str_t text; /* of a scalar, and of a null as written */
    sheaf_str_t name; /* its key, when it is the value of a mapping's key; absent elsewhere */
    sheaf_mark_t name_mark;
    bool is_plain;              /* a scalar without quotes */
    bool is_bad;                /* its value could not be made; told already, not to be read */
    sheaf_yaml_t *first, *next; /* children in the order of the text */
    uint32_t count;
};

/* Reads report->text; the tree lives in `pool`. NULL when the text cannot be read to its end; findings are in `report`.
 * What is wrong with one value or key only (also in `report`) leaves a tree, so that the rest can be checked. A text
 * without content is an empty mapping. `*hash` is fed with every value that ${env...} gave. */
sheaf_yaml_t *sheaf_yaml_read(sheaf_pool_t *pool, sheaf_report_t *report, uint64_t *hash);

/* The value of `name` in a mapping, or NULL; NULL also when `node` is no mapping. */
const sheaf_yaml_t *sheaf_yaml_get(const sheaf_yaml_t *node, sheaf_str_t name);

/* FNV-1a. */
#define SHEAF_HASH_START UINT64_C(0xcbf29ce484222325)
uint64_t sheaf_hash(uint64_t hash, sheaf_str_t bytes);

#endif
