/* SPDX-License-Identifier: Apache-2.0 */
/* The suite `hotkey`: what it can be told, and what its files share. */
#ifndef HEARTH_BENCH_HOTKEY_H
#define HEARTH_BENCH_HOTKEY_H

#include "generator.h"
#include "hearth-bench/bench.h"
#include "popularity.h"
#include "remote/remote.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HOTKEY_SETS = 16, HOTKEY_NODES = 64, HOTKEY_PROCESSES = 64, HOTKEY_PREFIX = 128 };

/* Who answers. */
enum hotkey_mode {
    HOTKEY_ORIGIN,   /* the source of truth alone */
    HOTKEY_PEER,     /* and before it the servers, by the usual client */
    HOTKEY_PROXY,    /* the same, through twemproxy */
    HOTKEY_REMOTE,   /* by Hearth without its local tier */
    HOTKEY_FULL,     /* by Hearth */
    HOTKEY_TRACKING, /* by Hearth, and the servers tell of changes */
    HOTKEY_MODES
};

/* What a run is like: a case's own figures, unless the command line says otherwise. */
struct hotkey_settings {
    unsigned threads; /* of a process */
    unsigned processes;
    uint32_t keys;
    double exponent;
    enum popularity_event event;
    double at_s;         /* when it happens, */
    double seconds;      /* of all that a mode runs */
    double share;        /* of the requests */
    double rate;         /* requests a second; 0: closed loop */
    uint64_t value_low;  /* bytes; */
    uint64_t value_high; /* as many of each size's logarithm between the two */
    double writes;       /* share */
    double local;        /* share of the keys that find room in the local tier */
    unsigned origin_us;  /* how long a load takes */
    unsigned nodes;
    bool is_memcached;
    bool plays_trace;
    bool modes[HOTKEY_MODES];
    const char *sets[HOTKEY_SETS]; /* options of Hearth: NAME=VALUE */
    size_t set_count;
    const char *remote; /* URL; NULL: servers of our own */
    const char *prefix;
    bool goes_on; /* writes to a server elsewhere without asking */
};

/* What the command line said, as it was said. */
enum { HOTKEY_SAYINGS = 64 };
struct hotkey_wish {
    size_t count;
    struct {
        size_t knob;
        const char *value;
    } said[HOTKEY_SAYINGS];
};

/* The options, by number; NULL: no more. */
const char *hotkey_knob_name(size_t knob);
bool hotkey_knob_has_value(size_t knob);

/* Takes an option. The texts must live as long as the wish. 0; -1, and stderr was told why. */
int hotkey_take(struct hotkey_wish *wish, size_t knob, const char *value);

/* Puts what was said over a case's own figures. */
void hotkey_apply(const struct hotkey_wish *wish, struct hotkey_settings *settings);

/* The help on these options, on stdout. */
void hotkey_print_help(void);

/* ---- what the modes of a case share ------------------------------------------------------ */

struct hotkey_scene {
    struct hotkey_settings settings;
    struct popularity *popularity;
    uint32_t keys;       /* that are on the servers in the beginning */
    uint32_t all_keys;   /* those that come up later included */
    uint32_t *sizes;     /* of the values; NULL: all have value_low bytes */
    uint16_t *node_of;   /* of the keys; NULL: never made */
    double *ring_shares; /* of the nodes */
    const char *url_text;
    hearth__remote_url url;
    hearth__remote_url proxy; /* has no node: there is none */
    char prefix[HOTKEY_PREFIX + 1];
    uint64_t seed;
};

size_t hotkey_size_of(const struct hotkey_scene *scene, uint32_t id);

static inline bool hotkey_asks_peer(enum hotkey_mode mode) {
    return mode == HOTKEY_PEER || mode == HOTKEY_PROXY;
}

/* What they are called in rows; the peer's is `hiredis` or `libmemcached`. */
const char *hotkey_mode_name(const struct hotkey_scene *scene, enum hotkey_mode mode);

/* One process's way to the answers. */
struct hotkey_client;

/* `loads` counts those at the origin. NULL, and the reason in `why`. */
struct hotkey_client *hotkey_client_open(const struct hotkey_scene *scene,
                                         enum hotkey_mode mode, _Atomic uint64_t *loads,
                                         char *why, size_t why_size);

/* Entries in its local tier now. */
uint64_t hotkey_client_entries(const struct hotkey_client *client);

void hotkey_client_close(struct hotkey_client *client);

/* A generator_ask; its arg is the client. */
generator_ask *hotkey_client_ask(enum hotkey_mode mode);

/* Stores the keys that are there in the beginning, in the way of the mode. False, and the reason in `why`. */
bool hotkey_fill(const struct hotkey_scene *scene, enum hotkey_mode mode, char *why,
                 size_t why_size);

/* Deletes all keys that any mode may have written. False: some are left. */
bool hotkey_clean(const struct hotkey_scene *scene, char *why, size_t why_size);

/* The key of a number: its size. `key` has room for HOTKEY_KEY_BYTES. */
enum { HOTKEY_KEY_BYTES = HOTKEY_PREFIX + 16 };
size_t hotkey_key(const struct hotkey_scene *scene, uint32_t id, char *key);

/* ---- one run ----------------------------------------------------------------------------- */

enum { HOTKEY_TICKS = 80 };

/* What was seen of a mode. The window is the time from the event to the end. */
struct hotkey_outcome {
    enum hotkey_mode mode;
    size_t ticks;
    double at_s[HOTKEY_TICKS]; /* the end of each */
    double rate[HOTKEY_TICKS]; /* requests a second */
    double shares[GENERATOR_ANSWERS][HOTKEY_TICKS];
    double loads[HOTKEY_TICKS]; /* a second */
    double nodes[HOTKEY_NODES][HOTKEY_TICKS];
    struct latency *latency; /* in the window; freed by hotkey_outcome_fini() */
    double seconds;          /* of the window, and in it: */
    double per_second;
    double spread;
    double answers[GENERATOR_ANSWERS];
    double requests;
    double loaded;
    double commands[HOTKEY_NODES];
    double bytes;
    double server_us; /* processor time */
    double client_us;
    bool knows_nodes;
    uint64_t unbegun;
    uint64_t wrong;   /* in all */
    uint64_t entries; /* in the local tiers, at the end */
};

int hotkey_run(struct bench *bench, const struct hotkey_scene *scene, enum hotkey_mode mode,
               struct hotkey_outcome *outcome);
void hotkey_outcome_fini(struct hotkey_outcome *outcome);

/* Rows and plots of a case. */
void hotkey_report(struct bench *bench, const struct hotkey_scene *scene,
                   const struct hotkey_outcome *outcomes);

#endif
