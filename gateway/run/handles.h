/* run/handles.h - numbers that stand for things which may be gone: what plugins hold instead of pointers.
 *
 *   handle = generation << 32 | place + 1       a place that is used again has another generation
 *
 * So a handle that was kept too long finds nothing, whatever has come to its place since. 0 is never a handle. */
#ifndef SHEAF_RUN_HANDLES_H
#define SHEAF_RUN_HANDLES_H

#include "gateway/base/str.h"

typedef enum sheaf_handle_kind {
    SHEAF_HANDLE_FREE,
    SHEAF_HANDLE_ASKED, /* a request or an item */
    SHEAF_HANDLE_TIMER,
    SHEAF_HANDLE_WATCH,
    SHEAF_HANDLE_CALL,
} sheaf_handle_kind_t;

typedef struct sheaf_handles {
    struct sheaf_handle_place *places;
    uint32_t count, size;
    uint32_t free; /* the first place that is free, plus 1; 0: none */
} sheaf_handles_t;

void sheaf_handles_init(sheaf_handles_t *handles);
void sheaf_handles_fini(sheaf_handles_t *handles);

/* A handle for `thing`, which is not NULL. */
uint64_t sheaf_handles_take(sheaf_handles_t *handles, sheaf_handle_kind_t kind, void *thing);
/* The thing, or NULL when it is gone or of another kind. */
void *sheaf_handles_find(const sheaf_handles_t *handles, sheaf_handle_kind_t kind, uint64_t handle);
/* The thing goes: its handle finds nothing from here on. */
void sheaf_handles_drop(sheaf_handles_t *handles, uint64_t handle);

#endif
