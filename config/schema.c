/* config/schema.c - the tables as JSON Schema (draft 2020-12), for editors.
 *
 * Every single value may also be a text with a `${env.NAME}` in it, so each typed value is "that, or such a text". */
#include "config/plugin_keys.h"
#include "config/table.h"

#include <inttypes.h>

#define ENV_PATTERN "\\\\$\\\\{env\\\\.[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\\\\}"
#define ENV_REF     "{\"$ref\": \"#/$defs/env\"}"

static void put_string(FILE *file, const char *text)
{
    fputc('"', file);
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            fputc('\\', file);
        fputc(*text, file);
    }
    fputc('"', file);
}

static void put_words(FILE *file, const sheaf_key_t *key)
{
    fputs("\"anyOf\": [{\"enum\": [", file);
    for (uint32_t i = 0; i < key->word_count; i++) {
        fputs(i == 0 ? "" : ", ", file);
        put_string(file, key->words[i]);
    }
    for (uint32_t i = 0; i < key->word_count; i++) /* a word of digits is a number to YAML */
        if (key->words[i][0] >= '0' && key->words[i][0] <= '9')
            fprintf(file, ", %s", key->words[i]);
    fputs("]}, " ENV_REF "]", file);
}

static void put_set(FILE *file, const sheaf_key_t *key)
{
    fputs("\"type\": \"array\", \"uniqueItems\": true, \"items\": {", file);
    put_words(file, key);
    fputs("}", file);
}

static void put_number(FILE *file, const sheaf_key_t *key)
{
    fprintf(file, "\"anyOf\": [{\"type\": \"integer\", \"minimum\": %" PRIu64, key->min);
    if (key->max > 0)
        fprintf(file, ", \"maximum\": %" PRIu64, key->max);
    fputs(key->kind == SHEAF_KIND_OF_WORKERS ? "}, {\"const\": \"auto\"}, " ENV_REF "]" : "}, " ENV_REF "]", file);
}

static void put_integer(FILE *file, const sheaf_key_t *key)
{
    fprintf(file,
            "\"anyOf\": [{\"type\": \"integer\", \"minimum\": %" PRId64 ", \"maximum\": %" PRId64 "}, " ENV_REF "]",
            (int64_t)key->min, (int64_t)key->max);
}

static void put_size(FILE *file, const sheaf_key_t *key)
{
    fprintf(file, "\"anyOf\": [{\"type\": \"integer\", \"minimum\": %" PRIu64, key->min);
    if (key->max > 0)
        fprintf(file, ", \"maximum\": %" PRIu64, key->max);
    fputs("}, {\"$ref\": \"#/$defs/size\"}, " ENV_REF "]", file);
}

#define ANY_TYPE "\"type\": [\"string\", \"number\", \"boolean\", \"null\", \"array\", \"object\"]"

#define STATUSES                                                                                                       \
    "\"anyOf\": [{\"$ref\": \"#/$defs/status\"}, {\"type\": \"array\", \"minItems\": 1, \"items\": {\"$ref\": "        \
    "\"#/$defs/status\"}}]"

static const char *const simple_kinds[] = {
    [SHEAF_KIND_OF_TEXT] = "\"type\": \"string\"",
    [SHEAF_KIND_OF_PATH] = "\"anyOf\": [{\"type\": \"string\", \"pattern\": \"^/\"}, " ENV_REF "]",
    [SHEAF_KIND_OF_TEMPLATE] = "\"anyOf\": [{\"type\": \"string\", \"pattern\": \"^/\"}, " ENV_REF "]",
    [SHEAF_KIND_OF_BOOL] = "\"anyOf\": [{\"type\": \"boolean\"}, " ENV_REF "]",
    [SHEAF_KIND_OF_DURATION] = "\"anyOf\": [{\"$ref\": \"#/$defs/duration\"}, " ENV_REF "]",
    [SHEAF_KIND_OF_PERCENT] = "\"anyOf\": [{\"$ref\": \"#/$defs/percent\"}, " ENV_REF "]",
    [SHEAF_KIND_OF_ADDRESS] = "\"anyOf\": [{\"$ref\": \"#/$defs/address\"}, " ENV_REF "]",
    [SHEAF_KIND_OF_FILE] = "\"type\": \"string\"",
    [SHEAF_KIND_OF_CIDRS] = "\"type\": [\"array\", \"null\"], \"items\": {\"type\": \"string\"}",
    [SHEAF_KIND_OF_TEXTS] = "\"type\": [\"array\", \"null\"], \"items\": {\"type\": \"string\"}",
    [SHEAF_KIND_OF_METHODS] =
        "\"type\": [\"array\", \"null\"], \"minItems\": 1, \"uniqueItems\": true, \"items\": {\"type\": \"string\"}",
    [SHEAF_KIND_OF_SERVER] = "\"anyOf\": [{\"$ref\": \"#/$defs/server_url\"}, " ENV_REF "]",
    [SHEAF_KIND_OF_HASH] =
        "\"anyOf\": [{\"type\": \"string\", \"pattern\": \"^(path|id|header +[^ ]+)$\"}, " ENV_REF "]",
    [SHEAF_KIND_OF_LATE] = "\"anyOf\": [{\"type\": \"string\", \"pattern\": \"^p[5-9][0-9]([.][0-9])?$\"}, {\"$ref\": "
                           "\"#/$defs/duration\"}, " ENV_REF "]",
    [SHEAF_KIND_OF_MODE] =
        "\"anyOf\": [{\"type\": \"integer\"}, {\"type\": \"string\", \"pattern\": \"^0?[0-7]{3}$\"}, " ENV_REF "]",
    [SHEAF_KIND_OF_METHOD] = "\"type\": \"string\"",
    [SHEAF_KIND_OF_STENCIL] = "\"type\": [\"string\", \"number\", \"boolean\"]",
    [SHEAF_KIND_OF_URL] = "\"type\": \"string\"",
    [SHEAF_KIND_OF_BODY] = ANY_TYPE,
    [SHEAF_KIND_OF_JSON] = ANY_TYPE,
    [SHEAF_KIND_OF_FIELDS] = "\"type\": [\"object\", \"null\"], \"additionalProperties\": {\"type\": [\"string\", "
                             "\"number\", \"boolean\"]}",
    [SHEAF_KIND_OF_EDGES] = "\"type\": [\"array\", \"null\"], \"items\": {\"anyOf\": [{\"type\": \"string\"}, "
                            "{\"$ref\": \"#/$defs/edge\"}]}",
    [SHEAF_KIND_OF_STATUSES] = STATUSES,
    [SHEAF_KIND_OF_UPSTREAM] = "\"type\": \"string\"",
    [SHEAF_KIND_OF_PLUGINS] = "\"type\": [\"array\", \"null\"], \"items\": {\"$ref\": \"#/$defs/plugin\"}",
    [SHEAF_KIND_OF_PAIRS] = "\"type\": [\"object\", \"null\"], \"additionalProperties\": {\"type\": [\"string\", "
                            "\"number\", \"boolean\"]}",
    [SHEAF_KIND_OF_REWRITE] = "\"anyOf\": [{\"type\": \"string\", \"pattern\": \"^/\"}, " ENV_REF "]",
};

static void put_sections(FILE *file, const sheaf_key_t *key)
{
    const char *name = sheaf_key_section(key)->name;
    const char *type = key->is_required ? "" : ", \"null\"";
    bool is_short = sheaf_section_is_short(sheaf_key_section(key));

    if (key->kind == SHEAF_KIND_OF_OBJECT)
        fprintf(file, "\"anyOf\": [{\"$ref\": \"#/$defs/%s\"}, {\"type\": \"null\"}]", name);
    else if (key->kind == SHEAF_KIND_OF_LIST)
        fprintf(file,
                "\"type\": [\"array\"%s], \"minItems\": %" PRIu64 ", \"maxItems\": %" PRIu64
                ", \"items\": {%s\"$ref\": \"#/$defs/%s\"}%s",
                type, key->min, key->max,
                is_short ? "\"anyOf\": [{\"$ref\": \"#/$defs/server_url\"}, " ENV_REF ", {" : "", name,
                is_short ? "]}" : "");
    else
        fprintf(file,
                "\"type\": [\"object\"%s], \"maxProperties\": %" PRIu64
                ", \"propertyNames\": {\"pattern\": \"^[A-Za-z0-9_.-]{1,64}$\"}"
                ", \"additionalProperties\": {\"$ref\": \"#/$defs/%s\"}",
                type, key->max, name);
}

static void put_type(FILE *file, const sheaf_key_t *key)
{
    if (sheaf_key_section(key) != NULL)
        put_sections(file, key);
    else if (key->kind == SHEAF_KIND_OF_ENUM)
        put_words(file, key);
    else if (key->kind == SHEAF_KIND_OF_SET)
        put_set(file, key);
    else if (key->kind == SHEAF_KIND_OF_SIZE)
        put_size(file, key);
    else if (key->kind == SHEAF_KIND_OF_NUMBER || key->kind == SHEAF_KIND_OF_WORKERS)
        put_number(file, key);
    else if (key->kind == SHEAF_KIND_OF_INTEGER)
        put_integer(file, key);
    else
        fputs(simple_kinds[key->kind], file);
}

static void put_set_default(FILE *file, const sheaf_key_t *key)
{
    const char *comma = "";

    fputc('[', file);
    for (sheaf_str_t rest = sheaf_str_of(key->fallback); rest.base != NULL; comma = ", ") {
        sheaf_str_t word = sheaf_str_cut(&rest, ' ');

        fprintf(file, "%s\"%.*s\"", comma, SHEAF_STR_ARG(word));
    }
    fputc(']', file);
}

static void put_default(FILE *file, const sheaf_key_t *key)
{
    bool is_digits = key->fallback != NULL && key->fallback[0] != '\0' &&
                     strspn(key->fallback, "0123456789") == strlen(key->fallback);

    if (key->fallback == NULL)
        return;
    fputs(", \"default\": ", file);
    if (key->kind == SHEAF_KIND_OF_SET)
        put_set_default(file, key);
    else if (is_digits || key->kind == SHEAF_KIND_OF_BOOL)
        fputs(key->fallback, file);
    else
        put_string(file, key->fallback);
}

static void put_section(FILE *file, const sheaf_section_t *section, const char *indent)
{
    bool has_required = false;

    fprintf(file, "%s\"type\": \"object\",\n%s\"additionalProperties\": false,\n", indent, indent);
    for (uint32_t i = 0; i < section->key_count; i++) {
        if (!section->keys[i].is_required)
            continue;
        fprintf(file, "%s%s\"%.*s\"", has_required ? "" : indent, has_required ? ", " : "\"required\": [",
                SHEAF_STR_ARG(section->keys[i].name));
        has_required = true;
    }
    fputs(has_required ? "],\n" : "", file);
    fprintf(file, "%s\"properties\": {\n", indent);
    for (uint32_t i = 0; i < section->key_count; i++) {
        const sheaf_key_t *key = &section->keys[i];

        fprintf(file, "%s  \"%.*s\": {\"description\": ", indent, SHEAF_STR_ARG(key->name));
        put_string(file, key->manual);
        fputs(", ", file);
        put_type(file, key);
        put_default(file, key);
        fputs(i + 1 < section->key_count ? "},\n" : "}\n", file);
    }
    fprintf(file, "%s}", indent);
}

/* Sections below `section`, each once: no two keys hold the same one. */
static void put_definitions(FILE *file, const sheaf_section_t *section)
{
    for (uint32_t i = 0; i < section->key_count; i++) {
        const sheaf_section_t *inner = sheaf_key_section(&section->keys[i]);

        if (inner == NULL)
            continue;
        fprintf(file, ",\n    \"%s\": {\n", inner->name);
        put_section(file, inner, "      ");
        fputs("\n    }", file);
        put_definitions(file, inner);
    }
}

/* One of those that are built in, one from a file (whose keys nobody knows here), or a name given elsewhere. */
static void put_plugins(FILE *file)
{
    fputs(",\n    \"plugin\": {\"anyOf\": [{\"type\": \"string\"}, {\"type\": \"object\", \"required\": [\"file\"]}",
          file);
    for (uint32_t i = 0; sheaf_plugins_built_in[i] != NULL; i++)
        fprintf(file, ", {\"$ref\": \"#/$defs/%s\"}", sheaf_plugin_section(sheaf_plugins_built_in[i], false)->name);
    fputs("]}", file);
    for (uint32_t i = 0; sheaf_plugins_built_in[i] != NULL; i++) {
        const sheaf_section_t *section = sheaf_plugin_section(sheaf_plugins_built_in[i], false);

        fprintf(file, ",\n    \"%s\": {\n", section->name);
        put_section(file, section, "      ");
        fputs("\n    }", file);
        put_definitions(file, section);
    }
}

void sheaf_schema_print(FILE *file)
{
    fputs("{\n"
          "  \"$schema\": \"https://json-schema.org/draft/2020-12/schema\",\n"
          "  \"title\": \"Sheaf\",\n"
          "  \"description\": \"The configuration of Sheaf, a reverse-proxy batch gateway.\",\n",
          file);
    put_section(file, sheaf_section_root(), "  ");
    fputs(
        ",\n  \"$defs\": {\n"
        "    \"env\": {\"type\": \"string\", \"pattern\": \"" ENV_PATTERN "\"},\n"
        "    \"duration\": {\"type\": \"string\", \"pattern\": \"^[0-9]+(ms|s|m|h)$\"},\n"
        "    \"percent\": {\"type\": \"string\", \"pattern\": \"^[0-9]+%$\"},\n"
        "    \"size\": {\"type\": \"string\", \"pattern\": \"^[0-9]+(B|KiB|MiB|GiB)?$\"},\n"
        "    \"address\": {\"type\": \"string\", \"pattern\": "
        "\"^(unix:/.+|(\\\\[[0-9A-Fa-f:.]+\\\\]|[0-9.]*):[0-9]+)$\"},\n"
        "    \"server_url\": {\"type\": \"string\", \"pattern\": \"^(https?://[^/?#@]+|(http://)?unix:/.+)$\"},\n"
        "    \"status\": {\"type\": [\"integer\", \"string\"], \"pattern\": \"^[1-5]([0-9]{2}|xx)$\"},\n"
        "    \"edge\": {\"type\": \"object\", \"required\": [\"id\"], \"additionalProperties\": false, \"properties\": "
        "{\"id\": {\"type\": \"string\"}, \"status\": {" STATUSES "}}}",
        file);
    put_definitions(file, sheaf_section_root());
    put_plugins(file);
    fputs("\n  }\n}\n", file);
}
