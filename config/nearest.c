#include "config/nearest.h"

sheaf_nearest_t sheaf_nearest_start(sheaf_str_t wanted)
{
    /* one slip in three letters is a slip, more is another word */
    return (sheaf_nearest_t){wanted, SHEAF_STR_NONE, (uint32_t)(wanted.len < 6 ? 2 : wanted.len / 3) + 1};
}

void sheaf_nearest_try(sheaf_nearest_t *nearest, sheaf_str_t name)
{
    uint32_t distance = sheaf_str_distance(nearest->wanted, name);

    if (distance < nearest->distance && distance < name.len) {
        nearest->distance = distance;
        nearest->name = name;
    }
}
