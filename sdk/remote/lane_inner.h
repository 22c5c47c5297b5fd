/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A lane, between the files that make it up: lane.c shares it, lane_send.c sends, lane_drive.c reads
 * and answers, lane_open.c connects, lane_source.c has changes told, lane_refresh.c asks where nobody does, lane_reopen.c does so in the background, lane_pick.c picks one of
 * a node's (lane_crowd.c, where many ask at once), which lanes.c has.
 *
 * A lane's driver is the thread that has the right to its socket, its parser and what is in
 * flight: at most one, given and taken under the lock. What is queued is under the lock. The lock
 * is never held over a system call but the kernel's own for waiting for it.
 */
#ifndef HEARTH_REMOTE_LANE_INNER_H
#define HEARTH_REMOTE_LANE_INNER_H

#include "base/bell.h"
#include "remote/addresses.h"
#include "remote/exchange.h"

#include <pthread.h>
#include <stdatomic.h>

typedef struct hearth__lane_set hearth__lane_set;

enum {
    HEARTH__LANE_CHUNK = 64 * 1024,
    HEARTH__LANE_WAIT_MS = 5, /* the timeout of a lane's socket */
    HEARTH__LANE_BELLS = 8,
};

/* Strokes of a lane's bells. */
typedef struct hearth__strokes {
    uint32_t of[HEARTH__LANE_BELLS];
} hearth__strokes;

/* Exchanges in their order. */
typedef struct hearth__line {
    hearth__exchange *first;
    hearth__exchange *last;
} hearth__line;

struct hearth__lane {
    hearth__lane_set *set;

    /* Read by all who look for a lane; a hint. */
    _Atomic uint32_t load; /* exchanges queued and in flight, orphans included */
    _Atomic bool open;
    _Atomic uint32_t bulk; /* those of them behind which others shall not stand */
    _Atomic bool bulky;    /* a large reply is under way */
    _Atomic bool reserved; /* one caller has it, or waits until the others are done */
    _Atomic int64_t
        moved_ns; /* when the last exchange was asked for that is sent or next to be */

    pthread_mutex_t lock;
    _Atomic bool driven; /* changed under the lock */
    _Atomic bool queues; /* something is queued; as that */
    /* Under the lock: */
    uint32_t strokes;
    hearth__line queue;

    hearth__bell bells[HEARTH__LANE_BELLS]; /* exchanges are done, or there is a new driver */
    _Atomic int fd;           /* -1: none. A forked child reads it, to close its copy */
    _Atomic int32_t orphans;  /* requests in flight that nobody waits for */
    _Atomic uint32_t misfits; /* answers in a row that did not fit */

    /* The driver's: */
    hearth__line flight;
    hearth__exchange *unsent; /* the first in flight that is not fully sent */
    size_t piece;             /* of its pieces */
    size_t offset;            /* in it */
    uint64_t asked;   /* bytes in all since the connection was made: taken from the queue, */
    uint64_t sent;    /* sent, */
    uint64_t heard;   /* received */
    size_t under_way; /* the size of the reply that is, as far as it is known */
    size_t dropped;   /* of orphans' answers, in a row */
    uint32_t heard_requests; /* of the first in flight */
    bool patient;            /* a wait is likely to be short */
    bool deaf;               /* the server takes no more; what it said may still be read */
    bool doomed;             /* it is to be closed when what came is delivered */
    bool used;               /* it served somebody before */
    uint32_t epoch;          /* of whom it has told of changes, or tried to; 0: nobody */
    int64_t told_ms;         /* before it was to be said whom to tell */
    _Atomic uint32_t
        source; /* 0: nobody is told; changed by the driver, and to 0 by who finds it deaf */
    _Atomic bool deaf_source; /* it had one: the connection is to be closed when it is idle */
    void *parser;
    unsigned char *chunk; /* what one read brings */
};

/* Who drives, while driving. */
typedef struct hearth__drive {
    hearth__lane *lane;
    hearth__exchange *own; /* NULL: the driver wants nothing for itself */
    hearth__answer_taker *taker;
    void *arg;
    hearth__strokes strokes; /* whom to wake */
    int64_t now_ns;          /* by the last look at the clock; 0: none yet */
    int64_t wall_ms;         /* the same of what one read brought */
} hearth__drive;

/* Hints to who looks for a lane. */
static inline uint32_t hearth__lane_load(const hearth__lane *lane) {
    return atomic_load_explicit(&lane->load, memory_order_relaxed);
}

static inline bool hearth__lane_is_open(const hearth__lane *lane) {
    return atomic_load_explicit(&lane->open, memory_order_relaxed);
}

static inline bool hearth__lane_is_reserved(const hearth__lane *lane) {
    return atomic_load_explicit(&lane->reserved, memory_order_relaxed);
}

static inline bool hearth__lane_is_bulky(const hearth__lane *lane) {
    return atomic_load_explicit(&lane->bulky, memory_order_relaxed) ||
           atomic_load_explicit(&lane->bulk, memory_order_relaxed) != 0;
}

/* ---- lane.c ---- */

bool hearth__lane_init(hearth__lane *lane, hearth__lane_set *set);
void hearth__lane_fini(hearth__lane *lane);

enum hearth__join { HEARTH__JOIN_IDLE, HEARTH__JOIN_ANY, HEARTH__JOIN_RESERVED };

/* Opens a new connection to all, and queues the exchange as the first: the caller goes on
 * driving. */
void hearth__lane_admit(hearth__lane *lane, hearth__exchange *exchange, bool waits);

/* Queues an exchange, or does not: it is not open, not idle, or not for us. `waits`:
 * hearth__lanes_finish() follows at once. */
enum hearth__joined { HEARTH__JOINED_NOT, HEARTH__JOINED_QUEUE, HEARTH__JOINED_TO_DRIVE };
enum hearth__joined hearth__lane_join(hearth__lane *lane, hearth__exchange *exchange,
                                      enum hearth__join how, bool waits);

/* Queues an exchange on a lane that the caller drives. */
void hearth__lane_queue(hearth__lane *lane, hearth__exchange *exchange);

/* Takes an exchange that nobody waits for; the caller drives, and puts it in flight. */
void hearth__lane_adopt(hearth__lane *lane, hearth__exchange *exchange);

/* An exchange is no longer the lane's. */
void hearth__lane_unload(hearth__lane *lane, const hearth__exchange *exchange);

/* Whether nobody drives; a hint. */
bool hearth__lane_is_left(const hearth__lane *lane);

/* Takes the right to drive, if nobody has it; only an idle lane, if `idle`. */
bool hearth__lane_take(hearth__lane *lane, bool idle);

/* Whether nobody drives and nothing is asked; what has come by now for those who gave up is dropped first. A hint. */
bool hearth__lane_is_idle(hearth__lane *lane);

/* Wakes whom the drive has answered. */
void hearth__lane_wake(hearth__drive *drive);

/* Counts whether an answer fitted what was asked. */
void hearth__lane_judge(hearth__lane *lane, bool fits);

/* Hands the lane to the oldest who waits, or leaves it; wakes whom the drive has answered. */
void hearth__lane_hand_over(hearth__drive *drive);

/* Leaves a lane that the caller drives. */
void hearth__lane_leave(hearth__lane *lane);

/* ---- lane_send.c ---- */

/* Takes what is queued, and sends without waiting. */
void hearth__lane_send(hearth__lane *lane);

/* Whether something is to be sent when the server takes it. */
bool hearth__lane_wants_to_send(const hearth__lane *lane);

/* ---- lane_drive.c ---- */

/*
 * Sends and reads until the own exchange is done (without one: until nothing is in flight), to the
 * deadline. HEARTH_OK; HEARTH_E_TIMEOUT; any other error: the lane is broken and closed. The
 * caller still drives.
 */
int32_t hearth__lane_drive(hearth__drive *drive, int64_t deadline_ns);

/* Takes what has already come, for those in flight. As hearth__lane_drive(). */
int32_t hearth__lane_drain(hearth__drive *drive);

/* Whether nothing came that nobody asked for, and the connection is there. */
bool hearth__lane_is_quiet(hearth__lane *lane);

/* Closes the connection and fails what is in flight and queued. The caller still drives. */
void hearth__lane_break(hearth__drive *drive, int32_t status);

/* ---- lane_open.c ---- */

/* Connects a lane that is closed, which the caller drives, and greets. */
void hearth__lane_open(hearth__lane *lane, int64_t deadline_ns, hearth__welcome *welcome);

/* Closes the socket and frees what it needed. */
void hearth__lane_close(hearth__lane *lane);

/* ---- lane_source.c ---- */

/* Ends the connection's source, if it has one. */
void hearth__lane_close_source(hearth__lane *lane);

/* If somebody else is to be told of changes than before: what says so, in flight ahead of all that was not sent yet. NULL: nothing is
 * to be said, or there is no memory. */
hearth__exchange *hearth__lane_redirect(hearth__lane *lane);

/* The server has answered to that, or to the same in the greeting. */
void hearth__lane_redirected(hearth__lane *lane, const hearth__notes *notes, hearth__kept kept);

/* The server has answered to what nobody waits for any more: that too says up to when it told of changes. */
void hearth__lane_answered_late(const hearth__lane *lane, const hearth__exchange *exchange);

/* ---- lane_crowd.c ---- */

/* Where many ask at once: queues an exchange, of a caller that waits for it, on one of the few
 * lanes that are enough for them. Or does not: they are not so many, or those lanes do not do. */
enum hearth__joined hearth__lane_join_crowd(hearth__lane_set *set, hearth__exchange *exchange);

/* ---- lane_pick.c ---- */

/* A closed lane, which the caller drives now; NULL: there is none. */
hearth__lane *hearth__lane_set_take_closed(hearth__lane_set *set);

/* A hint. */
bool hearth__lane_set_any_open(const hearth__lane_set *set);

/* ---- lanes.c ---- */

enum hearth__reopener_state {
    HEARTH__REOPENER_NONE,
    HEARTH__REOPENER_STARTS,
    HEARTH__REOPENER_RUNS,
    HEARTH__REOPENER_ENDED /* and is to be joined */
};

/* A thread that looks up the node's name and makes a connection after one could not be made. Under the
 * set's lock. */
typedef struct hearth__reopener {
    enum hearth__reopener_state state;
    pthread_t thread;
    pthread_cond_t due;
    bool awaited;             /* by a caller */
    bool lost;                /* it could not be started the last time */
    bool closing;             /* no more of it */
    bool look_up;             /* the addresses are to be looked up (anew) */
    int64_t looking_since_ns; /* 0: it is not */
    int64_t asked_ns;         /* when somebody wanted a connection */
} hearth__reopener;

struct hearth__lane_set {
    hearth__lanes *lanes; /* the node's */
    uint64_t fork_generation;
    hearth__lane_set *inherited; /* the parent's */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool attempting;             /* one thread makes a connection */
    bool down;                   /* the last one could not be made */
    bool doubtful;               /* it was given too little time to say */
    uint32_t failures;           /* in a row */
    int64_t retry_at_ns;         /* while down */
    hearth__addresses addresses; /* none yet: of a name that was not looked up */
    hearth__reopener reopener;
    _Atomic uint32_t crowd; /* see lane_crowd.c */
    uint32_t count;
    hearth__lane all[];
};

struct hearth__lanes {
    const hearth__codec *codec;
    hearth__node_config config;
    void *node;
    int64_t stall_ns;
    _Atomic(hearth__lane_set *) set;
    _Atomic uint64_t lost; /* connections, before they are closed */
};

/* The set of this process; NULL: no memory. */
hearth__lane_set *hearth__lane_set_own(hearth__lanes *lanes);

/* Under the set's lock: whether the caller may make a connection now. */
bool hearth__lane_set_may_attempt(const hearth__lane_set *set);

/* Under the set's lock: notes a failure to reach the node, and when to try again. */
void hearth__lane_set_failed(hearth__lane_set *set);

/* Under the lanes' no lock: tells the log that the node is down or back. */
void hearth__lane_set_log(const hearth__lane_set *set, const hearth__welcome *welcome);

/* Connects a lane that the caller drives; set->attempting is the caller's, and no longer. */
int32_t hearth__lane_set_attempt(hearth__lane *lane, int64_t deadline_ns);

/* Under the set's lock: waits for one of its conditions; for `changed`: a lane becomes idle or closed, or
 * an attempt ends. False: the deadline passed. */
bool hearth__lane_set_await(hearth__lane_set *set, pthread_cond_t *condition,
                            int64_t deadline_ns);

/* A condition that such waits can be for. False: no memory. */
bool hearth__lane_set_init_condition(pthread_cond_t *condition);

/* For those who wait. */
void hearth__lane_set_changed(hearth__lane_set *set);

/* ---- lane_reopen.c ---- */

/* False: no memory. */
bool hearth__reopener_init(hearth__lane_set *set);

/* Ends the thread, and waits for that: for as long as the system's resolver takes, if it is just asked. */
void hearth__reopener_fini(hearth__lane_set *set);

/* Under no lock: the thread is to end, and there will be no more. False: it has not yet. */
bool hearth__reopener_stop(hearth__lane_set *set);

/* Under no lock: somebody wants a connection that he may not make. Starts the thread if it has work. */
void hearth__reopener_ask(hearth__lane_set *set);

/* Under the set's lock, of a node that is down: if a try is due, one caller waits for it, for a connection's time at the most, so
 * that a probe finds a node that is back. True: it is. False: that is not known; or the caller is not that one, and has not
 * waited. */
bool hearth__reopener_await(hearth__lane_set *set, int64_t deadline_ns);

/* Under the set's lock, after a wait for a connection was in vain: a name that was looked up for so long
 * makes the node one that is down. True: it is so from now on. */
bool hearth__reopener_is_late(hearth__lane_set *set);
void hearth__reopener_tell_late(const hearth__lane_set *set);

/* Under no lock: until it is known whether the node can be used, or the deadline. HEARTH_OK; HEARTH_E_UNAVAILABLE, HEARTH_E_TIMEOUT.
 * Before a caller takes a lane for itself: the thread that finds out needs one. */
int32_t hearth__reopener_await_usable(hearth__lane_set *set, int64_t deadline_ns);

#endif
