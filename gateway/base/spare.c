#include "gateway/base/spare.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/base/pool.h"

#define STEP    ((size_t)64)
#define CLASSES (SHEAF_SPARE_LARGEST / STEP)
#define LARGE   CLASSES

/* Before each block; 16 bytes, which keeps what follows aligned. */
typedef struct head {
    struct head *next; /* while it waits */
    size_t class;
} head_t;

_Static_assert(sizeof(head_t) == 16, "blocks are aligned as malloc aligns them");

static struct {
    head_t *first;
    size_t count;
} lists[CLASSES];

#if defined(__SANITIZE_ADDRESS__)
#define IS_WATCHED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define IS_WATCHED 1
#endif
#endif
#ifndef IS_WATCHED
#define IS_WATCHED 0
#endif

static size_t class_of(size_t size)
{
    return IS_WATCHED || size > SHEAF_SPARE_LARGEST ? LARGE : size == 0 ? 0 : (size - 1) / STEP;
}

static size_t room_of(size_t class)
{
    return (class + 1) * STEP;
}

void *sheaf_spare_alloc(size_t size)
{
    size_t class = class_of(size);
    head_t *head;

    if (class != LARGE && lists[class].first != NULL) {
        head = lists[class].first;
        lists[class].first = head->next;
        lists[class].count--;
        return head + 1;
    }
    head = sheaf_alloc(sizeof(*head) + (class == LARGE ? size : room_of(class)));
    head->class = class;
    return head + 1;
}

void *sheaf_spare_zalloc(size_t size)
{
    return memset(sheaf_spare_alloc(size), 0, size);
}

void sheaf_spare_free(void *block)
{
    head_t *head;

    if (block == NULL)
        return;
    head = (head_t *)block - 1;
    if (head->class == LARGE || (lists[head->class].count + 1) * room_of(head->class) > SHEAF_SPARE_BYTES) {
        free(head);
        return;
    }
    head->next = lists[head->class].first;
    lists[head->class].first = head;
    lists[head->class].count++;
}

/* From class to class by copying; large ones move as malloc moves them, and stay large however small they get. */
void *sheaf_spare_realloc(void *block, size_t size)
{
    head_t *head;
    void *moved;

    if (block == NULL)
        return sheaf_spare_alloc(size);
    head = (head_t *)block - 1;
    if (head->class == LARGE)
        return (head_t *)sheaf_realloc(head, sizeof(*head) + size) + 1;
    if (size <= room_of(head->class))
        return block;
    moved = sheaf_spare_alloc(size);
    memcpy(moved, block, room_of(head->class));
    sheaf_spare_free(block);
    return moved;
}

void sheaf_spare_trim(void)
{
    for (size_t class = 0; class < CLASSES; class ++) {
        while (lists[class].first != NULL) {
            head_t *head = lists[class].first;

            lists[class].first = head->next;
            free(head);
        }
        lists[class].count = 0;
    }
}
