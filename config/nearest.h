/* config/nearest.h - what somebody who wrote an unknown word probably meant. */
#ifndef SHEAF_CONFIG_NEAREST_H
#define SHEAF_CONFIG_NEAREST_H

#include "gateway/base/str.h"

typedef struct sheaf_nearest {
    sheaf_str_t wanted, name; /* name: the nearest so far; absent while none is near */
    uint32_t distance;
} sheaf_nearest_t;

sheaf_nearest_t sheaf_nearest_start(sheaf_str_t wanted);
/* `name` is borrowed for as long as `nearest` is used. */
void sheaf_nearest_try(sheaf_nearest_t *nearest, sheaf_str_t name);

#endif
