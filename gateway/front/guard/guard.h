/* guard/guard.h - what every room of the guard shares.
 *
 * libh2o calls libuv, its own parsers and its own frame decoder through the PLT. A function of the same name in this
 * executable takes their place; it calls the real one, found behind it with dlsym(RTLD_NEXT), and mends what libh2o
 * 2.2.5 gets wrong (libh2o.md). The rooms read libh2o's inner structures, which are those of exactly that version: with
 * a later one there is nothing to mend, and they compile to nothing. */
#ifndef SHEAF_FRONT_GUARD_GUARD_H
#define SHEAF_FRONT_GUARD_GUARD_H

#include <stdbool.h>

#include "gateway/base/error.h"
#include "gateway/front/h2o.h"

/* 2.2.x is library version 0.13.x; 2.3 began 0.14. */
#ifndef SHEAF_GUARD_IS_ON
#define SHEAF_GUARD_IS_ON (H2O_LIBRARY_VERSION_MAJOR == 0 && H2O_LIBRARY_VERSION_MINOR == 13)
#endif

/* Before the definition of a function that takes the place of a library's. */
#define SHEAF_GUARD_REPLACES __attribute__((visibility("default")))

/* One bit per function that was replaced; sheaf_guard_check() wants to see them all. */
typedef enum sheaf_guard_bit {
    SHEAF_GUARD_READS = 1 << 0,
    SHEAF_GUARD_WRITES = 1 << 1,
    SHEAF_GUARD_HTTP1 = 1 << 2,
    SHEAF_GUARD_CHUNKS = 1 << 3,
    SHEAF_GUARD_FRAMES = 1 << 4,
    SHEAF_GUARD_HPACK = 1 << 5,
    SHEAF_GUARD_RESETS = 1 << 6,
    SHEAF_GUARD_ALL = (1 << 7) - 1,
} sheaf_guard_bit_t;

extern unsigned sheaf_guard_bits;

static inline void sheaf_guard_fired(sheaf_guard_bit_t bit)
{
    sheaf_guard_bits |= bit;
}

/* The function of this name that would have been called without us; ends the process if there is none. */
void *sheaf_guard_real(const char *name);

/* Why a request on this connection is none. Set by the room that found out, taken by whoever answers, in the same call
 * of libh2o. */
typedef struct sheaf_objection {
    sheaf_err_t err; /* SHEAF_OK: no fault */
    const char *why; /* literal */
} sheaf_objection_t;

/* Takes it: fills `fail` and clears the fault. False when there is none. */
bool sheaf_objection_take(sheaf_objection_t *fault, sheaf_fail_t *fail);

#endif
