/* config/table.h - keys.def as data: what load.c walks and keys.c and schema.c print.
 *
 * A section is a row of keys and the struct they fill; a key says what its value looks like, where it lands, and what
 * it means. All of it is constant. */
#ifndef SHEAF_CONFIG_TABLE_H
#define SHEAF_CONFIG_TABLE_H

#include "config/keys.h"

typedef enum sheaf_key_kind {
    SHEAF_KIND_OF_TEXT,
    SHEAF_KIND_OF_PATH,
    SHEAF_KIND_OF_TEMPLATE,
    SHEAF_KIND_OF_NUMBER,
    SHEAF_KIND_OF_BOOL,
    SHEAF_KIND_OF_DURATION,
    SHEAF_KIND_OF_SIZE,
    SHEAF_KIND_OF_ADDRESS,
    SHEAF_KIND_OF_FILE,
    SHEAF_KIND_OF_CIDRS,
    SHEAF_KIND_OF_TEXTS,
    SHEAF_KIND_OF_METHOD,
    SHEAF_KIND_OF_METHODS,
    SHEAF_KIND_OF_SERVER,
    SHEAF_KIND_OF_HASH,
    SHEAF_KIND_OF_LATE,
    SHEAF_KIND_OF_WORKERS,
    SHEAF_KIND_OF_MODE,
    SHEAF_KIND_OF_UPSTREAM,
    SHEAF_KIND_OF_REWRITE,
    SHEAF_KIND_OF_STENCIL,
    SHEAF_KIND_OF_URL,
    SHEAF_KIND_OF_BODY,
    SHEAF_KIND_OF_FIELDS,
    SHEAF_KIND_OF_EDGES,
    SHEAF_KIND_OF_STATUSES,
    SHEAF_KIND_OF_JSON,
    SHEAF_KIND_OF_PERCENT,
    SHEAF_KIND_OF_ENUM,
    SHEAF_KIND_OF_SET,
    SHEAF_KIND_OF_OBJECT,
    SHEAF_KIND_OF_LIST,
    SHEAF_KIND_OF_MAP,
    SHEAF_KIND_OF_PLUGINS,
    SHEAF_KIND_OF_PAIRS,   /* of a plugin: texts, name and value in turns */
    SHEAF_KIND_OF_INTEGER, /* of a plugin: may be negative; value, min and max are int64_t in the bits of uint64_t */
} sheaf_key_kind_t;

typedef struct sheaf_section sheaf_section_t;

typedef struct sheaf_key {
    sheaf_str_t name;
    const char *fallback; /* YAML text; NULL when absent or required */
    bool is_required;
    uint64_t min, max; /* of the value in its unit, or of the number of items; max 0 = no bound */
    const char *manual;
    sheaf_key_kind_t kind;
    size_t offset;                           /* of the member in the section's struct */
    const char *const *words;                /* ENUM, SET: its words, by value */
    uint32_t word_count;                     /* ENUM, SET */
    const sheaf_section_t *(*section)(void); /* OBJECT, LIST, MAP: what it holds */
    const sheaf_section_t *made;             /* the same, made from what a plugin declares */
} sheaf_key_t;

struct sheaf_section {
    const char *name;
    size_t size; /* of struct sheaf_<name>_conf; mark and map_key come first in every one */
    const sheaf_key_t *keys;
    uint32_t key_count;
    const char *spoken; /* its name in messages; NULL: `name` */
};

/* What an OBJECT, a LIST or a MAP holds; NULL: the key is none of them. */
static inline const sheaf_section_t *sheaf_key_section(const sheaf_key_t *key)
{
    return key->section != NULL ? key->section() : key->made;
}

static inline const char *sheaf_section_spoken(const sheaf_section_t *section)
{
    return section->spoken != NULL ? section->spoken : section->name;
}

/* What every section struct begins with. */
typedef struct sheaf_section_head {
    sheaf_mark_t mark;
    sheaf_str_t map_key;
} sheaf_section_head_t;

/* The member behind a LIST or MAP key, whatever its items are. */
typedef struct sheaf_items {
    void *items;
    uint32_t count;
} sheaf_items_t;

const sheaf_section_t *sheaf_section_root(void);

/* May a single value stand for the whole section, as a server's url does? It is its first key then. */
static inline bool sheaf_section_is_short(const sheaf_section_t *section)
{
    return section->keys[0].kind == SHEAF_KIND_OF_SERVER;
}

/* The key of that name, or NULL. */
const sheaf_key_t *sheaf_section_key(const sheaf_section_t *section, sheaf_str_t name);

#endif
