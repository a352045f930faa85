/* Any bytes as a file of keys: bounded, every key is found by its hash and by no other, routes are kept to. */
#include <stdlib.h>
#include <string.h>

#include "plugins/api_key/api_key_table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool claim)
{
    if (!claim)
        abort();
}

static void check_key(const api_key_table_t *table, uint32_t index)
{
    const api_key_t *key = &table->keys[index];
    uint8_t hash[API_KEY_HASH_LEN];

    require(key->name.len > 0 && key->attribute_count <= API_KEY_ATTRIBUTES_MAX);
    for (uint32_t i = 0; i < key->attribute_count; i++)
        require(key->attributes[i].name < table->name_count);
    require(api_key_table_find(table, table->hashes[index]) == key);
    memcpy(hash, table->hashes[index], sizeof(hash));
    hash[31] ^= 1;
    require(api_key_table_find(table, hash) != key);
    require(key->routes.base != NULL || api_key_may(key, sheaf_p_str("/x", 2)));
    require(key->routes.base == NULL || !api_key_may(key, sheaf_p_str("", 0)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    api_key_table_t *table = NULL;
    uint32_t line = 0;
    const char *why = api_key_table_read(sheaf_p_str((const char *)data, size), &table, &line);

    require((why == NULL) == (table != NULL));
    if (why != NULL) {
        require(line > 0);
        return 0;
    }
    require(table->count > 0 && table->count <= API_KEY_KEYS_MAX && table->name_count <= API_KEY_ATTRIBUTES_MAX);
    for (uint32_t i = 0; i < table->count && i < 64; i++)
        check_key(table, i);
    api_key_table_free(table);
    return 0;
}
