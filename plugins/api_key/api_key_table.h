/* api_key/api_key_table.h - the keys of one file, read and looked up.
 *
 *   # comment
 *   NAME SHA256HEX [routes=TEMPLATE,BEGINNING*...] [ATTRIBUTE=VALUE]...
 *
 * Names, attributes and their values are words without spaces; a name may stand on several lines, so that a key can be changed
 * while the old one is still in use; a hash stands on one. Keys themselves are nowhere: what is compared is their SHA-256, which for
 * a key of 128 random bits or more is as good as a slow hash. */
#ifndef SHEAF_API_KEY_TABLE_H
#define SHEAF_API_KEY_TABLE_H

#include <stdbool.h>

#include "plugins/sheaf_plugin.h"

#define API_KEY_KEYS_MAX       10000
#define API_KEY_ATTRIBUTES_MAX 16 /* of one line, and different names in one file */
#define API_KEY_NAME_MAX       64 /* bytes of an attribute's name */
#define API_KEY_HASH_LEN       32

typedef struct api_key_attribute {
    uint32_t name; /* which of the table's `names` */
    sheaf_p_str_t value;
} api_key_attribute_t;

typedef struct api_key {
    sheaf_p_str_t name, routes; /* routes base NULL: all */
    uint32_t attribute_count;
    api_key_attribute_t *attributes;
} api_key_t;

typedef struct api_key_table {
    uint32_t count, name_count;
    uint8_t (*hashes)[API_KEY_HASH_LEN]; /* beside the keys, so that looking at all of them reads little */
    api_key_t *keys;
    char names[API_KEY_ATTRIBUTES_MAX][API_KEY_NAME_MAX + 1];
} api_key_table_t;

/* Texts of the table are borrowed of `file`.
 *
 * returns  NULL, and the caller frees the table; or what is wrong and `ret_line`, from 1 */
const char *api_key_table_read(sheaf_p_str_t file, api_key_table_t **ret_table, uint32_t *ret_line);

/* The key with that hash, or NULL. Looks at all of them, in the same time wherever it stands. */
const api_key_t *api_key_table_find(const api_key_table_t *table, const uint8_t hash[API_KEY_HASH_LEN]);

/* Whether the key is good for a route's template: it is one of its routes, or begins with one that ends in '*'. */
bool api_key_may(const api_key_t *key, sheaf_p_str_t route);

void api_key_table_free(api_key_table_t *table);

#endif
