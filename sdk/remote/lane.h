/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lanes: a node's connections, a few, shared by all threads; of any protocol (lane_codec.h).
 *
 * Who asks takes an idle lane if there is one, and drives it: sends, reads, and has its answer
 * as if the connection were its own. If all are busy, its exchange waits in a lane's queue. Where
 * many ask at once they use only as many lanes as their number needs: a pipeline of eight on one
 * lane costs less than two of four. The
 * thread that drives a lane sends all that is queued in one go, gives every answer that comes to
 * whom it belongs, and hands the lane to the oldest of those who wait once its own answer is
 * there. So many threads make pipelines without knowing of each other.
 *
 * Exchanges belong to the lanes, never to a thread's stack: who gives up at its deadline leaves
 * its exchange behind, as an orphan whose replies are read and dropped in their place. Only what
 * shows that the connection is out of step or dead closes it, and with it fails what was asked
 * there: a reply that cannot be one, silence (the oldest exchange in flight is
 * unanswered `stall_ms` after its deadline), or too many orphans. No reply is ever given to
 * another request.
 *
 * No lock is held over a system call. Any thread may call these.
 */
#ifndef HEARTH_REMOTE_LANE_H
#define HEARTH_REMOTE_LANE_H

#include "remote/backend.h"
#include "remote/lane_codec.h"

typedef struct hearth__lanes hearth__lanes;

/* `codec`, `config` and what it points to, and `node`, which is the codec's, must outlive the
 * lanes. Connects to nothing. HEARTH_OK, HEARTH_E_NOMEM. */
int32_t hearth__lanes_create(const hearth__codec *codec, const hearth__node_config *config,
                             void *node, hearth__lanes **lanes);

/* Nobody may be inside. Closes the connections. In a forked child what came from the parent is
 * left alone but for the child's copies of the sockets. NULL is allowed. */
void hearth__lanes_destroy(hearth__lanes *lanes);

/* Nobody asks them any more. Tells a thread that looks up the node's name or connects to it to end. False: it has not yet, and
 * destroying them would wait for it. */
bool hearth__lanes_stop(const hearth__lanes *lanes);

/* How many connections were lost so far, those included whose end nobody has come across yet. */
uint64_t hearth__lanes_lost(hearth__lanes *lanes);

/* Asks something on idle connections that have a source; closes those that have not answered for long. Blocks for
 * stall_ms each at the most. */
void hearth__lanes_refresh(hearth__lanes *lanes);

/*
 * An exchange for up to `requests` requests, to be filled (lane_codec.h) and then given to
 * hearth__lanes_begin() or hearth__exchange_discard(). NULL: no memory.
 */
hearth__exchange *hearth__exchange_create(uint32_t requests);

/* Says when its requests are asked for, by the monotonic clock: before they are composed. */
void hearth__exchange_begin(hearth__exchange *exchange, int64_t now_ns);
void hearth__exchange_discard(hearth__exchange *exchange);

/* What was said so far. */
size_t hearth__exchange_bytes(const hearth__exchange *exchange);
uint32_t hearth__exchange_requests(const hearth__exchange *exchange);

/* A lane that one caller has to itself, for requests that must not mix with others'. */
typedef struct hearth__lane hearth__lane;

/* Waits for one, to the deadline. HEARTH_OK, or why there is none, as hearth__lanes_begin(). */
int32_t hearth__lanes_reserve(hearth__lanes *lanes, int64_t deadline_ns, hearth__lane **lane);

/* `clean`: it is as it was; else its connection is closed. */
void hearth__lanes_unreserve(hearth__lane *lane, bool clean);

/* How an exchange is sent. */
typedef struct hearth__way {
    hearth__lane *lane; /* reserved before; NULL: any */
    bool fresh;         /* not on a connection that nothing was heard of for a while */
    bool at_once;   /* hearth__lanes_finish() follows at once: nothing is waited for before */
    int64_t now_ns; /* the clock, as it was a moment ago; 0: it is to be looked at */
} hearth__way;

/*
 * Queues an exchange on a lane, opening one if that is needed, and sends it if nobody else will.
 * May block while a connection is made: to the deadline, or for half of the time to it if not at_once. HEARTH_OK: hearth__lanes_finish() must
 * follow, on this thread. Else nothing was sent and the exchange is gone: HEARTH_E_UNAVAILABLE: no
 * connection, just now or a moment ago; HEARTH_E_TIMEOUT, HEARTH_E_PROTOCOL, HEARTH_E_NOMEM.
 */
int32_t hearth__lanes_begin(hearth__lanes *lanes, hearth__exchange *exchange,
                            const hearth__way *way, int64_t deadline_ns);

/* Takes the answer to the request at `index`; called on the thread that asked, in order. False: it
 * does not fit what was asked: once that can be the server's data, twice in a row it is a
 * connection out of step, which is then closed. */
typedef bool hearth__answer_taker(void *arg, uint32_t index, const hearth__notes *notes,
                                  hearth__kept kept);

/* How an exchange ended. */
typedef struct hearth__outcome {
    int32_t status;    /* HEARTH_OK: all were answered */
    uint32_t answered; /* requests whose answers were taken */
    uint32_t sent;     /* requests of which the server may have got something, these included */
    bool
        given_up; /* the connection had served others, and the server said nothing more on it */
    bool victim;  /* it was closed for what had nothing to do with this exchange */
} hearth__outcome;

/*
 * Awaits the answers, driving the lane or not, to the deadline and no longer; what had come by
 * then is still taken. The exchange is gone afterwards. Statuses besides HEARTH_OK:
 * HEARTH_E_TIMEOUT; HEARTH_E_UNAVAILABLE: the connection ended; the codec's.
 */
hearth__outcome hearth__lanes_finish(hearth__exchange *exchange, int64_t deadline_ns,
                                     hearth__answer_taker *taker, void *arg);

#endif
