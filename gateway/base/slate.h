/* base/slate.h - small facts that one process writes and all read: a bounded table of numbers by key.
 *
 * One memfd region, made before the fork. One process writes at a time (its successor goes on where it died), so nothing is
 * locked. After every change of which others are to know `version` grows: a reader that has seen it costs itself one
 * load, and reads its lines again when there is a newer one. What it read in the midst of a change it reads again then.
 *
 *   writer: begin_round, hold each key that is of use, end_round: what nobody held is wiped; write, write, ...
 *   reader: is_news? then read each key
 *
 * A key is a hash (sheaf_slate_key) and has one of SHEAF_SLATE_REACH lines: two keys of one hash share their fact. */
#ifndef SHEAF_BASE_SLATE_H
#define SHEAF_BASE_SLATE_H

#include <stdatomic.h>

#include "gateway/base/str.h"

#define SHEAF_SLATE_LINES    16384 /* of the gateway's; a power of two */
#define SHEAF_SLATE_REACH    64    /* lines that a key may be on */
#define SHEAF_SLATE_NO_KEY   ((uint64_t)0)
#define SHEAF_SLATE_KEY_SEED UINT64_C(0xcbf29ce484222325)

typedef struct sheaf_slate_line {
    _Atomic uint64_t key; /* 0: never used, 1: wiped */
    _Atomic uint64_t value;
    _Atomic uint64_t round; /* the last one that held it; the writer's */
} sheaf_slate_line_t;

typedef struct sheaf_slate {
    _Atomic uint64_t version;
    _Atomic uint64_t round;
    uint64_t count; /* lines there are */
    sheaf_slate_line_t lines[];
} sheaf_slate_t;

/* Shared with processes forked later. NULL when the system refuses. `lines`: a power of two. */
sheaf_slate_t *sheaf_slate_new(uint32_t lines);
void sheaf_slate_free(sheaf_slate_t *slate); /* NULL is fine */

/* Adds `text` to a key that begins as SHEAF_SLATE_KEY_SEED; "a","b" and "ab" differ. */
uint64_t sheaf_slate_key(uint64_t key, sheaf_str_t text);

/* --- readers --- */

/* True when there is something newer than `*version`, which becomes the newest: read again. Begin with UINT64_MAX. */
static inline bool sheaf_slate_is_news(const sheaf_slate_t *slate, uint64_t *version)
{
    uint64_t newest = atomic_load_explicit(&slate->version, memory_order_acquire);
    bool is_news = newest != *version;

    *version = newest;
    return is_news;
}

/* 0 when the key is on no line. */
uint64_t sheaf_slate_read(const sheaf_slate_t *slate, uint64_t key);

/* --- the writer --- */

void sheaf_slate_begin_round(sheaf_slate_t *slate);
/* The line of `key` with what it says, or a new one that says 0; NULL: there is no room for it. */
sheaf_slate_line_t *sheaf_slate_hold(sheaf_slate_t *slate, uint64_t key);
/* Wipes what was not held since begin_round, and tells the readers. */
void sheaf_slate_end_round(sheaf_slate_t *slate);

/* Nobody holds it any more. */
void sheaf_slate_wipe(sheaf_slate_line_t *line);

uint64_t sheaf_slate_value(const sheaf_slate_line_t *line);
/* is_news: tells the readers. */
void sheaf_slate_write(sheaf_slate_t *slate, sheaf_slate_line_t *line, uint64_t value, bool is_news);

#endif
