#include "plugins/api_key/api_key_table.h"

#include <stdlib.h>
#include <string.h>

#define ROUTES    "routes"
#define PAIRS_MAX (API_KEY_ATTRIBUTES_MAX + 1) /* with routes= */

typedef struct reader {
    api_key_table_t *table;
    const char *why; /* NULL: nothing is wrong */
    uint32_t room;
} reader_t;

static sheaf_p_str_t cut(sheaf_p_str_t *rest, char at)
{
    const char *end = memchr(rest->base, at, rest->len);
    sheaf_p_str_t part = sheaf_p_str(rest->base, end != NULL ? (size_t)(end - rest->base) : rest->len);
    size_t used = part.len + (end != NULL);

    *rest = sheaf_p_str(rest->base + used, rest->len - used);
    return part;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* The next word of a line; len 0: there is none. */
static sheaf_p_str_t word_of(sheaf_p_str_t *line)
{
    size_t from = 0, to;

    while (from < line->len && is_blank(line->base[from]))
        from++;
    for (to = from; to < line->len && !is_blank(line->base[to]);)
        to++;
    *line = sheaf_p_str(line->base + to, line->len - to);
    return sheaf_p_str(line->base - (to - from), to - from);
}

/* --- parts of a line --- */

static bool is_printable(sheaf_p_str_t text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.base[i] <= ' ' || text.base[i] == 0x7f)
            return false;
    return true;
}

static int digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool read_hash(sheaf_p_str_t text, uint8_t ret_hash[API_KEY_HASH_LEN])
{
    if (text.len != (size_t)2 * API_KEY_HASH_LEN)
        return false;
    for (size_t i = 0; i < API_KEY_HASH_LEN; i++) {
        int high = digit_of(text.base[2 * i]), low = digit_of(text.base[2 * i + 1]);

        if (high < 0 || low < 0)
            return false;
        ret_hash[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

/* Routes are templates as the configuration has them, or the beginning of some and a star. */
static bool are_routes(sheaf_p_str_t routes)
{
    do {
        sheaf_p_str_t route = cut(&routes, ',');
        const char *star = memchr(route.base, '*', route.len);

        if (route.len == 0 || route.base[0] != '/' || (star != NULL && star + 1 != route.base + route.len))
            return false;
    } while (routes.len > 0);
    return routes.base[-1] != ','; /* an empty one behind the last comma */
}

static bool is_name(sheaf_p_str_t name)
{
    static const char more[] = "-_.";

    for (size_t i = 0; i < name.len; i++) {
        char c = name.base[i];
        bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');

        if (!is_plain && memchr(more, c, sizeof(more) - 1) == NULL)
            return false;
    }
    return name.len > 0 && name.len <= API_KEY_NAME_MAX;
}

/* The number of an attribute's name in the table, added if it is new; API_KEY_ATTRIBUTES_MAX: no room. */
static uint32_t number_of(api_key_table_t *table, sheaf_p_str_t name)
{
    uint32_t i = 0;

    while (i < table->name_count &&
           (strlen(table->names[i]) != name.len || memcmp(table->names[i], name.base, name.len) != 0))
        i++;
    if (i == table->name_count && i < API_KEY_ATTRIBUTES_MAX) {
        memcpy(table->names[i], name.base, name.len);
        table->name_count++;
    }
    return i;
}

static const char *read_pair(api_key_table_t *table, sheaf_p_str_t pair, api_key_t *key,
                             api_key_attribute_t *attributes)
{
    sheaf_p_str_t value = pair, name;
    uint32_t number;

    if (memchr(pair.base, '=', pair.len) == NULL)
        return "behind the hash stand routes=... and ATTRIBUTE=VALUE";
    name = cut(&value, '=');
    if (name.len == sizeof(ROUTES) - 1 && memcmp(name.base, ROUTES, name.len) == 0) {
        if (key->routes.base != NULL || !are_routes(value))
            return "routes= stands once, with templates between commas, at whose end may be a *";
        key->routes = value;
        return NULL;
    }
    if (!is_name(name) || !is_printable(value))
        return "an attribute's name has letters, digits and -_. only, at most 64, its value no controls";
    number = number_of(table, name);
    if (number == API_KEY_ATTRIBUTES_MAX || key->attribute_count == API_KEY_ATTRIBUTES_MAX)
        return "there are at most 16 attributes";
    attributes[key->attribute_count++] = (api_key_attribute_t){.name = number, .value = value};
    return NULL;
}

static const char *read_pairs(api_key_table_t *table, sheaf_p_str_t rest, api_key_t *key)
{
    api_key_attribute_t attributes[API_KEY_ATTRIBUTES_MAX];
    sheaf_p_str_t pair = word_of(&rest);
    const char *why = NULL;

    for (; pair.len > 0 && why == NULL; pair = word_of(&rest))
        why = read_pair(table, pair, key, attributes);
    if (why != NULL || key->attribute_count == 0)
        return why;
    key->attributes = calloc(key->attribute_count, sizeof(*attributes));
    if (key->attributes == NULL)
        return "there is no memory for it";
    memcpy(key->attributes, attributes, key->attribute_count * sizeof(*attributes));
    return NULL;
}

/* --- lines --- */

static bool make_room(reader_t *reader)
{
    api_key_table_t *table = reader->table;
    uint32_t room = reader->room == 0 ? 16 : reader->room * 2;
    void *keys, *hashes;

    if (table->count < reader->room)
        return true;
    keys = realloc(table->keys, room * sizeof(*table->keys));
    if (keys != NULL)
        table->keys = keys;
    hashes = realloc(table->hashes, room * sizeof(*table->hashes));
    if (hashes != NULL)
        table->hashes = hashes;
    if (keys == NULL || hashes == NULL)
        return false;
    reader->room = room;
    return true;
}

static const char *read_line(reader_t *reader, sheaf_p_str_t line)
{
    api_key_table_t *table = reader->table;
    sheaf_p_str_t name = word_of(&line);
    const char *why;
    api_key_t *key;

    if (name.len == 0 || name.base[0] == '#')
        return NULL;
    if (table->count == API_KEY_KEYS_MAX)
        return "a file has at most 10000 keys";
    if (!make_room(reader))
        return "there is no memory for it";
    if (!is_printable(name) || !read_hash(word_of(&line), table->hashes[table->count]))
        return "a line is NAME and the SHA-256 of the key, 64 hex digits: printf %s KEY | sha256sum";
    if (api_key_table_find(table, table->hashes[table->count]) != NULL)
        return "this key stands further up already";
    key = &table->keys[table->count];
    *key = (api_key_t){.name = name};
    why = read_pairs(table, line, key);
    if (why == NULL)
        table->count++;
    return why;
}

const char *api_key_table_read(sheaf_p_str_t file, api_key_table_t **ret_table, uint32_t *ret_line)
{
    reader_t reader = {.table = calloc(1, sizeof(api_key_table_t))};
    const char *why = reader.table != NULL ? NULL : "there is no memory for it";
    uint32_t line = 0;

    while (why == NULL && file.len > 0) {
        line++;
        why = read_line(&reader, cut(&file, '\n'));
    }
    if (why == NULL && reader.table->count == 0)
        why = "it has no key";
    if (why == NULL) {
        *ret_table = reader.table;
        return NULL;
    }
    *ret_line = line > 0 ? line : 1;
    api_key_table_free(reader.table);
    return why;
}

void api_key_table_free(api_key_table_t *table)
{
    if (table == NULL)
        return;
    for (uint32_t i = 0; i < table->count; i++)
        free(table->keys[i].attributes);
    free(table->keys);
    free(table->hashes);
    free(table);
}

/* --- asking --- */

/* 1 if all bytes are the same, without a branch that depends on them. */
static uint32_t is_same(const uint8_t a[API_KEY_HASH_LEN], const uint8_t b[API_KEY_HASH_LEN])
{
    uint64_t left[4], right[4], differs = 0;

    memcpy(left, a, sizeof(left));
    memcpy(right, b, sizeof(right));
    for (int i = 0; i < 4; i++)
        differs |= left[i] ^ right[i];
    return (uint32_t)(((differs | (0 - differs)) >> 63) ^ 1);
}

const api_key_t *api_key_table_find(const api_key_table_t *table, const uint8_t hash[API_KEY_HASH_LEN])
{
    uint32_t found = 0; /* from 1; 0: none */

    for (uint32_t i = 0; i < table->count; i++)
        found |= (i + 1) & (0 - is_same(table->hashes[i], hash)); /* a hash stands once */
    return found != 0 ? &table->keys[found - 1] : NULL;
}

bool api_key_may(const api_key_t *key, sheaf_p_str_t route)
{
    sheaf_p_str_t routes = key->routes;

    if (routes.base == NULL)
        return true;
    while (routes.len > 0) {
        sheaf_p_str_t one = cut(&routes, ',');
        bool is_beginning = one.base[one.len - 1] == '*';
        size_t len = is_beginning ? one.len - 1 : one.len;

        if ((is_beginning ? route.len >= len : route.len == len) && memcmp(route.base, one.base, len) == 0)
            return true;
    }
    return false;
}
