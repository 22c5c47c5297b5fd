/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes that share keys on a real server read and write them, while their connections are cut and held up and the server stops,
 * forgets and comes back; then everything that they saw is checked: nothing older than was said of it, nothing that was never
 * written, and of one's own writes all.
 *
 * Half of the keys are written by hearth_set() and hearth_delete(). The others are the copies of what stands in a source,
 * which is changed there first and deleted then; they are read by hearth_fetch().
 *
 * Once more of a Memcached server, whose readers are told over a bus: that is what befalls them there, more than the server itself.
 *
 * A second or two of it are for every day. HEARTH_LONG: a million reads of either kind of server; HEARTH_OPS: so many. HEARTH_SEED
 * repeats a run as far as the machine lets it.
 */
#include "ledger.h"

#include "base/clock.h"
#include "support/crowd.h"
#include "support/proxy.h"
#include "support/servers.h"

#include <hearth/hearth.h>

#include <hiredis/hiredis.h>

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
/* cmocka.h needs stdarg, stddef and setjmp before it. */
#include <cmocka.h>

enum {
    PROCESSES = 3,
    THREADS = 2, /* of each */
    KEYS = 32,
    READS = 10000,
    LONG_READS = 1000000, /* in rounds of ROUND_READS at the most */
    ROUND_READS = 1000000,
    WRITES = 200000, /* of a round: there is room for more than are made */
    RECOVERY_MS = 60000,
    FIRST_HARMS =
        2, /* where there are snapshots, one is made and the server comes back from it */
    PAUSE_US = 1000, /* before a read, while the server does not answer */
    FILL_MAX = 1000, /* so that copies that have ended are confirmed, and read whole */
};

/* Which of the servers is what; the bus of a Memcached server is the Redis server. */
enum { REDIS, MEMCACHED };

/* What is played: a server that forgets, one that has snapshots, and a Memcached server with a bus. */
enum kind { PLAIN, SNAPSHOTS, BUS };

static struct servers servers;

/* What all processes see. */
struct shared {
    _Atomic bool go;
    _Atomic bool
        go_late; /* for the last process, which meets a server that came back already */
    _Atomic bool over;
    char paths[PROCESSES][SERVERS_PATH_BYTES]; /* each one's way to the server */
    bool has_bus;
    char buses[PROCESSES][SERVERS_PATH_BYTES]; /* and to the bus, if there is one */
    _Atomic uint32_t source[KEYS];             /* which write stands there */
    _Atomic uint64_t local;                    /* reads answered by local copies */
    _Atomic uint64_t acknowledged;             /* writes */
};

static struct shared *shared;
static struct ledger *ledger;
static uint64_t seed;

static uint64_t next(uint64_t *state) { /* splitmix64 */
    uint64_t mixed = *state += UINT64_C(0x9e3779b97f4a7c15);
    mixed = (mixed ^ (mixed >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ (mixed >> 27)) * UINT64_C(0x94d049bb133111eb);
    return mixed ^ (mixed >> 31);
}

/* ---- values ----------------------------------------------------------------------------- */

struct value {
    uint32_t write;
    unsigned char fill[FILL_MAX];
};

static size_t size_of(uint32_t write) {
    return sizeof(uint32_t) + (size_t)write % FILL_MAX;
}

static struct value value_of(uint32_t write) {
    struct value value = {.write = write};
    memset(value.fill, (int)(write & 0xff), sizeof value.fill);
    return value;
}

/* The write that a value is of; UINT32_MAX: it is none that anybody wrote. */
static uint32_t write_of(const void *data, size_t size) {
    uint32_t write = UINT32_MAX;
    if (size >= sizeof write) {
        memcpy(&write, data, sizeof write);
    }
    const struct value expected = value_of(write);
    return size == size_of(write) && memcmp(data, &expected, size) == 0 ? write : UINT32_MAX;
}

/* ---- a process -------------------------------------------------------------------------- */

struct process {
    hearth *cache;
    uint32_t number;
};

struct thread {
    hearth *cache;
    hearth_value *value;
    uint32_t process;
    uint64_t random;
    uint64_t local;
    bool is_down; /* the server, as far as is known */
};

static int32_t load(void *arg, const void *key, size_t key_size, hearth_fill *fill) {
    const uint32_t *number = arg;
    (void)key;
    (void)key_size;
    uint32_t write = atomic_load(&shared->source[*number]);
    const struct value value = value_of(write);
    return hearth_fill_value(fill, &value, size_of(write));
}

static void note_read(struct thread *thread, uint32_t key, int64_t began_ns, int32_t status) {
    hearth_info info = {.size = sizeof info};
    if (status != HEARTH_OK) {
        thread->is_down = thread->is_down && status < 0;
        return;
    }
    int64_t now_ms = hearth__boot_ms(); /* not later than the library's own look at the clock */
    int32_t told = hearth_value_info(thread->value, &info);
    thread->is_down = thread->is_down && info.tier != HEARTH_TIER_REMOTE;
    if (told != HEARTH_OK || info.freshness != HEARTH_FRESH) {
        return;
    }
    uint32_t write =
        write_of(hearth_value_data(thread->value), hearth_value_size(thread->value));
    ledger_read(ledger, key, thread->process, write, began_ns,
                (now_ms - info.staleness_bound_ms) * 1000000);
    thread->local += info.tier == HEARTH_TIER_LOCAL;
}

static void read_key(struct thread *thread, uint32_t key, const char *name, bool is_source) {
    uint32_t number = key;
    const hearth_loader loader = {.size = sizeof loader, .load = load, .arg = &number};
    const hearth_read_options read = {.size = sizeof read,
                                      .max_stale_ms = next(&thread->random) % 16 == 0
                                                          ? (int64_t)(thread->random % 64)
                                                          : HEARTH_STALE_ANY};
    int64_t began_ns = ledger_now_ns();
    int32_t status = is_source
                         ? hearth_fetch(thread->cache, name, strlen(name), &loader, &read, NULL,
                                        thread->value)
                         : hearth_get(thread->cache, name, strlen(name), &read, thread->value);
    note_read(thread, key, began_ns, status);
}

static void write_key(struct thread *thread, uint32_t key, const char *name, bool is_source) {
    uint32_t write = ledger_begin(ledger, key, thread->process);
    if (write == UINT32_MAX) {
        return;
    }
    const struct value value = value_of(write);
    bool deletes = is_source || next(&thread->random) % 4 == 0;
    if (is_source) {
        atomic_store(&shared->source[key], write);
        ledger_settle(ledger, write);
    }
    int32_t status =
        deletes ? hearth_delete(thread->cache, name, strlen(name), NULL)
                : hearth_set(thread->cache, name, strlen(name), &value, size_of(write), NULL);
    if (status == HEARTH_OK || (deletes && status == HEARTH_MISS)) {
        ledger_settle(ledger, write);
        ledger_end(ledger, write);
        atomic_fetch_add(&shared->acknowledged, 1);
    } else {
        thread->is_down = true;
    }
}

static void work(void *arg, size_t index) {
    const struct process *process = arg;
    struct thread thread = {.cache = process->cache,
                            .value = hearth_value_new(),
                            .process = process->number,
                            .random = seed + (uint64_t)process->number * THREADS + index};
    while (!atomic_load(&shared->over) && thread.value != NULL) {
        char name[32];
        uint64_t choice = next(&thread.random);
        /* Few keys are read often, so that they are copies nearly always; and the others are seldom. */
        uint32_t key = (uint32_t)(choice >> 8) % (choice % 4 == 0 ? KEYS : KEYS / 4);
        (void)snprintf(name, sizeof name, "k%u", key);
        if (thread.is_down) {
            (void)usleep(PAUSE_US);
        }
        /* What cannot be written is deleted when the server is back: that is to be seldom. */
        if (choice >> 40 < (UINT64_C(1) << 24) / 50 && !thread.is_down) {
            write_key(&thread, key, name, key % 2 == 0);
        } else {
            read_key(&thread, key, name, key % 2 == 0);
        }
    }
    atomic_fetch_add(&shared->local, thread.local);
    hearth_value_free(thread.value);
}

static hearth *open_cache(uint32_t number) {
    char url[SERVERS_PATH_BYTES + 24];
    char bus[SERVERS_PATH_BYTES + 24] = "";
    bool has_bus = shared->has_bus;
    (void)snprintf(url, sizeof url, "%s+unix://%s", has_bus ? "memcached" : "redis",
                   shared->paths[number]);
    if (has_bus) {
        (void)snprintf(bus, sizeof bus, "redis+unix://%s", shared->buses[number]);
    }
    /* A node that was lost is asked again at once, and nobody waits long for one that says nothing. */
    const char *const settings[][2] = {
        {"remote.url", url},         {"coherence.mode", has_bus ? "bus" : "tracking"},
        {"coherence.bus_url", bus},  {"coherence.writers", "hearth"},
        {"coherence.ping_ms", "10"}, {"coherence.dead_ms", "40"},
        {"remote.timeout_ms", "20"}, {"remote.stall_ms", "20"},
        {"breaker.failures", "0"},   {"lease.ttl_ms", "100"},
        {"remote.lanes", "2"}};
    hearth *cache = NULL;
    hearth_options *options = hearth_options_new();
    bool is_set = options != NULL;
    for (size_t i = 0; is_set && i < sizeof settings / sizeof settings[0]; i++) {
        is_set = hearth_options_set(options, settings[i][0], settings[i][1]) == HEARTH_OK;
    }
    if (!is_set || hearth_open(options, &cache) != HEARTH_OK) {
        (void)fprintf(stderr, "%s\n", hearth_options_error(options));
    }
    hearth_options_free(options);
    return cache;
}

static int live(uint32_t number) {
    static struct crowd crowd;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* of a test that failed nothing is left */
    while (!atomic_load(number == PROCESSES - 1 ? &shared->go_late : &shared->go)) {
        (void)usleep(1000);
    }
    struct process process = {open_cache(number), number};
    if (process.cache == NULL || !crowd_start(&crowd, THREADS, work, &process)) {
        return 1;
    }
    crowd_join(&crowd);
    return hearth_close(process.cache) == HEARTH_OK ? 0 : 1;
}

/* ---- faults ----------------------------------------------------------------------------- */

enum harm {
    KILL_LANES,    /* connections that are read on, and nobody is told */
    FORSAKE_LANES, /* the same, and they seem to be there still */
    KILL_LISTENER, /* while its lanes live on */
    CUT,
    HOLD_UP,
    SLOW_DOWN,
    FLUSH,
    FREEZE,      /* a process, wherever it is just then */
    SHORT_HARMS, /* those that need no second to recover from are for every day */
    SWALLOW = SHORT_HARMS,
    PAUSE,
    RESTART,
    HARMS
};

/* What becomes of the bus's stream, in place of what lanes do that nobody is told of there. */
static const char trim[] = "XTRIM hearth:bus: MAXLEN 0";

enum { CONNECTIONS = 65536, WAYS = 2 * PROCESSES };

/* A process's way to the server, which knows what a connection is for by what is said on it. */
struct way {
    struct proxy *proxy;
    _Atomic bool forsakes;
    bool listens[CONNECTIONS]; /* the proxy's thread's own */
};

struct faults {
    bool has_bus;
    size_t server; /* which is harmed now */
    uint64_t random;
    bool snapshots;
    bool is_long;
    bool snapped;
    unsigned done;
    enum harm deck[HARMS]; /* each of them once before any of them comes again */
    struct way *ways;
    const pid_t *pids; /* of the processes */
};

static void rest(uint64_t ms) {
    (void)usleep((useconds_t)ms * 1000);
}

/* A lane that is forsaken lives on while the listener does: its node tells it nothing of what was read there. */
static size_t pass_on(void *arg, struct proxy_flow *flow, const unsigned char *bytes,
                      size_t size) {
    static const char channel[] = "__redis__:invalidate";
    struct way *way = arg;
    unsigned number = proxy_number(flow) % CONNECTIONS;
    if (memmem(bytes, size, channel, sizeof channel - 1) != NULL) {
        way->listens[number] = true;
    }
    if (!way->listens[number] && atomic_load(&way->forsakes)) {
        proxy_forsake(flow);
    } else {
        proxy_emit(flow, bytes, size);
    }
    return size;
}

static void tell(const char *command) {
    redisContext *client = redisConnectUnix(servers.nodes[0].path);
    assert_true(client != NULL && client->err == 0);
    redisReply *reply = redisCommand(client, command);
    assert_non_null(reply);
    if (reply->type == REDIS_REPLY_ERROR && strstr(reply->str, "No such client") == NULL) {
        fail_msg("%s: %s", command, reply->str);
    }
    freeReplyObject(reply);
    redisFree(client);
}

static void restart(struct faults *faults) {
    if (faults->snapshots && !faults->snapped) {
        tell("SAVE"); /* what is written from here on is lost */
        faults->snapped = true;
        return;
    }
    faults->snapped = false;
    assert_int_equal(servers_kill(&servers, faults->server), 0);
    rest(next(&faults->random) % 20);
    assert_int_equal(servers_restart(&servers, faults->server), 0);
}

static void hold_up(struct proxy *proxy, enum proxy_way way, uint64_t ms) {
    proxy_hold(proxy, way);
    rest(ms);
    proxy_release(proxy, way);
}

/* What is swallowed never comes: such a connection is of no use any more, to whoever has it. */
static void swallow(struct proxy *proxy, enum proxy_way way, uint64_t ms) {
    proxy_swallow(proxy, way, true);
    rest(ms);
    proxy_cut(proxy, true);
    proxy_swallow(proxy, way, false);
}

static void forsake(struct way *way, uint64_t ms) {
    atomic_store(&way->forsakes, true);
    rest(ms);
    atomic_store(&way->forsakes, false);
}

/* As a machine does that lends its processor to others. */
static void freeze(pid_t pid, uint64_t ms) {
    assert_int_equal(kill(pid, SIGSTOP), 0);
    rest(ms);
    assert_int_equal(kill(pid, SIGCONT), 0);
}

/* Of a process's ways, that to the server, or to the bus. */
static struct way *choose_way(struct faults *faults) {
    uint64_t process = next(&faults->random) % PROCESSES;
    faults->server = faults->has_bus ? next(&faults->random) % 2 : REDIS;
    bool is_bus = faults->has_bus && faults->server == REDIS;
    return &faults->ways[process + (is_bus ? PROCESSES : 0)];
}

static void harm(struct faults *faults, enum harm kind) {
    struct way *own = choose_way(faults);
    enum proxy_way way = next(&faults->random) % 2 == 0 ? PROXY_TO_CLIENT : PROXY_TO_SERVER;
    uint64_t ms = next(&faults->random);
    switch (kind) {
    case KILL_LANES:
        tell("CLIENT KILL TYPE normal");
        break;
    case FORSAKE_LANES:
        if (faults->has_bus) {
            tell(trim);
        } else {
            forsake(own, 1 + ms % 10);
        }
        break;
    case KILL_LISTENER:
        tell("CLIENT KILL TYPE pubsub");
        break;
    case CUT:
        proxy_cut(own->proxy, ms % 2 == 0);
        break;
    case HOLD_UP:
        hold_up(own->proxy, way, ms % 15);
        break;
    case SLOW_DOWN:
        proxy_delay(own->proxy, way, (int64_t)(ms % 3));
        break;
    case FLUSH:
        tell("FLUSHALL");
        break;
    case FREEZE:
        freeze(faults->pids[ms % PROCESSES], ms / PROCESSES % 60);
        break;
    case SWALLOW:
        swallow(own->proxy, way, ms % 80);
        break;
    case PAUSE:
        assert_int_equal(servers_pause(&servers, faults->server), 0);
        rest(ms % 70);
        assert_int_equal(servers_resume(&servers, faults->server), 0);
        break;
    case RESTART:
    case HARMS:
        restart(faults);
        break;
    }
}

static void do_harm(struct faults *faults) {
    unsigned kinds = faults->is_long ? HARMS : SHORT_HARMS;
    unsigned at = faults->done++ % kinds;
    for (unsigned i = 0; at == 0 && i < kinds; i++) {
        unsigned other = (unsigned)(next(&faults->random) % (i + 1));
        faults->deck[i] = faults->deck[other];
        faults->deck[other] = (enum harm)i;
    }
    bool restarts = faults->snapshots && faults->done <= FIRST_HARMS;
    harm(faults, restarts ? RESTART : faults->deck[at]);
}

/* ---- rounds ----------------------------------------------------------------------------- */

static bool have_ended(const pid_t *pids, unsigned *good) {
    bool ended = true;
    for (unsigned i = 0; i < PROCESSES; i++) {
        int status = 0;
        if (pids[i] != 0 && waitpid(pids[i], &status, 0) == pids[i]) {
            *good += WIFEXITED(status) && WEXITSTATUS(status) == 0;
        } else {
            ended = false;
        }
    }
    return ended;
}

/* Until so many more writes were acknowledged: all is well again then. */
static void await_recovery(uint64_t writes) {
    uint64_t enough = atomic_load(&shared->acknowledged) + writes;
    int64_t until_ms = hearth__boot_ms() + RECOVERY_MS;
    while (atomic_load(&shared->acknowledged) < enough) {
        if (hearth__boot_ms() > until_ms) {
            fail_msg("seed %llu: nothing works any more", (unsigned long long)seed);
        }
        rest(1);
    }
}

static void await_reads(struct faults *faults, uint32_t reads) {
    for (unsigned i = 0; i < KEYS; i++) {
        atomic_store(&shared->source[i], i);
    }
    atomic_store(&shared->go, true);
    while (ledger_reads(ledger) < reads || faults->done < SHORT_HARMS) {
        await_recovery(next(&faults->random) % 60);
        do_harm(faults);
        atomic_store(&shared->go_late, faults->done >= FIRST_HARMS);
    }
    await_recovery(1);
    atomic_store(&shared->over, true);
    for (unsigned i = 0; i < WAYS; i++) {
        proxy_delay(faults->ways[i].proxy, PROXY_TO_CLIENT, 0);
        proxy_delay(faults->ways[i].proxy, PROXY_TO_SERVER, 0);
    }
}

static void judge(void) {
    static const char *const verdicts[] = {"", "a value that nobody wrote",
                                           "a value older than its bound",
                                           "an own write that was not seen"};
    struct ledger_finding finding;
    enum ledger_verdict verdict = ledger_check(ledger, &finding);
    if (verdict != LEDGER_RIGHT) {
        fail_msg("seed %llu: %s: key %u, process %u, write %u, by %.3f ms with a bound of "
                 "%.3f ms; %u such reads in %u",
                 (unsigned long long)seed, verdicts[verdict], finding.key, finding.reader,
                 finding.write, (double)finding.late_ns / 1e6, (double)finding.bound_ns / 1e6,
                 finding.count, ledger_reads(ledger));
    }
}

/* The first PROCESSES of them lead to the server, the others to the bus. */
static void open_ways(const struct faults *faults) {
    for (unsigned i = 0; i < WAYS; i++) {
        struct way *way = &faults->ways[i];
        bool is_bus = i >= PROCESSES;
        size_t server = faults->has_bus && !is_bus ? MEMCACHED : REDIS;
        char *path = is_bus ? shared->buses[i - PROCESSES] : shared->paths[i];
        way->proxy = proxy_start(servers.nodes[server].path, 0);
        assert_non_null(way->proxy);
        proxy_filter(way->proxy, PROXY_TO_CLIENT, pass_on, way);
        (void)snprintf(path, SERVERS_PATH_BYTES, "%s", proxy_path(way->proxy));
    }
}

/* Processes are forked before this one has threads: a sanitizer wants that. */
static void play(enum kind kind, uint32_t reads) {
    pid_t pids[PROCESSES];
    unsigned good = 0;
    static struct way ways[WAYS];
    struct faults faults = {.has_bus = kind == BUS,
                            .random = seed,
                            .snapshots = kind == SNAPSHOTS,
                            .is_long = reads > READS,
                            .ways = ways,
                            .pids = pids};
    memset(ways, 0, sizeof ways);
    memset(shared, 0, sizeof *shared);
    shared->has_bus = faults.has_bus;
    ledger_clear(ledger);
    for (unsigned i = 0; i < PROCESSES; i++) {
        pids[i] = fork();
        assert_true(pids[i] >= 0);
        if (pids[i] == 0) {
            _exit(live(i));
        }
    }
    open_ways(&faults);
    tell("FLUSHALL");
    await_reads(&faults, reads);
    assert_true(have_ended(pids, &good));
    assert_int_equal(good, PROCESSES);
    for (unsigned i = 0; i < WAYS; i++) {
        proxy_stop(ways[i].proxy);
    }
    judge();
    assert_true(atomic_load(&shared->local) > reads / 10);
    if (getenv("HEARTH_OPS") != NULL || getenv("HEARTH_LONG") != NULL) {
        print_message(
            "%u reads, %u%% of them local; %u writes, %u%% of them acknowledged\n",
            ledger_reads(ledger),
            (unsigned)(100 * atomic_load(&shared->local) / ledger_reads(ledger)),
            ledger_writes(ledger),
            (unsigned)(100 * atomic_load(&shared->acknowledged) / ledger_writes(ledger)));
    }
}

static void play_all(enum kind kind) {
    const char *ops = getenv("HEARTH_OPS");
    uint64_t left = ops != NULL                     ? strtoull(ops, NULL, 10)
                    : getenv("HEARTH_LONG") != NULL ? LONG_READS
                                                    : READS;
    while (left != 0) {
        uint32_t reads = left < ROUND_READS ? (uint32_t)left : ROUND_READS;
        play(kind, reads);
        left -= reads;
        seed++;
    }
}

static void copies_are_as_fresh_as_they_say(void **state) {
    (void)state;
    play_all(PLAIN);
}

static void copies_of_a_server_with_snapshots_are_too(void **state) {
    (void)state;
    play_all(SNAPSHOTS);
}

static void copies_of_who_is_told_over_a_bus_are_too(void **state) {
    (void)state;
    play_all(BUS);
}

/* ---- the check itself ------------------------------------------------------------------- */

/* A write that takes from one time to another. */
static uint32_t write_now(struct ledger *own, uint32_t key, uint32_t writer, bool ends) {
    uint32_t write = ledger_begin(own, key, writer);
    if (ends) {
        ledger_settle(own, write);
        ledger_end(own, write);
    }
    return write;
}

static enum ledger_verdict verdict_of(struct ledger *own, uint32_t key, uint32_t reader,
                                      uint32_t write, int64_t known_ns) {
    struct ledger_finding finding;
    ledger_read(own, key, reader, write, ledger_now_ns(), known_ns);
    enum ledger_verdict verdict = ledger_check(own, &finding);
    assert_int_equal(finding.count, verdict != LEDGER_RIGHT);
    return verdict;
}

static void the_check_finds_what_cannot_be(void **state) {
    (void)state;
    enum { MINE, OTHER };
    for (unsigned i = 0; i < 7; i++) {
        struct ledger *own = ledger_create(2, 8, 8);
        assert_non_null(own);
        int64_t began_ns = ledger_now_ns();
        uint32_t old = write_now(own, 0, OTHER, true);
        uint32_t under_way = ledger_begin(own, 0, OTHER);
        uint32_t young = write_now(own, 0, OTHER, true);
        int64_t now_ns = ledger_now_ns();
        switch (i) {
        case 0: /* the last one, and the one that may be behind it */
            assert_int_equal(verdict_of(own, 0, MINE, young, now_ns), LEDGER_RIGHT);
            assert_int_equal(verdict_of(own, 0, MINE, under_way, now_ns), LEDGER_RIGHT);
            break;
        case 1:
            assert_int_equal(verdict_of(own, 0, MINE, old, now_ns), LEDGER_TOO_OLD);
            break;
        case 2: /* that is no more than it claims */
            assert_int_equal(verdict_of(own, 0, MINE, old, began_ns), LEDGER_RIGHT);
            break;
        case 3: /* but who wrote it knows better */
            assert_int_equal(verdict_of(own, 0, OTHER, old, began_ns), LEDGER_OWN_UNSEEN);
            break;
        case 4:
            assert_int_equal(verdict_of(own, 1, MINE, old, began_ns), LEDGER_UNKNOWN);
            break;
        case 5:
            assert_int_equal(verdict_of(own, 0, MINE, UINT32_MAX, began_ns), LEDGER_UNKNOWN);
            break;
        default: /* the first value of a key */
            assert_int_equal(verdict_of(own, 0, MINE, 0, began_ns), LEDGER_RIGHT);
            assert_int_equal(verdict_of(own, 1, MINE, 1, now_ns), LEDGER_RIGHT);
            break;
        }
        ledger_destroy(own);
    }
}

/* ---- the server ------------------------------------------------------------------------- */

static int open_servers(void **state) {
    (void)state;
    const char *given = getenv("HEARTH_SEED");
    seed = given != NULL ? strtoull(given, NULL, 10) : (uint64_t)ledger_now_ns();
    ledger = ledger_create(KEYS, WRITES, ROUND_READS + 4096);
    shared =
        mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return ledger != NULL && shared != MAP_FAILED && servers_open(&servers) == 0 &&
                   servers_start(&servers, SERVER_REDIS, SERVER_UNIX, NULL) == 0 &&
                   servers_start(&servers, SERVER_MEMCACHED, SERVER_UNIX, NULL) == 0
               ? 0
               : -1;
}

static int close_servers(void **state) {
    (void)state;
    servers_stop(&servers);
    ledger_destroy(ledger);
    return munmap(shared, sizeof *shared);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_check_finds_what_cannot_be),
        cmocka_unit_test(copies_are_as_fresh_as_they_say),
        cmocka_unit_test(copies_of_a_server_with_snapshots_are_too),
        cmocka_unit_test(copies_of_who_is_told_over_a_bus_are_too),
    };
    return cmocka_run_group_tests_name("checker", tests, open_servers, close_servers);
}
