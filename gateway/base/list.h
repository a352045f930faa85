/* base/list.h - intrusive doubly linked ring. A node is alone when it points at itself (or is all zero). */
#ifndef SHEAF_BASE_LIST_H
#define SHEAF_BASE_LIST_H

#include "gateway/base/str.h"

typedef struct sheaf_link {
    struct sheaf_link *next, *prev;
} sheaf_link_t;

static inline void sheaf_list_init(sheaf_link_t *list)
{
    list->next = list->prev = list;
}

static inline bool sheaf_list_is_empty(const sheaf_link_t *list)
{
    return list->next == list;
}

static inline void sheaf_list_push_back(sheaf_link_t *list, sheaf_link_t *link)
{
    link->next = list;
    link->prev = list->prev;
    list->prev->next = link;
    list->prev = link;
}

static inline void sheaf_list_push_front(sheaf_link_t *list, sheaf_link_t *link)
{
    sheaf_list_push_back(list->next, link);
}

/* Takes `link` off whatever ring it is on; harmless when it is on none. */
static inline void sheaf_list_remove(sheaf_link_t *link)
{
    if (link->next == NULL)
        return;
    link->next->prev = link->prev;
    link->prev->next = link->next;
    link->next = link->prev = NULL;
}

#endif
