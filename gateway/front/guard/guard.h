/* guard/guard.h - what every room of the guard shares.
 *
 * libh2o calls libuv, its own parsers and its own frame decoder through the PLT. A function of the same name in this
 * executable takes their place; it calls the real one, found behind it with dlsym(RTLD_NEXT), and mends what libh2o
 * 2.2.5 gets wrong (libh2o.md). The rooms read libh2o's inner structures, which are those of exactly that version: with
 * a later one there is nothing to mend, and they compile to nothing. */
#ifndef SHEAF_FRONT_GUARD_GUARD_H
#define SHEAF_FRONT_GUARD_GUARD_H

#include <stdbool.h>

#include "gateway/front/h2o.h"

/* 2.2.x is library version 0.13.x; 2.3 began 0.14. */
#define SHEAF_GUARD_IS_ON (H2O_LIBRARY_VERSION_MAJOR == 0 && H2O_LIBRARY_VERSION_MINOR == 13)

/* Before the definition of a function that takes the place of a library's. */
#define SHEAF_GUARD_REPLACES __attribute__((visibility("default")))

/* The function of this name that would have been called without us; ends the process if there is none. */
void *sheaf_guard_real(const char *name);

#endif
