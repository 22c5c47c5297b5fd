/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The remote room: node -> bytes. Which node owns a key is the caller's business (the ring's);
 * this room opens the connections, speaks the servers' protocols, keeps deadlines, and reads
 * and writes the wire format of a value.
 */
#ifndef HEARTH_REMOTE_REMOTE_H
#define HEARTH_REMOTE_REMOTE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/log.h"
#include "base/seats.h"

typedef struct hearth__remote hearth__remote;

/* A server's address, as configured. */
typedef struct hearth__node_address {
    char *host; /* host name or address (IPv6 without brackets), or the path of a unix socket */
    uint16_t port; /* 0: `host` is a path */
    uint32_t weight;
} hearth__node_address;

enum hearth__remote_kind { HEARTH__EMBEDDED, HEARTH__REDIS, HEARTH__MEMCACHED };

/* What `remote.url` says. */
typedef struct hearth__remote_url {
    enum hearth__remote_kind kind;
    hearth__node_address *nodes; /* at least one; embedded: one, named "embedded" */
    size_t count;
    char *user;        /* NULL: none */
    char *password;    /* NULL: none */
    uint32_t database; /* Redis only */
} hearth__remote_url;

/*
 * Parses a `remote.url`. HEARTH_OK; HEARTH_E_INVALID or HEARTH_E_UNSUPPORTED with a sentence in
 * `why` that says what is wrong and what is allowed (never a password); HEARTH_E_NOMEM. On
 * HEARTH_OK the caller frees it by fini.
 */
int32_t hearth__remote_url_parse(const char *text, hearth__remote_url *url, char *why,
                                 size_t why_size);
void hearth__remote_url_fini(hearth__remote_url *url);

/* Who speaks with Memcached. */
enum hearth__memcached_client { HEARTH__MEMCACHED_HEARTH, HEARTH__MEMCACHED_LIBMEMCACHED };

/* How the names of all canaries begin, which are within nobody's prefix. They live so long after they were last set. */
#define HEARTH__CANARY "hearth-canary:"
enum { HEARTH__CANARY_LIFE_MS = 60000, HEARTH__CANARY_SIZE = 40 };

/*
 * Who is told of changes of what is read, where a server tells of them (Redis): the caller's functions. A connection that has a
 * source says so with every answer; the source ends with it, or before.
 */
typedef struct hearth__tracker {
    void *arg;
    /* A node comes, or goes: a number for the next two. HEARTH_OK, HEARTH_E_NOMEM. */
    int32_t (*listen)(void *arg, const char *host, uint16_t port, uint32_t *listened);
    void (*unlisten)(void *arg, uint32_t listened);
    /* Whom a new connection is to have told, and of which epoch; 0: nobody, now. Any thread. */
    uint32_t (*redirect)(void *arg, uint32_t listened, int64_t *client_id);
    /* A connection has, as it answered to a command sent at sent_ms (hearth__boot_ms()): its source; 0: it is too late. */
    uint32_t (*open)(void *arg, uint32_t listened, uint32_t epoch, int64_t sent_ms);
    void (*answered)(void *arg, uint32_t source, int64_t sent_ms);
    void (*close)(void *arg, uint32_t source);
    /* NULL: connections have sources, as above. Else nodes tell of all changes: the source of what is asked of the node from now on,
     * and whether it is one of this key's. Any thread. */
    uint32_t (*source)(void *arg, uint32_t listened);
    bool (*covers)(void *arg, const void *key, size_t key_size);
    /* The thread that refreshes: whether the source's key (HEARTH__CANARY) is to be read and set now; that was answered, and
     * done or not; whether it was not told of that, so that its copies count as changed and its connection is to be closed. */
    bool (*begin_canary)(void *arg, uint32_t source);
    void (*end_canary)(void *arg, uint32_t source, bool written);
    bool (*is_deaf)(void *arg, uint32_t source);
    /* How the name of such a key begins; behind it the source's number follows. */
    char canary[HEARTH__CANARY_SIZE];
} hearth__tracker;

/* What hearth__remote_open() needs; all is copied but `tracker`, `counters` and `log`, which must
 * outlive the remote. */
typedef struct hearth__remote_config {
    const hearth__remote_url *url;
    uint32_t lanes;              /* connections to a node at the most */
    int64_t timeout_ms;          /* for opening a connection, within the operation's deadline */
    int64_t restart_distrust_ms; /* of what a server may have from before it ended */
    int64_t
        stall_ms; /* how long after a deadline a node may be silent before its connection counts as dead */
    size_t max_value_bytes;    /* of a value's body */
    size_t embedded_max_bytes; /* of the embedded tier */
    bool accept_foreign;       /* values without our header are answers */
    enum hearth__memcached_client memcached_client;
    bool memcached_text; /* never the meta protocol: for tests */
    int64_t
        retry_ms; /* the least time between two tries to connect to a node that fails; 0: a second. For tests */
    const hearth__tracker *tracker; /* NULL: nobody is told */
    hearth__seats *counters;        /* of base/stat.h */
    hearth__log *log;               /* may be NULL */
} hearth__remote_config;

/* HEARTH_OK, HEARTH_E_NOMEM. Connects to nothing. */
int32_t hearth__remote_open(const hearth__remote_config *config, hearth__remote **remote);

/* Nobody may be inside. Closes the connections. NULL is allowed. */
void hearth__remote_close(hearth__remote *remote);

/* The most nodes that are there at once, those that are about to go included: numbers are below this. */
enum { HEARTH__REMOTE_NODES = 2048 };

/*
 * Adds a node, and says its number: one that no other node has now. Whoever asks it must know of this call (an
 * acquire of what was released after it). HEARTH_OK; HEARTH_E_NOMEM; HEARTH_E_OVERLOAD: there are too many.
 * Connects to nothing. Adding and removing is for one thread at a time.
 */
int32_t hearth__remote_add(hearth__remote *remote, const hearth__node_address *address,
                           uint32_t *node);

/* Nobody may ask that node any more. Closes its connections; its number is free. */
void hearth__remote_remove(hearth__remote *remote, uint32_t node);

/* Nobody may ask that node any more: tells a thread of its own to end. False: it has not yet, and removing the node would wait. */
bool hearth__remote_stop(const hearth__remote *remote, uint32_t node);

/* No node's number was ever this or more. Any thread. */
uint32_t hearth__remote_limit(const hearth__remote *remote);

/* Whether a read with `want_ttl` learns the remaining life from the server's own clock. */
bool hearth__remote_knows_ttl(const hearth__remote *remote);

/* What is at a key. */
enum hearth__kind {
    HEARTH__KIND_VALUE = 0,
    HEARTH__KIND_ABSENT = 1,  /* known not to exist */
    HEARTH__KIND_LEASE = 2,   /* somebody loads it */
    HEARTH__KIND_STALE = 3,   /* a value marked stale */
    HEARTH__KIND_INTEGER = 4, /* bare digits */
    HEARTH__KIND_FOREIGN = 5, /* a value without our header */
};

enum hearth__verb {
    HEARTH__GET,
    HEARTH__SET,       /* whatever is there */
    HEARTH__ADD,       /* where nothing, an absence, a lease or a value marked stale is */
    HEARTH__REPLACE,   /* where a value or integer is, be it marked stale */
    HEARTH__SWAP,      /* where the value (of any kind) with version `if_version` is */
    HEARTH__TOUCH,     /* a new life for a value or integer */
    HEARTH__INCREMENT, /* of an integer */
    HEARTH__DELETE,
    HEARTH__MARK, /* of a value: it is stale from now on, and stays; what else is there goes, but numbers */
    HEARTH__LEASE,   /* where nothing is: a placeholder with `token` */
    HEARTH__FILL,    /* where the placeholder with `token` is: a value */
    HEARTH__EXTEND,  /* a new life for the placeholder with `token` */
    HEARTH__RELEASE, /* of the placeholder with `token`: it goes */
    HEARTH__FILTER,  /* a step of what processes do with a filter that they share: `filter` */
};

/*
 * What can be done with a filter at a server (guard/bloom_share.h says which bytes go and come). `key` is the name of all that
 * belongs to it; `data` are a step's words, and what is answered comes to `body`. Each step is one at the server.
 */
enum hearth__filter_step {
    HEARTH__FILTER_LOOK,    /* what there is, and what was inserted since */
    HEARTH__FILTER_INSERT,  /* into it, and into the next one */
    HEARTH__FILTER_READ,    /* a piece of its blocks */
    HEARTH__FILTER_BEGIN,   /* the next one, empty: from now on every insert goes into both */
    HEARTH__FILTER_APPEND,  /* a piece to what is to be merged into the next one */
    HEARTH__FILTER_PUBLISH, /* the next one is the filter */
    HEARTH__FILTER_ABANDON, /* there is no next one */
    HEARTH__FILTER_RETIRE,  /* there is no filter */
    HEARTH__FILTER_STEPS
};

/* The most that the tags of a value take, their lengths included. */
enum { HEARTH__TAGS_BYTES = 1024 };

/* What tells a lease from all others. */
enum { HEARTH__TOKEN_BYTES = 16 };

/* A status of hearth__remote_op beside the public ones: nothing was tried yet. */
#define HEARTH__PENDING INT32_MIN

/* One operation on one key. The caller fills the upper part; the lower part is the answer. */
typedef struct hearth__remote_op {
    enum hearth__verb verb;
    uint32_t
        node; /* its number: of hearth__remote_open(), by its position in the url; of hearth__remote_add() */
    const void *key; /* prefix, namespace and key together, 1 to HEARTH__FULL_KEY_MAX bytes */
    size_t key_size;
    const void *asker; /* the caller's own */
    const void *data;  /* SET, ADD, REPLACE, SWAP, FILL: the body */
    size_t data_size;
    const void *tags;           /* stores of a VALUE: each a byte of length and its bytes */
    size_t tags_size;           /* at most HEARTH__TAGS_BYTES; 0: it has none */
    uint64_t stamp;             /* of the tags' clock, from before what is stored was loaded */
    const unsigned char *token; /* LEASE and the verbs on a lease: HEARTH__TOKEN_BYTES */
    enum hearth__filter_step filter; /* FILTER */
    enum hearth__kind
        kind; /* of what is stored: VALUE, ABSENT or INTEGER; LEASE, EXTEND, RELEASE: LEASE */
    uint32_t content;
    uint64_t version; /* of what is stored: of hearth__remote_new_version() */
    uint64_t
        known_version; /* GET with `want_ttl`, on Redis: asks whether just this is there, and for nothing of its body; 0: for
                               all of it */
    uint32_t delta_ms; /* how long its load took */
    bool want_ttl;     /* GET: `left_ms` is needed exactly, since a local copy may be kept */
    bool
        check; /* SET, ADD, REPLACE, SWAP, FILL, on Redis: what is there then is looked at, so that changes of it are told */
    bool same_body;   /* SWAP: that version has the same body, which need not be sent again */
    bool heard;       /* answer: the node said something; it may be false all the same */
    int64_t heard_ms; /* when, by the wall clock; 0: just now */
    int64_t soft_ttl_ms; /* stores and TOUCH: soft life from now; 0: none */
    int64_t ttl_ms;      /* stores and TOUCH: hard life from now; 0: for ever */
    int64_t age_ms; /* stores: how long ago its load or write began, by this process's clock */
    uint64_t if_version;  /* SWAP */
    int64_t number;       /* INCREMENT: what is added. Answer: the new number */
    hearth__buffer *body; /* GET: where the bytes go; NULL: not wanted */

    int32_t status;          /* see hearth__remote_execute() */
    bool checked;            /* with `check` and OK: just this is there, for `left_ms` more */
    bool changed;            /* with `known_version` and MISS: something else is there */
    uint32_t source;         /* of the connection that answered, for the tracker; 0: none */
    enum hearth__kind found; /* GET, with OK or ABSENT; with MISS it is LEASE if one is there */
    size_t found_tags_size;  /* of its tags, which stand behind the body in `body` */
    uint64_t found_stamp;
    uint32_t found_content;
    uint32_t found_delta_ms;
    uint64_t found_version; /* also of a value that was refused as damaged or over: what SWAP
                               needs to replace it; else 0. MARK: of what was marked */
    int64_t found_age_ms;   /* since its load or write began */
    int64_t left_ms;        /* until hard expiry; 0: not to be kept; -1: for ever */
    int64_t soft_left_ms;   /* until soft expiry, negative: past it; INT64_MAX: none */
} hearth__remote_op;

/* Prefix and namespace have at most 250 bytes together, and a generation 19; what is said of a key may stand at that key with a few
 * bytes before it. */
#define HEARTH__FULL_KEY_MAX (32768 + 250 + 19 + 16)

/*
 * Carries out `count` operations: grouped by node, in each node's order, all nodes' requests
 * written before any answer is awaited (as far as the server's library can: libmemcached
 * pipelines reads only). Any thread; blocks to `deadline_ns` (hearth__monotonic_ns()), no
 * longer; holds no lock of its own while it waits for a server.
 *
 * Fills status and answer of each op:
 *
 *  GET        OK (found: VALUE, STALE, INTEGER, or FOREIGN if accepted; the body), ABSENT, MISS
 *             (nothing, a lease, or a value that was refused and counted: foreign, damaged,
 *             newer, of another key)
 *  SET        OK
 *  ADD        OK, EXISTS
 *  REPLACE    OK, MISS, CONFLICT (it kept changing)
 *  SWAP       OK, CONFLICT (another version or kind), MISS (nothing)
 *  TOUCH      OK, MISS, CONFLICT (it kept changing)
 *  INCREMENT  OK, MISS, E_TYPE, E_TOO_LARGE
 *  DELETE     OK (a value was there), MISS (nothing, or what was no value: removed)
 *  MARK       OK (it has the version after `found_version` now: hearth__remote_marked_version()), MISS (as DELETE's), E_TYPE (a
 *             number, or foreign: it stays as it is), CONFLICT (it kept changing)
 *  LEASE      OK, EXISTS (something is there: a GET tells what)
 *  FILL, EXTEND, RELEASE
 *             OK, MISS (nothing is there any more), CONFLICT (something else is)
 *  FILTER     OK, E_UNSUPPORTED (not by this kind of server)
 *
 * A lease stands at the key itself, so that whatever is written or deleted there voids it, a delete of what never existed too. Its
 * holder's FILL compares and sets in one step. Leases for what a key already holds stand at a key of their own.
 *
 * and for all: E_UNAVAILABLE, E_TIMEOUT, E_PROTOCOL, E_TYPE, E_TOO_LARGE, E_NOMEM; for writes
 * E_UNKNOWN (sent, answer lost; or too large, and an older value may be there still: after
 * E_TOO_LARGE none is, where the store's condition held). A write is never sent twice, but a DELETE
 * once more when its connection broke. On an error `body` is empty. No answer is ever given to
 * another operation: a connection that did not answer all it was asked in time, or answered
 * something unexpected, is closed.
 */
void hearth__remote_execute(hearth__remote *remote, hearth__remote_op *ops, size_t count,
                            int64_t deadline_ns);

/* The same in two steps, which any two threads may take, and between which the caller may do what it likes: what is asked is sent,
 * and what is answered is taken by the second step, by whose end `ops` must stay. NULL: nothing has happened, and it is to be
 * executed in one; nodes of this kind can do no other, or there is no memory. */
typedef struct hearth__remote_call hearth__remote_call;
hearth__remote_call *hearth__remote_begin(hearth__remote *remote, hearth__remote_op *ops,
                                          size_t count, int64_t deadline_ns);
void hearth__remote_finish(hearth__remote_call *call);

/* Asks something on each connection to a node that has a source and is idle, and closes those that have not answered for long.
 * Blocks for stall_ms a connection at the most. Any thread. */
void hearth__remote_refresh(hearth__remote *remote, uint32_t node);

/*
 * Connects to where a node is, for another use than the remote's: to a path if the port is 0. HEARTH_OK: *fd is the socket, which
 * does not block; else why not. *fd names the socket from the moment it exists. A name is looked up by this thread, which may take
 * longer than the deadline.
 */
int32_t hearth__remote_connect(const char *host, uint16_t port, int64_t deadline_ns,
                               _Atomic int *fd, char *why, size_t why_size);

/* A new version: 48 bits of wall-clock ms, 16 bits of a counter with a random start. Any
 * thread. */
uint64_t hearth__remote_new_version(hearth__remote *remote);

/* The version that a value of this version has once it is marked stale: a compare of what was read before fails. Its time stays, from
 * which its lives count. */
uint64_t hearth__remote_marked_version(uint64_t version);

/*
 * A number that changes when a connection to the node is lost. A server that was restarted may have a lease again, but not the
 * delete that voided it: a FILL goes only to a node with which no connection was lost since its LEASE was asked for. Any thread.
 */
uint64_t hearth__remote_generation(const hearth__remote *remote, uint32_t node);

/*
 * Whether what was written at that time (wall clock) may be older at the node than what it has acknowledged: it came back from a
 * snapshot, or another server is in its place, less than restart_distrust_ms ago. Of Redis, unless that is 0. Any thread.
 */
bool hearth__remote_distrusts(const hearth__remote *remote, uint32_t node, int64_t written_ms);

/* Whether bytes can be stored as an INTEGER: canonical ASCII digits, 0 to 2^63-1. */
bool hearth__remote_is_integer(const void *data, size_t size);

/* What a node did so far. */
typedef struct hearth__node_stats {
    const char *name; /* the node's, lives as long */
    uint64_t requests;
    uint64_t errors;
} hearth__node_stats;

/* Any thread. */
void hearth__remote_node_stats(const hearth__remote *remote, uint32_t node,
                               hearth__node_stats *stats);

#endif
