#include "gateway/run/handles.h"

#include <stdlib.h>

#include "gateway/base/error.h"
#include "gateway/base/pool.h"

typedef struct sheaf_handle_place {
    void *thing;
    uint32_t generation;
    uint32_t next; /* free: the one after it, plus 1 */
    sheaf_handle_kind_t kind;
} place_t;

void sheaf_handles_init(sheaf_handles_t *handles)
{
    *handles = (sheaf_handles_t){0};
}

void sheaf_handles_fini(sheaf_handles_t *handles)
{
    free(handles->places);
    *handles = (sheaf_handles_t){0};
}

static place_t *place_of(const sheaf_handles_t *handles, uint64_t handle)
{
    uint32_t index = (uint32_t)handle;
    place_t *place;

    if (index == 0 || index > handles->count)
        return NULL;
    place = &handles->places[index - 1];
    return place->kind != SHEAF_HANDLE_FREE && place->generation == handle >> 32 ? place : NULL;
}

static void make_room(sheaf_handles_t *handles)
{
    if (handles->count < handles->size)
        return;
    handles->size = handles->size == 0 ? 64 : handles->size * 2;
    handles->places = sheaf_realloc(handles->places, handles->size * sizeof(place_t));
}

static uint32_t take_place(sheaf_handles_t *handles)
{
    uint32_t index = handles->free;

    if (index != 0) {
        handles->free = handles->places[index - 1].next;
        return index - 1;
    }
    make_room(handles);
    handles->places[handles->count] = (place_t){0};
    return handles->count++;
}

uint64_t sheaf_handles_take(sheaf_handles_t *handles, sheaf_handle_kind_t kind, void *thing)
{
    uint32_t index = take_place(handles);
    place_t *place = &handles->places[index];

    place->thing = thing;
    place->kind = kind;
    place->generation++;
    return (uint64_t)place->generation << 32 | (index + 1);
}

void *sheaf_handles_find(const sheaf_handles_t *handles, sheaf_handle_kind_t kind, uint64_t handle)
{
    const place_t *place = place_of(handles, handle);

    return place != NULL && place->kind == kind ? place->thing : NULL;
}

void sheaf_handles_drop(sheaf_handles_t *handles, uint64_t handle)
{
    place_t *place = place_of(handles, handle);

    SHEAF_ASSERT(place != NULL);
    place->kind = SHEAF_HANDLE_FREE;
    place->thing = NULL;
    if (place->generation == UINT32_MAX)
        return; /* its numbers are used up: never again */
    place->next = handles->free;
    handles->free = (uint32_t)(place - handles->places) + 1;
}
