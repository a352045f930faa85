#include "tests/plugins/host_inside.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t key_count(const sheaf_p_key_t *keys)
{
    size_t count = 0;

    while (keys != NULL && keys[count].name != NULL)
        count++;
    return count;
}

/* Values are small and die with the host. */
static sheaf_p_str_t keep(const char *base, size_t len)
{
    return sheaf_p_str(host_copy(base, len), len);
}

/* --- texts to values --- */

int host_network(const char *text, uint8_t ret_address[16], uint32_t *ret_bits)
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    const char *slash = strchr(text, '/');
    char address[64];

    snprintf(address, sizeof(address), "%.*s", (int)(slash == NULL ? strlen(text) : (size_t)(slash - text)), text);
    *ret_bits = slash == NULL ? 128 : (uint32_t)atoi(slash + 1);
    if (inet_pton(AF_INET6, address, ret_address) == 1)
        return 1;
    memcpy(ret_address, mapped, 12);
    if (slash != NULL)
        *ret_bits += 96;
    return inet_pton(AF_INET, address, ret_address + 12) == 1;
}

static int64_t with_unit(const char *text, const char *key)
{
    static const struct {
        const char *unit;
        int64_t factor;
    } units[] = {{"", 1},
                 {"ms", 1},
                 {"s", 1000},
                 {"m", 60000},
                 {"h", 3600000},
                 {"B", 1},
                 {"KiB", 1024},
                 {"MiB", 1024 * 1024},
                 {"GiB", 1024 * 1024 * 1024}};
    char *end;
    int64_t number = strtoll(text, &end, 10);

    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
        if (strcmp(end, units[i].unit) == 0)
            return number * units[i].factor;
    host_wrong("no number", key);
}

static void set_number(const sheaf_p_key_t *key, sheaf_p_value_t *value, const char *text)
{
    value->number = with_unit(text, key->name);
    if (value->number < key->min || ((key->min != 0 || key->max != 0) && value->number > key->max))
        host_wrong("out of range", key->name);
}

static void set_word(const sheaf_p_key_t *key, sheaf_p_value_t *value, const char *text)
{
    const char *word = key->words;

    for (value->number = 0; word != NULL; value->number++) {
        size_t len = strcspn(word, "|");

        if (len == strlen(text) && strncmp(word, text, len) == 0) {
            value->text = keep(text, len);
            return;
        }
        word = word[len] == '|' ? word + len + 1 : NULL;
    }
    host_wrong("none of its words", key->name);
}

static void append(sheaf_p_value_t *value, const char *base, size_t len)
{
    sheaf_p_str_t *texts = realloc((void *)value->texts, (value->count + 1) * sizeof(*texts));

    if (texts == NULL)
        host_wrong("no memory", NULL);
    texts[value->count++] = keep(base, len);
    value->texts = texts;
}

/* "a, b" or, as presets are written, "[a, b]" */
static void set_texts(sheaf_p_value_t *value, const char *text)
{
    const char *last = text + strlen(text);

    if (*text == '[' && last[-1] == ']') {
        text++;
        last--;
    }
    while (text < last) {
        const char *end = strstr(text, ", ");
        size_t len = end == NULL ? (size_t)(last - text) : (size_t)(end - text);

        append(value, text, len);
        text += len + (end == NULL ? 0 : 2);
    }
}

static void set_networks(const sheaf_p_key_t *key, sheaf_p_value_t *value, const char *text)
{
    sheaf_p_value_t list = {0};
    sheaf_p_network_t *networks;

    set_texts(&list, text);
    networks = host_alloc((list.count + 1) * sizeof(*networks));
    for (uint32_t i = 0; i < list.count; i++) {
        if (!host_network(list.texts[i].base, networks[i].address, &networks[i].bits))
            host_wrong("no network", key->name);
        free((char *)list.texts[i].base);
    }
    free((void *)list.texts);
    value->networks = networks;
    value->count = list.count;
}

static void set_fields(const sheaf_p_key_t *key, sheaf_p_value_t *value, const char *text)
{
    while (*text != '\0') {
        size_t line = strcspn(text, "\n"), name = strcspn(text, ":"), from = name + 1;

        if (name >= line)
            host_wrong("no field", key->name);
        from += strspn(text + from, " ");
        append(value, text, name);
        append(value, text + from, line - from);
        text += line + (text[line] == '\n');
    }
}

static void value_free(const sheaf_p_key_t *key, sheaf_p_value_t *value);

static void set_value(const sheaf_p_key_t *key, sheaf_p_value_t *value, const char *text)
{
    value_free(key, value);
    value->is_set = 1;
    switch ((sheaf_p_type_t)key->type) {
    case SHEAF_P_BOOL:
        value->number = strcmp(text, "true") == 0;
        break;
    case SHEAF_P_NUMBER:
    case SHEAF_P_DURATION:
    case SHEAF_P_SIZE:
        set_number(key, value, text);
        break;
    case SHEAF_P_WORD:
        set_word(key, value, text);
        break;
    case SHEAF_P_TEXTS:
        set_texts(value, text);
        break;
    case SHEAF_P_NETWORKS:
        set_networks(key, value, text);
        break;
    case SHEAF_P_FIELDS:
        set_fields(key, value, text);
        break;
    case SHEAF_P_LIST:
    case SHEAF_P_SECTION:
        host_wrong("a section is set by its keys", key->name);
    default:
        value->number = 1; /* which upstream */
        value->path = keep("/test/file", 10);
        value->text = keep(text, strlen(text));
    }
}

/* --- keys by their ways --- */

static sheaf_p_value_t *section(const sheaf_p_key_t *key, sheaf_p_value_t *value, size_t index)
{
    size_t count = key_count(key->keys);

    if (index > value->count)
        host_wrong("sections are set in their order", key->name);
    if (index == value->count) {
        sheaf_p_value_t **sections = realloc((void *)value->sections, (index + 1) * sizeof(*sections));

        if (sections == NULL)
            host_wrong("no memory", NULL);
        sections[index] = host_alloc((count + 1) * sizeof(**sections));
        for (size_t i = 0; i < count; i++)
            if (key->keys[i].preset != NULL)
                set_value(&key->keys[i], &sections[index][i], key->keys[i].preset);
        value->sections = (const sheaf_p_value_t *const *)sections;
        value->count++;
        value->is_set = 1;
    }
    return (sheaf_p_value_t *)value->sections[index];
}

static void set_at(const sheaf_p_key_t *keys, sheaf_p_value_t *values, const char *way, const char *text)
{
    size_t len = strcspn(way, ".["), index = 0;

    for (size_t i = 0; keys[i].name != NULL; i++) {
        if (strlen(keys[i].name) != len || strncmp(keys[i].name, way, len) != 0)
            continue;
        if (way[len] == '\0') {
            set_value(&keys[i], &values[i], text);
            return;
        }
        if (way[len] == '[') {
            index = (size_t)atoi(way + len + 1);
            len = strcspn(way, ".");
        }
        set_at(keys[i].keys, section(&keys[i], &values[i], index), way + len + (way[len] == '.'), text);
        return;
    }
    host_wrong("no such key", way);
}

void host_set(host_t *host, const char *key, const char *text)
{
    set_at(host->plugin->keys, host->values, key, text);
}

/* Presets of what was not set; then what is required and is not there. */
static const char *missing_of(const sheaf_p_key_t *keys, sheaf_p_value_t *values)
{
    for (size_t i = 0; i < key_count(keys); i++) {
        if (!values[i].is_set && keys[i].preset != NULL)
            set_value(&keys[i], &values[i], keys[i].preset);
        if (!values[i].is_set && keys[i].required)
            return keys[i].name;
        for (uint32_t k = 0; keys[i].keys != NULL && k < values[i].count; k++) {
            const char *missing = missing_of(keys[i].keys, (sheaf_p_value_t *)values[i].sections[k]);

            if (missing != NULL)
                return missing;
        }
    }
    return NULL;
}

int host_values_missing(host_t *host, char *ret_key, size_t room)
{
    const char *missing = missing_of(host->plugin->keys, host->values);

    if (missing != NULL)
        snprintf(ret_key, room, "%s", missing);
    return missing != NULL;
}

static void value_free(const sheaf_p_key_t *key, sheaf_p_value_t *value)
{
    for (uint32_t i = 0; value->texts != NULL && i < value->count; i++)
        free((char *)value->texts[i].base);
    for (uint32_t i = 0; value->sections != NULL && i < value->count; i++) {
        for (size_t k = 0; k < key_count(key->keys); k++)
            value_free(&key->keys[k], (sheaf_p_value_t *)&value->sections[i][k]);
        free((void *)value->sections[i]);
    }
    free((void *)value->sections);
    free((void *)value->texts);
    free((void *)value->networks);
    free((char *)value->text.base);
    free((char *)value->path.base);
    memset(value, 0, sizeof(*value));
}

void host_values_free(host_t *host)
{
    for (size_t i = 0; i < key_count(host->plugin->keys); i++)
        value_free(&host->plugin->keys[i], &host->values[i]);
    free(host->values);
}
