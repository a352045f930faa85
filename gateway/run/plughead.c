/* run/plughead.c - the heads that plugins see and change. */
#include <stdio.h>

#include "gateway/batch/inherit.h"
#include "gateway/run/plughost_inside.h"

#define NAME_MAX_BYTES 256

/* `name` in lower case in `buffer`; absent when it is no name of a field. */
static sheaf_str_t lower(const char *name, char buffer[NAME_MAX_BYTES])
{
    size_t len = name == NULL ? 0 : strlen(name);

    if (len == 0 || len > NAME_MAX_BYTES || !sheaf_header_name_is_valid(sheaf_str(name, len)))
        return SHEAF_STR_NONE;
    for (size_t i = 0; i < len; i++)
        buffer[i] = sheaf_lower(name[i]);
    return sheaf_str(buffer, len);
}

/* --- reading --- */

/* A head is up to two lists; of the second what the item hides is left out. */
typedef struct lists {
    const sheaf_headers_t *first, *second;
    const sheaf_item_t *item;
} lists_t;

/* An item's, unless on_result has put another in its place just now. */
static bool has_result(const sheaf_guest_t *guest)
{
    return guest->stage >= SHEAF_STAGE_RESULT && !guest->is_given;
}

static lists_t lists_of(const sheaf_guest_t *guest, sheaf_p_part_t part)
{
    lists_t lists = {NULL, NULL, guest->item};

    if (part == SHEAF_P_CLIENT) {
        lists.first = guest->caller->batch->outer->headers;
    } else if (part == SHEAF_P_QUESTION && guest->item != NULL) {
        lists.first = &guest->item->exchange.headers;
        lists.second = &guest->item->batch->shared.list;
    } else if (part == SHEAF_P_RESULT && guest->item != NULL) {
        lists.first = has_result(guest) ? &guest->item->answer : &guest->fields;
    } else if (part == SHEAF_P_RESULT && guest->stage == SHEAF_STAGE_DONE && sheaf_plug_item(guest) != NULL) {
        lists.first = &sheaf_plug_item(guest)->answer; /* a direct request's */
    }
    return lists;
}

static bool shows(const lists_t *lists, sheaf_str_t name)
{
    return sheaf_inherit_shows(lists->item, name);
}

static const sheaf_header_t *entry_at(const lists_t *lists, uint32_t index)
{
    uint32_t first = lists->first == NULL ? 0 : lists->first->count;

    if (index < first)
        return &lists->first->entries[index];
    index -= first;
    for (uint32_t i = 0; lists->second != NULL && i < lists->second->count; i++)
        if (shows(lists, lists->second->entries[i].name) && index-- == 0)
            return &lists->second->entries[i];
    return NULL;
}

static int find_in(const sheaf_headers_t *list, sheaf_str_t name, uint32_t *nth, sheaf_p_str_t *ret_value)
{
    for (uint32_t i = 0; list != NULL && i < list->count; i++) {
        if (!sheaf_str_eq(list->entries[i].name, name) || (*nth)-- != 0)
            continue;
        *ret_value = sheaf_plug_str(list->entries[i].value);
        return 1;
    }
    return 0;
}

/* The last edit of a name is what counts, those that add beside it. */
static int find_edit(const sheaf_edits_t *edits, sheaf_str_t name, uint32_t nth, sheaf_p_str_t *ret_value)
{
    uint32_t from = 0;

    for (uint32_t i = 0; i < edits->count; i++)
        if (sheaf_str_eq(edits->items[i].name, name) && edits->items[i].kind != SHEAF_EDIT_ADD)
            from = i;
    for (uint32_t i = from; i < edits->count; i++) {
        if (!sheaf_str_eq(edits->items[i].name, name) || edits->items[i].kind == SHEAF_EDIT_REMOVE || nth-- != 0)
            continue;
        *ret_value = sheaf_plug_str(edits->items[i].value);
        return 1;
    }
    return 0;
}

int sheaf_plughead_get(sheaf_p_ref_t ref, sheaf_p_part_t part, const char *name, uint32_t nth, sheaf_p_str_t *ret_value)
{
    const sheaf_guest_t *guest = sheaf_guest_of(ref);
    char buffer[NAME_MAX_BYTES];
    sheaf_str_t wanted = lower(name, buffer);
    lists_t lists;

    *ret_value = sheaf_p_str("", 0);
    if (guest == NULL || wanted.base == NULL)
        return 0;
    if (part == SHEAF_P_REPLY)
        return find_edit(&guest->caller->reply, wanted, nth, ret_value);
    lists = lists_of(guest, part);
    if (find_in(lists.first, wanted, &nth, ret_value))
        return 1;
    return lists.second != NULL && shows(&lists, wanted) && find_in(lists.second, wanted, &nth, ret_value);
}

int sheaf_plughead_at(sheaf_p_ref_t ref, sheaf_p_part_t part, uint32_t index, sheaf_p_str_t *ret_name,
                      sheaf_p_str_t *ret_value)
{
    const sheaf_guest_t *guest = sheaf_guest_of(ref);
    const sheaf_header_t *entry = NULL;
    lists_t lists;

    *ret_name = *ret_value = sheaf_p_str("", 0);
    if (guest == NULL)
        return 0;
    if (part == SHEAF_P_REPLY) {
        const sheaf_edits_t *edits = &guest->caller->reply;

        if (index >= edits->count)
            return 0;
        *ret_name = sheaf_plug_str(edits->items[index].name);
        *ret_value = sheaf_plug_str(edits->items[index].value);
        return 1;
    }
    lists = lists_of(guest, part);
    entry = entry_at(&lists, index);
    if (entry == NULL)
        return 0;
    *ret_name = sheaf_plug_str(entry->name);
    *ret_value = sheaf_plug_str(entry->value);
    return 1;
}

/* --- changing --- */

#define NEVER (SHEAF_HEADER_HOP_BY_HOP | SHEAF_HEADER_FRAMING)

static bool may_change(sheaf_p_part_t part, sheaf_str_t name)
{
    unsigned class = sheaf_header_classify(name);

    if (part == SHEAF_P_QUESTION)
        return (class & (NEVER | SHEAF_HEADER_TRUST | SHEAF_HEADER_VIA)) == 0;
    return (class & (NEVER | SHEAF_HEADER_NOT_IN_RESULT)) == 0;
}

static bool is_open_item(const sheaf_guest_t *guest)
{
    return guest->stage == SHEAF_STAGE_ITEM && sheaf_guest_is_open(guest);
}

/* The list that a plugin may change now, copied before the first change: NULL when it may not. */
static sheaf_headers_t *open_list(sheaf_guest_t *guest, sheaf_p_part_t part)
{
    sheaf_headers_t *list = NULL;
    bool *is_owned = NULL;
    sheaf_headers_t copy = {0};

    if (guest->item == NULL)
        return NULL;
    if (part == SHEAF_P_QUESTION && is_open_item(guest)) {
        list = &guest->item->exchange.headers;
        is_owned = &guest->owns_question;
    } else if (part == SHEAF_P_RESULT && guest->is_told && !guest->is_given) {
        list = &guest->item->answer;
        is_owned = &guest->owns_result;
    } else if (part == SHEAF_P_RESULT && guest->is_given && (guest->is_told || is_open_item(guest))) {
        return &guest->fields;
    }
    if (list == NULL || *is_owned)
        return list;
    for (uint32_t i = 0; i < list->count; i++)
        sheaf_headers_add(&copy, guest->item->pool, list->entries[i].name, list->entries[i].value);
    *list = copy;
    *is_owned = true;
    return list;
}

static void drop_from(sheaf_headers_t *list, sheaf_str_t name)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < list->count; i++)
        if (!sheaf_str_eq(list->entries[i].name, name))
            list->entries[kept++] = list->entries[i];
    list->count = kept;
}

static void note_name(sheaf_headers_t *names, sheaf_pool_t *pool, sheaf_str_t name)
{
    if (sheaf_headers_find(names, name) == NULL)
        sheaf_headers_add(names, pool, sheaf_pool_dup(pool, name), SHEAF_STR_NONE);
}

/* What is inherited by that name is sent no more. */
static void hide(sheaf_guest_t *guest, sheaf_str_t name)
{
    note_name(&guest->hidden, guest->item->pool, name);
    guest->item->hidden = &guest->hidden;
}

/* What the route denies it denies a client: a plugin's field of that name is sent all the same. */
static void vouch(sheaf_guest_t *guest, sheaf_str_t name)
{
    note_name(&guest->vouched, guest->item->pool, name);
    guest->item->vouched = &guest->vouched;
}

/* A field beside those of its name: what is inherited by that name would go, so it becomes the item's own. What the route
 * denies the client goes at once, or it would be vouched for as well. */
static void keep_beside(const sheaf_guest_t *guest, sheaf_str_t name, sheaf_headers_t *list)
{
    const sheaf_headers_t *shared = &guest->item->batch->shared.list;

    if (!sheaf_inherit_passes(guest->item, name)) {
        if (sheaf_headers_find(&guest->vouched, name) == NULL)
            drop_from(list, name);
        return;
    }
    if (!sheaf_inherit_shows(guest->item, name))
        return;
    for (uint32_t i = 0; i < shared->count; i++)
        if (sheaf_str_eq(shared->entries[i].name, name))
            sheaf_headers_add(list, guest->item->pool, shared->entries[i].name, shared->entries[i].value);
}

static bool fits(const sheaf_guest_t *guest, sheaf_p_part_t part, const sheaf_headers_t *list)
{
    return list->count <= SHEAF_PLUG_FIELDS_MAX && (part != SHEAF_P_QUESTION || sheaf_inherit_fits(guest->item));
}

/* The codecs look at the type beside the list. */
static void note_type(sheaf_guest_t *guest, sheaf_p_part_t part, sheaf_str_t name)
{
    const sheaf_header_t *type;

    if (part != SHEAF_P_RESULT || !guest->is_told || guest->is_given || !sheaf_str_eq(name, SHEAF_STR("content-type")))
        return;
    type = sheaf_headers_find(&guest->item->answer, name);
    guest->item->content_type = type == NULL ? SHEAF_STR_NONE : type->value;
}

static int edit_list(sheaf_guest_t *guest, sheaf_p_part_t part, sheaf_edit_kind_t kind, sheaf_str_t name,
                     sheaf_str_t value)
{
    sheaf_headers_t *list = open_list(guest, part);
    sheaf_pool_t *pool = sheaf_guest_pool(guest);
    uint32_t before;

    if (list == NULL)
        return -1;
    if (part == SHEAF_P_QUESTION && kind == SHEAF_EDIT_ADD)
        keep_beside(guest, name, list);
    if (kind != SHEAF_EDIT_ADD)
        drop_from(list, name);
    before = list->count;
    if (kind != SHEAF_EDIT_REMOVE)
        sheaf_headers_add(list, pool, sheaf_pool_dup(pool, name), sheaf_pool_dup(pool, value));
    if (part == SHEAF_P_QUESTION && kind == SHEAF_EDIT_REMOVE)
        hide(guest, name);
    if (kind != SHEAF_EDIT_REMOVE && !fits(guest, part, list)) {
        list->count = before;
        return -1;
    }
    if (part == SHEAF_P_QUESTION && kind != SHEAF_EDIT_REMOVE)
        vouch(guest, name);
    note_type(guest, part, name);
    return 0;
}

static int edit(sheaf_p_ref_t ref, sheaf_p_part_t part, sheaf_edit_kind_t kind, const char *name, sheaf_p_str_t text)
{
    sheaf_guest_t *guest = sheaf_guest_of(ref);
    char buffer[NAME_MAX_BYTES];
    sheaf_str_t field = lower(name, buffer), value = sheaf_str_trim(sheaf_str(text.base, text.len));
    sheaf_pool_t *pool;

    if (guest == NULL || field.base == NULL || !may_change(part, field) || value.len > SHEAF_PLUG_VALUE_MAX ||
        (value.len > 0 && !sheaf_header_value_is_valid(value)))
        return -1;
    if (part != SHEAF_P_REPLY)
        return edit_list(guest, part, kind, field, value);
    if (guest->caller->reply.count >= SHEAF_PLUG_FIELDS_MAX || guest->caller->has_head ||
        guest->stage == SHEAF_STAGE_DONE)
        return -1;
    pool = guest->caller->batch->pool;
    sheaf_edits_add(&guest->caller->reply, pool, kind, sheaf_pool_dup(pool, field), sheaf_pool_dup(pool, value));
    return 0;
}

int sheaf_plughead_set(sheaf_p_ref_t ref, sheaf_p_part_t part, const char *name, sheaf_p_str_t value)
{
    return edit(ref, part, SHEAF_EDIT_SET, name, value);
}

int sheaf_plughead_add(sheaf_p_ref_t ref, sheaf_p_part_t part, const char *name, sheaf_p_str_t value)
{
    return edit(ref, part, SHEAF_EDIT_ADD, name, value);
}

int sheaf_plughead_remove(sheaf_p_ref_t ref, sheaf_p_part_t part, const char *name)
{
    return edit(ref, part, SHEAF_EDIT_REMOVE, name, sheaf_p_str("", 0));
}
