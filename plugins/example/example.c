/* plugins/example/example.c - refuses whoever sends a word that nobody should send. */
#include <stdlib.h>
#include <string.h>

#include "plugins/sheaf_plugin.h"

enum { HEADER, WORD, STATUS }; /* the keys below, in their order */

static const sheaf_p_key_t keys[] = {
    {.name = "header", .preset = "x-word", .manual = "The header field that is looked at."},
    {.name = "word", .required = 1, .manual = "The value that is refused."},
    {.name = "status",
     .type = SHEAF_P_NUMBER,
     .preset = "403",
     .min = 400,
     .max = 599,
     .manual = "Status of a refusal."},
    {.name = NULL},
};

enum { REFUSED };

static const sheaf_p_counter_t counters[] = {{"refused", "Requests and items that were refused."}, {NULL, NULL}};

typedef struct example {
    const sheaf_p_api_t *api;
    sheaf_p_worker_t *worker;
    const sheaf_p_value_t *values;
} example_t;

static int is_word(const example_t *self, sheaf_p_ref_t ref, sheaf_p_part_t part)
{
    sheaf_p_str_t word = self->values[WORD].text, value;

    for (uint32_t i = 0; self->api->header(ref, part, self->values[HEADER].text.base, i, &value); i++)
        if (value.len == word.len && memcmp(value.base, word.base, word.len) == 0)
            return 1;
    return 0;
}

static sheaf_p_verdict_t judge(const example_t *self, sheaf_p_ref_t ref, sheaf_p_part_t part)
{
    if (!is_word(self, ref, part))
        return SHEAF_P_PASS;
    self->api->count(self->worker, REFUSED, 1);
    self->api->problem(ref, (uint32_t)self->values[STATUS].number, "word", "that word is not for here");
    return SHEAF_P_ANSWER;
}

static sheaf_p_verdict_t on_request(void *self, sheaf_p_ref_t request)
{
    return judge(self, request, SHEAF_P_CLIENT);
}

/* What an item sends is its own header, or one that it has from its request: QUESTION has both. */
static sheaf_p_verdict_t on_item(void *self, sheaf_p_ref_t item)
{
    return judge(self, item, SHEAF_P_QUESTION);
}

static void *example_open(const sheaf_p_open_t *open, sheaf_p_fail_t *fail)
{
    example_t *self = calloc(1, sizeof(*self));

    (void)fail;
    if (self == NULL)
        return NULL;
    self->api = open->api;
    self->worker = open->worker;
    self->values = open->values;
    return self;
}

SHEAF_PLUGIN(example) = {
    .size = sizeof(sheaf_plugin_t),
    .abi_major = SHEAF_P_ABI_MAJOR,
    .name = "example",
    .version = "1.0",
    .manual = "Refuses requests and items that send a certain word in a header: a plugin to begin from.",
    .keys = keys,
    .counters = counters,
    .open = example_open,
    .close = free,
    .on_request = on_request,
    .on_item = on_item,
};
