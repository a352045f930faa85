/* config/keys.c - keys.def made into tables, and the manual printed from them. */
#include <inttypes.h>

#include "config/plugin_keys.h"
#include "config/table.h"

/* --- words --- */
#define ENUM(name)        static const char *const words_##name[] = {
#define WORD(value, text) text,
#define ENDENUM(name)                                                                                                  \
    }                                                                                                                  \
    ;
#define SECTION(name)
#define KEY(name, type, fallback, min, max, manual)
#define END(name)
#include "config/keys.def"
#undef ENUM
#undef WORD
#undef ENDENUM
#undef SECTION
#undef KEY
#undef END

/* --- sections: each a function, so that `conf_t` can mean the section's own struct inside --- */
#define SHEAF_MEMBER(kind, type, n)    SHEAF_KIND_OF_##kind, offsetof(conf_t, n), NULL, 0, NULL, NULL
#define SHEAF_MEMBER_ENUM(x, n)        SHEAF_KIND_OF_ENUM, offsetof(conf_t, n), words_##x, SHEAF_COUNT(words_##x), NULL, NULL
#define SHEAF_MEMBER_SET(x, n)         SHEAF_KIND_OF_SET, offsetof(conf_t, n), words_##x, SHEAF_COUNT(words_##x), NULL, NULL
#define SHEAF_MEMBER_OBJECT(x, n)      SHEAF_KIND_OF_OBJECT, offsetof(conf_t, n), NULL, 0, section_##x, NULL
#define SHEAF_MEMBER_ITEMS(kind, x, n) SHEAF_KIND_OF_##kind, offsetof(conf_t, n), NULL, 0, section_##x, NULL

#define IS_TEXT(fallback)   (!IS_NEEDED(fallback) && (sizeof(#fallback) != sizeof("ABSENT") || #fallback[0] != 'A'))
#define IS_NEEDED(fallback) (sizeof(#fallback) == sizeof("REQUIRED") && #fallback[0] == 'R')

#define ENUM(name)
#define WORD(value, text)
#define ENDENUM(name)
#define SECTION(name)                                                                                                  \
    static const sheaf_section_t *section_##name(void)                                                                 \
    {                                                                                                                  \
        typedef struct sheaf_##name##_conf conf_t;                                                                     \
        static const sheaf_key_t keys[] = {
#define KEY(name, type, fallback, min, max, manual)                                                                    \
    {{#name, sizeof(#name) - 1}, IS_TEXT(fallback) ? #fallback : NULL, IS_NEEDED(fallback), min, max, manual,          \
     SHEAF_KEY_##type(name)},
#define END(name)                                                                                                      \
    }                                                                                                                  \
    ;                                                                                                                  \
    static const sheaf_section_t section = {#name, sizeof(conf_t), keys, SHEAF_COUNT(keys), NULL};                     \
    return &section;                                                                                                   \
    }
#include "config/keys.def"
#undef ENUM
#undef WORD
#undef ENDENUM
#undef SECTION
#undef KEY
#undef END

const sheaf_section_t *sheaf_section_root(void)
{
    return section_conf();
}

const sheaf_key_t *sheaf_section_key(const sheaf_section_t *section, sheaf_str_t name)
{
    for (uint32_t i = 0; i < section->key_count; i++)
        if (sheaf_str_eq(section->keys[i].name, name))
            return &section->keys[i];
    return NULL;
}

/* --- the manual --- */

static const char *const kind_names[] = {
    [SHEAF_KIND_OF_TEXT] = "text",
    [SHEAF_KIND_OF_PATH] = "path",
    [SHEAF_KIND_OF_TEMPLATE] = "path",
    [SHEAF_KIND_OF_NUMBER] = "number",
    [SHEAF_KIND_OF_BOOL] = "true or false",
    [SHEAF_KIND_OF_DURATION] = "duration",
    [SHEAF_KIND_OF_SIZE] = "size",
    [SHEAF_KIND_OF_ADDRESS] = "address",
    [SHEAF_KIND_OF_FILE] = "file",
    [SHEAF_KIND_OF_CIDRS] = "list of networks",
    [SHEAF_KIND_OF_TEXTS] = "list of texts",
    [SHEAF_KIND_OF_METHOD] = "method",
    [SHEAF_KIND_OF_METHODS] = "list of methods",
    [SHEAF_KIND_OF_SERVER] = "url",
    [SHEAF_KIND_OF_HASH] = "path, id or header NAME",
    [SHEAF_KIND_OF_LATE] = "percentile or duration",
    [SHEAF_KIND_OF_WORKERS] = "number or auto",
    [SHEAF_KIND_OF_MODE] = "octal permissions",
    [SHEAF_KIND_OF_UPSTREAM] = "name of an upstream",
    [SHEAF_KIND_OF_REWRITE] = "path template",
    [SHEAF_KIND_OF_STENCIL] = "text with ${...}",
    [SHEAF_KIND_OF_URL] = "url with ${...}",
    [SHEAF_KIND_OF_BODY] = "any value, with ${...} in its texts",
    [SHEAF_KIND_OF_FIELDS] = "texts with ${...} by header name",
    [SHEAF_KIND_OF_EDGES] = "list of ids, or of id and status",
    [SHEAF_KIND_OF_STATUSES] = "status, class or list of these",
    [SHEAF_KIND_OF_JSON] = "any value",
    [SHEAF_KIND_OF_PERCENT] = "percentage",
    [SHEAF_KIND_OF_ENUM] = "",
    [SHEAF_KIND_OF_SET] = "list of ",
    [SHEAF_KIND_OF_OBJECT] = "section",
    [SHEAF_KIND_OF_LIST] = "list of sections",
    [SHEAF_KIND_OF_MAP] = "sections by name",
    [SHEAF_KIND_OF_PLUGINS] = "list of plugins",
    [SHEAF_KIND_OF_PAIRS] = "texts with ${...} by name",
    [SHEAF_KIND_OF_INTEGER] = "number",
};

typedef struct unit {
    const char *name;
    uint64_t size;
} unit_t;

/* In the largest unit that gives a whole number; a row ends with the least, of size 1. */
static void print_in(FILE *file, const unit_t *units, uint64_t value)
{
    while (value % units->size != 0)
        units++;
    fprintf(file, "%" PRIu64 "%s", value / units->size, value == 0 ? "" : units->name);
}

static void print_range(FILE *file, const sheaf_key_t *key)
{
    static const unit_t plain[] = {{"", 1}}, percent[] = {{"%", 1}},
                        times[] = {{"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}},
                        sizes[] = {{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}};
    static const unit_t *const units[] = {
        [SHEAF_KIND_OF_NUMBER] = plain,   [SHEAF_KIND_OF_WORKERS] = plain, [SHEAF_KIND_OF_PERCENT] = percent,
        [SHEAF_KIND_OF_DURATION] = times, [SHEAF_KIND_OF_SIZE] = sizes,    [SHEAF_KIND_OF_MAP] = NULL};

    if (key->kind == SHEAF_KIND_OF_INTEGER)
        fprintf(file, ", %" PRId64 " to %" PRId64, (int64_t)key->min, (int64_t)key->max);
    if (key->kind >= SHEAF_COUNT(units) || key->max == 0 || units[key->kind] == NULL)
        return;
    fputs(", ", file);
    print_in(file, units[key->kind], key->min);
    fputs(" to ", file);
    print_in(file, units[key->kind], key->max);
}

static void print_kind(FILE *file, const sheaf_key_t *key)
{
    if (key->kind == SHEAF_KIND_OF_LIST && sheaf_section_is_short(sheaf_key_section(key)))
        fputs("list of values or sections", file);
    else
        fputs(kind_names[key->kind], file);
    for (uint32_t i = 0; i < key->word_count; i++)
        fprintf(file, "%s%s", i == 0 ? "" : i + 1 < key->word_count ? ", " : " or ", key->words[i]);
    print_range(file, key);
    if (key->is_required)
        fputs(", required", file);
    else if (key->fallback != NULL)
        fprintf(file, ", default %s", key->fallback);
}

/* The sentence, indented and folded at 80 columns. */
static void print_manual(FILE *file, const char *manual)
{
    size_t column = 0;

    for (sheaf_str_t rest = sheaf_str_of(manual); rest.base != NULL;) {
        sheaf_str_t word = sheaf_str_cut(&rest, ' ');

        if (column == 0 || column + 1 + word.len > 80)
            column = (size_t)fprintf(file, "%s    %.*s", column == 0 ? "" : "\n", SHEAF_STR_ARG(word)) - (column != 0);
        else
            column += (size_t)fprintf(file, " %.*s", SHEAF_STR_ARG(word));
    }
    fputs("\n\n", file);
}

static void print_section(FILE *file, const sheaf_section_t *section, const char *prefix)
{
    char inner[128];

    for (uint32_t i = 0; i < section->key_count; i++) {
        const sheaf_key_t *key = &section->keys[i];
        const char *step = key->kind == SHEAF_KIND_OF_LIST ? "[]" : key->kind == SHEAF_KIND_OF_MAP ? ".NAME" : "";

        fprintf(file, "%s%.*s  (", prefix, SHEAF_STR_ARG(key->name));
        print_kind(file, key);
        fputs(")\n", file);
        print_manual(file, key->manual);
        if (sheaf_key_section(key) == NULL)
            continue;
        snprintf(inner, sizeof(inner), "%s%.*s%s.", prefix, SHEAF_STR_ARG(key->name), step);
        print_section(file, sheaf_key_section(key), inner);
    }
}

/* What those that are built in take, wherever they stand. */
static void print_plugins(FILE *file)
{
    char prefix[128];

    for (uint32_t i = 0; sheaf_plugins_built_in[i] != NULL; i++) {
        const sheaf_plugin_t *plugin = sheaf_plugins_built_in[i];

        fprintf(file, "plugins[] with use: %s  (version %s)\n", plugin->name, plugin->version);
        print_manual(file, plugin->manual);
        snprintf(prefix, sizeof(prefix), "plugins[%s].", plugin->name);
        print_section(file, sheaf_plugin_own_section(plugin), prefix);
    }
}

void sheaf_keys_print(FILE *file)
{
    fputs(
        "Durations are a whole number and ms, s, m or h; sizes a whole number and B, KiB, MiB or GiB, or plain bytes.\n"
        "${env.NAME} and ${env.NAME:-default} in a value are replaced when the file is loaded; $${env. stays as it "
        "is.\n\n",
        file);
    print_section(file, sheaf_section_root(), "");
    print_plugins(file);
}
