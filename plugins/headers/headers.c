/* plugins/headers/headers.c - fields set, added, removed and renamed on their way in and out.
 *
 *   request: of what a backend is asked | response: of what it answered | reply: of the answer to the client
 *
 * Each of them in this order: remove, rename, set, add. A `set` whose template names what is not there removes the field: a
 * client that sends X-User itself must not be believed because nobody was logged in. */
#include "plugins/field/field_name.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define VALUES_MAX  64   /* of one name that is renamed */
#define ALIASES_MAX 1024 /* more than an item may have fields */

enum { KEY_REQUEST, KEY_RESPONSE, KEY_REPLY };
enum { KEY_REMOVE, KEY_RENAME, KEY_SET, KEY_ADD }; /* of a section */
enum { REPLY_SET, REPLY_ADD };

/* One field: its name as the functions of Sheaf want it. */
typedef struct line {
    char *name, *new_name;
    sheaf_p_str_t template;
    uint32_t verb; /* KEY_REMOVE ... */
} line_t;

typedef struct lines {
    line_t *list;
    uint32_t count;
} lines_t;

typedef struct headers {
    const sheaf_p_api_t *api;
    lines_t request, response, reply;
} headers_t;

/* --- what is done --- */

static void rename_field(const headers_t *self, const line_t *line, sheaf_p_ref_t ref, sheaf_p_part_t part)
{
    sheaf_p_str_t values[VALUES_MAX];
    uint32_t count = 0;

    while (count < VALUES_MAX && self->api->header(ref, part, line->name, count, &values[count]))
        count++;
    if (count == 0)
        return;
    /* the values are ours until the hook ends: they stay when their field goes */
    self->api->header_remove(ref, part, line->name);
    self->api->header_remove(ref, part, line->new_name);
    for (uint32_t i = 0; i < count; i++)
        self->api->header_add(ref, part, line->new_name, values[i]);
}

static void write_field(const headers_t *self, const line_t *line, sheaf_p_ref_t ref, sheaf_p_part_t part)
{
    sheaf_p_str_t value;
    int is_there = self->api->expand(ref, line->template, &value);

    if (line->verb == KEY_ADD) {
        if (is_there)
            self->api->header_add(ref, part, line->name, value);
    } else if (!is_there || self->api->header_set(ref, part, line->name, value) != 0) {
        self->api->header_remove(ref, part, line->name);
    }
}

static void apply(const headers_t *self, const lines_t *lines, sheaf_p_ref_t ref, sheaf_p_part_t part)
{
    for (uint32_t i = 0; i < lines->count; i++) {
        const line_t *line = &lines->list[i];

        if (line->verb == KEY_REMOVE)
            self->api->header_remove(ref, part, line->name);
        else if (line->verb == KEY_RENAME)
            rename_field(self, line, ref, part);
        else
            write_field(self, line, ref, part);
    }
}

/* The other spelling may be the very one that gets the new name. */
static int is_renamed(const lines_t *lines, sheaf_p_str_t name)
{
    for (uint32_t i = 0; i < lines->count; i++)
        if (lines->list[i].verb == KEY_RENAME && strlen(lines->list[i].name) == name.len &&
            strncasecmp(lines->list[i].name, name.base, name.len) == 0)
            return 1;
    return 0;
}

static int is_alias(const lines_t *lines, sheaf_p_str_t name)
{
    for (uint32_t i = 0; i < lines->count; i++) {
        const line_t *line = &lines->list[i];

        if ((line->verb == KEY_SET || line->verb == KEY_REMOVE) && field_name_is_alias(name, line->name))
            return 1;
        if (line->verb == KEY_RENAME && field_name_is_alias(name, line->new_name) && !is_renamed(lines, name))
            return 1;
    }
    return 0;
}

/* What is set, removed or a new name must not come in beside, under a name that a backend cannot tell from it. */
static void drop_aliases(const headers_t *self, const lines_t *lines, sheaf_p_ref_t item)
{
    sheaf_p_str_t name, value;
    uint32_t index = 0, dropped = 0;

    while (dropped < ALIASES_MAX && self->api->header_at(item, SHEAF_P_QUESTION, index, &name, &value)) {
        char text[FIELD_NAME_MAX + 1];

        index++;
        if (name.len > FIELD_NAME_MAX || !is_alias(lines, name))
            continue;
        memcpy(text, name.base, name.len);
        text[name.len] = '\0';
        dropped++;
        if (self->api->header_remove(item, SHEAF_P_QUESTION, text) == 0)
            index = 0; /* all of that name went, wherever they stood */
    }
}

static sheaf_p_verdict_t on_request(void *data, sheaf_p_ref_t request)
{
    const headers_t *self = data;

    apply(self, &self->reply, request, SHEAF_P_REPLY);
    return SHEAF_P_PASS;
}

static sheaf_p_verdict_t on_item(void *data, sheaf_p_ref_t item)
{
    const headers_t *self = data;

    if (self->request.count > 0)
        drop_aliases(self, &self->request, item);
    apply(self, &self->request, item, SHEAF_P_QUESTION);
    return SHEAF_P_PASS;
}

static void on_result(void *data, sheaf_p_ref_t item)
{
    const headers_t *self = data;

    apply(self, &self->response, item, SHEAF_P_RESULT);
}

/* --- configuration --- */

static const sheaf_p_key_t section_keys[] = {
    {.name = "remove", .type = SHEAF_P_TEXTS, .manual = "Names of fields that are taken away."},
    {.name = "rename",
     .type = SHEAF_P_FIELDS,
     .manual = "Old names and new names. What had the new name before is replaced."},
    {.name = "set",
     .type = SHEAF_P_FIELDS,
     .manual = "Fields in place of all of their name. One whose variable is not there is removed."},
    {.name = "add",
     .type = SHEAF_P_FIELDS,
     .manual = "Fields beside those of their name. One whose variable is not there is left out."},
    {.name = NULL},
};

static const sheaf_p_key_t reply_keys[] = {
    {.name = "set", .type = SHEAF_P_FIELDS, .manual = "Fields in place of all of their name."},
    {.name = "add", .type = SHEAF_P_FIELDS, .manual = "Fields beside those of their name."},
    {.name = NULL},
};

static const sheaf_p_key_t keys[] = {
    {.name = "request",
     .type = SHEAF_P_SECTION,
     .keys = section_keys,
     .manual = "What is changed of each item, and of each direct request, before its backend gets it."},
    {.name = "response",
     .type = SHEAF_P_SECTION,
     .keys = section_keys,
     .manual = "What is changed of the answer to each item and to each direct request."},
    {.name = "reply",
     .type = SHEAF_P_SECTION,
     .keys = reply_keys,
     .manual = "What is written into the head of the answer to the client, that of a whole batch too."},
    {.name = NULL},
};

static int refuse(sheaf_p_fail_t *fail, const char *section, const char *key, sheaf_p_str_t name, const char *why)
{
    int len = name.len > 64 ? 64 : (int)name.len;

    snprintf(fail->key, sizeof(fail->key), "%s.%s", section, key);
    snprintf(fail->why, sizeof(fail->why), "%.*s: %s", len, name.base == NULL ? "" : name.base, why);
    return -1;
}

/* Every `step`-th of the texts is a name. */
static int check_names(const char *section, const sheaf_p_key_t *key, const sheaf_p_value_t *value, uint32_t step,
                       sheaf_p_fail_t *fail)
{
    int is_request = strcmp(section, keys[KEY_REQUEST].name) == 0;

    for (uint32_t i = 0; i < value->count; i += step) {
        const char *why = field_name_refused(value->texts[i], is_request);

        if (why != NULL)
            return refuse(fail, section, key->name, value->texts[i], why);
    }
    return 0;
}

static int check_section(const sheaf_p_key_t *key, const sheaf_p_value_t *value, sheaf_p_fail_t *fail)
{
    for (uint32_t i = 0; value->count > 0 && key->keys[i].name != NULL; i++) {
        const sheaf_p_key_t *inner = &key->keys[i];
        int names_only = inner->type == SHEAF_P_TEXTS || strcmp(inner->name, "rename") == 0;

        if (check_names(key->name, inner, &value->sections[0][i], names_only ? 1 : 2, fail) != 0)
            return -1;
    }
    return 0;
}

static int check(const sheaf_p_value_t *values, sheaf_p_fail_t *fail)
{
    for (uint32_t i = KEY_REQUEST; i <= KEY_REPLY; i++)
        if (check_section(&keys[i], &values[i], fail) != 0)
            return -1;
    return 0;
}

static char *c_text(sheaf_p_str_t text)
{
    return strndup(text.base == NULL ? "" : text.base, text.len);
}

/* 0, or -1: no memory. */
static int add_lines(lines_t *lines, uint32_t verb, const sheaf_p_value_t *value)
{
    uint32_t step = verb == KEY_REMOVE ? 1 : 2;
    line_t *list = reallocarray(lines->list, lines->count + value->count + 1, sizeof(*list));

    if (list == NULL)
        return -1;
    lines->list = list;
    for (uint32_t i = 0; i + step <= value->count; i += step) {
        line_t *line = &list[lines->count++];

        *line = (line_t){.name = c_text(value->texts[i]), .verb = verb};
        if (verb == KEY_RENAME)
            line->new_name = c_text(value->texts[i + 1]);
        else if (verb != KEY_REMOVE)
            line->template = value->texts[i + 1];
        if (line->name == NULL || (verb == KEY_RENAME && line->new_name == NULL))
            return -1;
    }
    return 0;
}

static int take_section(lines_t *lines, const sheaf_p_value_t *value)
{
    for (uint32_t verb = KEY_REMOVE; value->count > 0 && verb <= KEY_ADD; verb++)
        if (add_lines(lines, verb, &value->sections[0][verb]) != 0)
            return -1;
    return 0;
}

static int take_reply(lines_t *lines, const sheaf_p_value_t *value)
{
    if (value->count == 0)
        return 0;
    if (add_lines(lines, KEY_SET, &value->sections[0][REPLY_SET]) != 0)
        return -1;
    return add_lines(lines, KEY_ADD, &value->sections[0][REPLY_ADD]);
}

static void lines_free(lines_t *lines)
{
    for (uint32_t i = 0; i < lines->count; i++) {
        free(lines->list[i].name);
        free(lines->list[i].new_name);
    }
    free(lines->list);
}

static void close_one(void *data)
{
    headers_t *self = data;

    lines_free(&self->request);
    lines_free(&self->response);
    lines_free(&self->reply);
    free(self);
}

static void *open_one(const sheaf_p_open_t *open, sheaf_p_fail_t *fail)
{
    headers_t *self = calloc(1, sizeof(*self));

    if (self != NULL && take_section(&self->request, &open->values[KEY_REQUEST]) == 0 &&
        take_section(&self->response, &open->values[KEY_RESPONSE]) == 0 &&
        take_reply(&self->reply, &open->values[KEY_REPLY]) == 0) {
        self->api = open->api;
        return self;
    }
    strcpy(fail->why, "no memory");
    if (self != NULL)
        close_one(self);
    return NULL;
}

SHEAF_PLUGIN(headers) = {
    .size = sizeof(sheaf_plugin_t),
    .abi_major = SHEAF_P_ABI_MAJOR,
    .name = "headers",
    .version = "1.0",
    .manual = "Sets, adds, removes and renames header fields on the way to the backends and back.",
    .keys = keys,
    .check = check,
    .open = open_one,
    .close = close_one,
    .on_request = on_request,
    .on_item = on_item,
    .on_result = on_result,
    .traits = SHEAF_P_GUARDS_NOTHING,
};
