/* run/crew.h - the workers that a supervisor keeps: born, watched, buried.
 *
 * One place per worker, which is its slot of the metrics region too. A dead worker's place is filled again at once; one
 * that keeps dying young has to wait, up to 5 s. One that shows no sign of life for `stuck_after` gets SIGABRT (a core
 * tells where it was), then SIGKILL, and is replaced like any other; meanwhile its siblings accept from the same
 * sockets. */
#ifndef SHEAF_RUN_CREW_H
#define SHEAF_RUN_CREW_H

#include <poll.h>
#include <sys/types.h>

#include "gateway/base/metrics.h"
#include "gateway/run/control.h"
#include "gateway/run/pulse.h"

#define SHEAF_CREW_MOST 256

typedef struct sheaf_child {
    pid_t pid; /* 0: not running */
    int control_fd;
    uint64_t started_ms;
    uint64_t restart_at_ms; /* SHEAF_NEVER: not to be restarted */
    uint32_t backoff_ms;
    bool is_ready;
    bool is_preparing; /* has a PREPARE to answer */
    bool is_reopening; /* has a REOPEN to answer */
    bool must_reopen;  /* is to be told to; who was asked for it often meanwhile is told once */
    bool is_retiring;  /* not needed any more: its end is no death */
    bool is_silent;    /* closed its end: SIGCHLD follows, which may take its time */
    bool is_stuck;     /* got SIGABRT, SIGKILL follows at kill_at_ms */
    uint64_t kill_at_ms;
    sheaf_pulse_t pulse;
} sheaf_child_t;

typedef struct sheaf_crew {
    sheaf_child_t children[SHEAF_CREW_MOST];
    uint32_t wanted;                /* places to keep filled: the first so many; 0: nobody is replaced any more */
    sheaf_metrics_region_t *region; /* SHEAF_CREW_MOST slots and the supervisor's */
    sheaf_metrics_t *metrics;       /* the supervisor's */
    /* What the new process does, with the end of its control socket. Does not return. */
    void (*become)(void *data, uint32_t index, int control_fd);
    void *data;
} sheaf_crew_t;

/* A place that is wanted, empty and not made to wait; NULL: none. `*ret_index` is where. */
sheaf_child_t *sheaf_crew_missing(sheaf_crew_t *crew, uint64_t now_ms, uint32_t *ret_index);

/* Forks a worker for the place. False when the system refuses: it is tried again later. */
bool sheaf_crew_start(sheaf_crew_t *crew, uint32_t index);

/* The process `pid` ended. False when it was none of the crew. */
bool sheaf_crew_bury(sheaf_crew_t *crew, pid_t pid, int status);

/* All that are there open their files anew: each is told in sheaf_crew_watch. */
void sheaf_crew_reopen(sheaf_crew_t *crew);

/* Looks whether anybody is stuck, and tells what is to be told. stuck_after_ms 0: nobody ever is. */
void sheaf_crew_watch(sheaf_crew_t *crew, uint64_t now_ms, uint64_t stuck_after_ms);

/* When the next start, look or SIGKILL is due; SHEAF_NEVER: none. */
uint64_t sheaf_crew_next_ms(const sheaf_crew_t *crew, uint64_t now_ms, uint64_t stuck_after_ms);

/* Which of them may speak: `polls` has SHEAF_CREW_MOST entries, by place. Returns how many of them to poll for: poll(2)
 * refuses more than there may be open files. */
uint32_t sheaf_crew_polls(const sheaf_crew_t *crew, struct pollfd *polls);

void sheaf_crew_tell(const sheaf_crew_t *crew, uint32_t first, uint32_t kind, uint32_t generation);
/* Those in places that are not wanted any more finish and go. */
void sheaf_crew_retire_surplus(sheaf_crew_t *crew);

void sheaf_crew_kill(const sheaf_crew_t *crew);
uint32_t sheaf_crew_count(const sheaf_crew_t *crew);
bool sheaf_crew_is_ready(const sheaf_crew_t *crew); /* all that are wanted */

/* In a new process: it dies with its supervisor. Asked again after a change of user, which takes it back. */
void sheaf_crew_follow(pid_t parent);

/* In a new process: closes the supervisor's ends of all control sockets. */
void sheaf_crew_leave(sheaf_crew_t *crew);

/* How long the supervisor waits for a stuck one to go by itself. */
#define SHEAF_CREW_ABORT_MS 2000

#endif
