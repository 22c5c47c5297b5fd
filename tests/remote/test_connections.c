/* SPDX-License-Identifier: Apache-2.0 */
/* How a node's connections are made: names that are slow, wrong or change, addresses that lead
 * nowhere, systems without sockets or threads, forks. The resolver, the socket and the thread that
 * the library asks for are this file's. */
#include "remote/redis_rig.h"

#include "base/clock.h"
#include "base/thread.h"
#include "support/proxy.h"
#include "support/sanitizer.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { RETRY_MS = 30, ADDRESSES = 2 };

/* ---- the system, as the library sees it ------------------------------------------------------ */

/* What "the-name" stands for. Atomic: a forked child may find a lock taken. */
static struct {
    _Atomic bool holds; /* it does not answer until told */
    _Atomic bool fails;
    const char *_Atomic hosts[ADDRESSES];
    _Atomic int ports[ADDRESSES];
    _Atomic unsigned begun;
    _Atomic unsigned ended;
} names;

static _Atomic bool no_sockets;
static _Atomic bool no_threads;
static _Atomic unsigned threads_started;
static _Atomic unsigned connects_of_caller;
static _Thread_local bool is_caller;

static void nap(void) {
    const struct timespec pause = {.tv_nsec = 1000000};
    nanosleep(&pause, NULL);
}

static void *real(const char *name) {
    void *found = dlsym(RTLD_NEXT, name);
    if (found == NULL) {
        abort();
    }
    return found;
}

typedef int resolver(const char *, const char *, const struct addrinfo *, struct addrinfo **);

static int resolve_name(const struct addrinfo *hints, struct addrinfo **list) {
    resolver *resolve = (resolver *)real("getaddrinfo");
    struct addrinfo numeric = *hints;
    struct addrinfo **end = list;
    numeric.ai_flags |= AI_NUMERICHOST;
    for (size_t i = 0; i < ADDRESSES && names.hosts[i] != NULL; i++) {
        char port[8];
        snprintf(port, sizeof port, "%d", names.ports[i]);
        if (resolve(names.hosts[i], port, &numeric, end) != 0) {
            abort();
        }
        end = &(*end)->ai_next;
    }
    return 0;
}

int getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
                struct addrinfo **list) {
    if (strcmp(host, "the-name") != 0 || (hints->ai_flags & AI_NUMERICHOST) != 0) {
        return ((resolver *)real("getaddrinfo"))(host, port, hints, list);
    }
    names.begun++;
    if (is_caller) {
        abort(); /* a caller waits for a resolver */
    }
    while (names.holds) {
        nap();
    }
    int error = names.fails ? EAI_AGAIN : resolve_name(hints, list);
    names.ended++;
    return error;
}

int socket(int family, int type, int protocol) {
    if (no_sockets) {
        errno = EMFILE;
        return -1;
    }
    typedef int function(int, int, int);
    return ((function *)real("socket"))(family, type, protocol);
}

int connect(int fd, const struct sockaddr *address, socklen_t size) {
    typedef int function(int, const struct sockaddr *, socklen_t);
    connects_of_caller += is_caller;
    return ((function *)real("connect"))(fd, address, size);
}

bool hearth__thread_start(pthread_t *thread, void *(*run)(void *arg), void *arg) {
    threads_started++;
    return !no_threads && pthread_create(thread, NULL, run, arg) == 0;
}

/* ---- the stage ------------------------------------------------------------------------------- */

struct bench {
    struct servers servers;
    struct redis_rig rig;
};

static struct servers shared;
static char name_text[] = "the-name";
static char loopback_text[] = "127.0.0.1";

static void stand_for(size_t place, const char *host, int port) {
    names.hosts[place] = host;
    names.ports[place] = port;
}

/* A node by its name, which stands for the first server. */
static struct redis_rig rig_by_name(void) {
    names.holds = names.fails = no_sockets = no_threads = false;
    names.begun = names.ended = threads_started = connects_of_caller = 0;
    stand_for(0, "127.0.0.1", shared.nodes[0].port);
    stand_for(1, NULL, 0);
    struct redis_rig rig = redis_rig_at(name_text, 1);
    rig.config.retry_ms = RETRY_MS;
    return rig;
}

static struct redis_rig rig_by_number(int port) {
    struct redis_rig rig = rig_by_name();
    rig.address.host = loopback_text;
    rig.address.port = (uint16_t)port;
    return rig;
}

static int32_t get_within(struct redis_rig *rig, int64_t deadline_ms) {
    hearth__remote_op op = redis_rig_op(rig, HEARTH__GET, "nothing", NULL);
    is_caller = true;
    int32_t status = redis_rig_run_within(rig, &op, deadline_ms);
    is_caller = false;
    return status;
}

static void await_answer(struct redis_rig *rig) {
    int64_t bound_ns = hearth__deadline_ns(REDIS_RIG_LONG_MS);
    int32_t status = get_within(rig, REDIS_RIG_DEADLINE_MS);
    while (status != HEARTH_MISS) {
        nap();
        assert_true(hearth__monotonic_ns() < bound_ns);
        status = get_within(rig, REDIS_RIG_DEADLINE_MS);
    }
}

static void await_count(const _Atomic unsigned *count, unsigned least) {
    int64_t bound_ns = hearth__deadline_ns(REDIS_RIG_LONG_MS);
    while (*count < least) {
        nap();
        assert_true(hearth__monotonic_ns() < bound_ns);
    }
}

/* ---- names ----------------------------------------------------------------------------------- */

static void a_name_is_looked_up_once_and_by_no_caller(void **state) {
    (void)state;
    struct redis_rig rig = rig_by_name();
    redis_rig_open(&rig);
    assert_int_equal(threads_started, 0);
    for (unsigned i = 0; i < 5; i++) {
        redis_rig_same_status(get_within(&rig, REDIS_RIG_DEADLINE_MS), HEARTH_MISS, "get");
    }
    assert_int_equal(names.begun, 1);
    assert_int_equal(threads_started, 1);
    redis_rig_close(&rig);
}

static void a_number_needs_no_resolver_and_no_thread(void **state) {
    (void)state;
    struct redis_rig rig = rig_by_number(shared.nodes[0].port);
    redis_rig_open(&rig);
    redis_rig_same_status(get_within(&rig, REDIS_RIG_DEADLINE_MS), HEARTH_MISS, "get");
    assert_int_equal(names.begun, 0);
    assert_int_equal(threads_started, 0);
    redis_rig_close(&rig);
}

/* Were a caller held, this would never end: the resolver is let go behind the calls. */
static void a_slow_resolver_holds_no_call(void **state) {
    (void)state;
    struct redis_rig rig = rig_by_name();
    rig.config.timeout_ms = 50;
    names.holds = true;
    redis_rig_open(&rig);
    redis_rig_same_status(get_within(&rig, 60), HEARTH_E_TIMEOUT, "get while it is looked up");
    await_count(&names.begun, 1);
    int32_t status = HEARTH_E_TIMEOUT;
    while (status == HEARTH_E_TIMEOUT) {
        status = get_within(&rig, 60);
    }
    for (unsigned i = 0; i < 100; i++) { /* at once, however much time there is */
        redis_rig_same_status(get_within(&rig, REDIS_RIG_LONG_MS), HEARTH_E_UNAVAILABLE,
                              "get when it takes long");
    }
    assert_int_equal(names.ended, 0);
    assert_true(redis_rig_logged(&rig, HEARTH_LOG_WARNING, "still being looked up"));
    names.holds = false;
    await_answer(&rig);
    assert_true(redis_rig_logged(&rig, HEARTH_LOG_NOTICE, "is back"));
    redis_rig_close(&rig);
}

static void a_name_that_is_not_known_is_asked_for_again(void **state) {
    (void)state;
    struct redis_rig rig = rig_by_name();
    names.fails = true;
    redis_rig_open(&rig);
    redis_rig_same_status(get_within(&rig, REDIS_RIG_DEADLINE_MS), HEARTH_E_UNAVAILABLE, "get");
    assert_true(redis_rig_logged(&rig, HEARTH_LOG_WARNING, "its name was not resolved"));
    await_count(&names.ended, 3);
    redis_rig_same_status(get_within(&rig, REDIS_RIG_DEADLINE_MS), HEARTH_E_UNAVAILABLE, "get");
    names.fails = false;
    await_answer(&rig);
    redis_rig_close(&rig);
}

static void a_name_that_moved_is_found_again(void **state) {
    struct bench *bench = *state;
    struct redis_rig rig = rig_by_name();
    assert_int_equal(servers_open(&bench->servers), 0);
    if (servers_start(&bench->servers, SERVER_REDIS, SERVER_TCP, NULL) != 0) {
        fail_msg("%s", bench->servers.error);
    }
    stand_for(0, "127.0.0.1", bench->servers.nodes[0].port);
    redis_rig_open(&rig);
    redis_rig_same_status(get_within(&rig, REDIS_RIG_DEADLINE_MS), HEARTH_MISS, "get");
    assert_int_equal(servers_kill(&bench->servers, 0), 0);
    stand_for(0, "127.0.0.1", shared.nodes[0].port);
    await_answer(&rig);
    assert_true(names.begun >= 2);
    redis_rig_close(&rig);
    servers_stop(&bench->servers);
}

/* An outage of the name service is none of the node's. */
static void an_old_address_is_better_than_none(void **state) {
    struct bench *bench = *state;
    struct redis_rig rig = rig_by_name();
    assert_int_equal(servers_open(&bench->servers), 0);
    if (servers_start(&bench->servers, SERVER_REDIS, SERVER_TCP, NULL) != 0) {
        fail_msg("%s", bench->servers.error);
    }
    stand_for(0, "127.0.0.1", bench->servers.nodes[0].port);
    redis_rig_open(&rig);
    redis_rig_same_status(get_within(&rig, REDIS_RIG_DEADLINE_MS), HEARTH_MISS, "get");
    names.fails = true;
    assert_int_equal(servers_kill(&bench->servers, 0), 0);
    redis_rig_same_status(get_within(&rig, REDIS_RIG_DEADLINE_MS), HEARTH_E_UNAVAILABLE, "get");
    await_count(&names.ended, 2);
    assert_int_equal(servers_restart(&bench->servers, 0), 0);
    await_answer(&rig);
    redis_rig_close(&rig);
    servers_stop(&bench->servers);
}

/* Nor is a resolver that does not answer: then a call tries what was known, now and then. */
static void an_old_address_serves_while_the_name_is_looked_up(void **state) {
    struct bench *bench = *state;
    struct redis_rig rig = rig_by_name();
    assert_int_equal(servers_open(&bench->servers), 0);
    if (servers_start(&bench->servers, SERVER_REDIS, SERVER_TCP, NULL) != 0) {
        fail_msg("%s", bench->servers.error);
    }
    stand_for(0, "127.0.0.1", bench->servers.nodes[0].port);
    redis_rig_open(&rig);
    redis_rig_same_status(get_within(&rig, REDIS_RIG_DEADLINE_MS), HEARTH_MISS, "get");
    names.holds = true;
    assert_int_equal(servers_kill(&bench->servers, 0), 0);
    redis_rig_same_status(get_within(&rig, REDIS_RIG_DEADLINE_MS), HEARTH_E_UNAVAILABLE, "get");
    await_count(&names.begun, 2);
    assert_int_equal(servers_restart(&bench->servers, 0), 0);
    await_answer(&rig);
    assert_int_equal(names.ended, 1);
    names.holds = false;
    redis_rig_close(&rig);
    servers_stop(&bench->servers);
}

/* ---- addresses ------------------------------------------------------------------------------- */

/* A port where connections are neither taken nor refused: its queue is full. */
struct hole {
    int listener;
    int fillers[8];
    int port;
};

static struct hole dig(void) {
    struct hole hole;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    hole.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(hole.listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(hole.listener, 0), 0);
    assert_int_equal(getsockname(hole.listener, (struct sockaddr *)&address, &size), 0);
    hole.port = ntohs(address.sin_port);
    for (size_t i = 0; i < sizeof hole.fillers / sizeof hole.fillers[0]; i++) {
        hole.fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        (void)connect(hole.fillers[i], (struct sockaddr *)&address, size);
    }
    return hole;
}

static void fill_in(struct hole *hole) {
    for (size_t i = 0; i < sizeof hole->fillers / sizeof hole->fillers[0]; i++) {
        close(hole->fillers[i]);
    }
    close(hole->listener);
}

static void each_address_is_tried(const char *host, int port) {
    struct redis_rig rig = rig_by_name();
    rig.config.timeout_ms = 200;
    stand_for(1, "127.0.0.1", shared.nodes[0].port);
    stand_for(0, host, port);
    redis_rig_open(&rig);
    redis_rig_same_status(get_within(&rig, REDIS_RIG_DEADLINE_MS), HEARTH_MISS, "get");
    redis_rig_close(&rig);
}

static void an_address_that_refuses_is_passed_over(void **state) {
    (void)state;
    each_address_is_tried("::1", shared.nodes[0].port);
}

static void an_address_that_leads_nowhere_is_passed_over(void **state) {
    (void)state;
    struct hole hole = dig();
    each_address_is_tried("127.0.0.1", hole.port);
    fill_in(&hole);
}

/* The same at a path. */
static struct hole dig_at(const char *path) {
    struct hole hole = {.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    assert_int_equal(bind(hole.listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(hole.listener, 0), 0);
    for (size_t i = 0; i < sizeof hole.fillers / sizeof hole.fillers[0]; i++) {
        hole.fillers[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        (void)connect(hole.fillers[i], (struct sockaddr *)&address, sizeof address);
    }
    return hole;
}

static _Atomic bool has_asked;

static void *ask_in_vain(void *rig) {
    int32_t status = get_within(rig, 200);
    atomic_store(&has_asked, true);
    return status < 0 ? rig : NULL;
}

/* A lease is not filled if a connection was lost since it was taken. */
static void what_is_not_connected_yet_was_not_lost(void **state) {
    (void)state;
    char path[sizeof shared.folder + 8];
    pthread_t asker;
    void *was_in_vain = NULL;
    (void)snprintf(path, sizeof path, "%s/hole", shared.folder);
    struct hole hole = dig_at(path);
    struct redis_rig rig = redis_rig_at(path, 0);
    rig.config.timeout_ms = 100;
    redis_rig_open(&rig);
    atomic_store(&has_asked, false);
    assert_int_equal(pthread_create(&asker, NULL, ask_in_vain, &rig), 0);
    while (!atomic_load(&has_asked)) {
        assert_int_equal(hearth__backend_redis.generation(rig.node), 0);
        nap();
    }
    assert_int_equal(pthread_join(asker, &was_in_vain), 0);
    assert_ptr_equal(was_in_vain, &rig);
    redis_rig_close(&rig);
    fill_in(&hole);
    assert_int_equal(unlink(path), 0);
}

/* Only the first call finds out; then no call waits, and none of them connects. */
static void no_caller_waits_for_a_node_that_is_known_to_fail(void **state) {
    (void)state;
    struct hole hole = dig();
    struct redis_rig rig = rig_by_number(hole.port);
    rig.config.timeout_ms = 60;
    redis_rig_open(&rig);
    int32_t first = get_within(&rig, REDIS_RIG_DEADLINE_MS);
    assert_true(first == HEARTH_E_TIMEOUT || first == HEARTH_E_UNAVAILABLE);
    unsigned before = connects_of_caller;
    while (redis_rig_count(&rig, HEARTH__STAT_connect_errors) < 4) {
        redis_rig_same_status(get_within(&rig, REDIS_RIG_LONG_MS), HEARTH_E_UNAVAILABLE, "get");
    }
    assert_int_equal(connects_of_caller, before);
    redis_rig_close(&rig);
    fill_in(&hole);
}

/* One that gives little time does not find out by itself, and another one need not. */
static void a_caller_in_a_hurry_leaves_the_finding_out_to_others(void **state) {
    (void)state;
    struct hole hole = dig();
    struct redis_rig rig = rig_by_number(hole.port);
    rig.config.timeout_ms = 100;
    redis_rig_open(&rig);
    redis_rig_same_status(get_within(&rig, 50), HEARTH_E_TIMEOUT, "get in a hurry");
    redis_rig_same_status(get_within(&rig, REDIS_RIG_LONG_MS), HEARTH_E_UNAVAILABLE, "get");
    assert_int_equal(threads_started, 1);
    redis_rig_close(&rig);
    fill_in(&hole);
}

static void connections_do_not_wait_and_are_kept_alive(void **state) {
    (void)state;
    struct redis_rig rig = rig_by_name();
    unsigned found = 0;
    redis_rig_open(&rig);
    redis_rig_same_status(get_within(&rig, REDIS_RIG_DEADLINE_MS), HEARTH_MISS, "get");
    for (int fd = 0; fd < 1024; fd++) {
        struct sockaddr_in peer = {.sin_family = AF_UNSPEC};
        socklen_t size = sizeof peer;
        if (getpeername(fd, (struct sockaddr *)&peer, &size) != 0 ||
            peer.sin_family != AF_INET || ntohs(peer.sin_port) != shared.nodes[0].port) {
            continue;
        }
        int on[2] = {0, 0};
        socklen_t on_size = sizeof on[0];
        getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on[0], &on_size);
        getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on[1], &on_size);
        assert_true(on[0] != 0 && on[1] != 0);
        found++;
    }
    assert_int_equal(found, 1);
    redis_rig_close(&rig);
}

/* ---- what the system does not give ----------------------------------------------------------- */

static void without_sockets_it_fails_and_recovers(void **state) {
    (void)state;
    struct redis_rig rig = rig_by_number(shared.nodes[0].port);
    redis_rig_open(&rig);
    no_sockets = true;
    redis_rig_same_status(get_within(&rig, REDIS_RIG_LONG_MS), HEARTH_E_UNAVAILABLE, "get");
    redis_rig_same_status(get_within(&rig, REDIS_RIG_LONG_MS), HEARTH_E_UNAVAILABLE, "get");
    no_sockets = false;
    await_answer(&rig);
    redis_rig_close(&rig);
}

/* Then who asks connects, now and then; a name cannot be looked up by him. */
static void without_threads_a_caller_connects_again(void **state) {
    (void)state;
    struct redis_rig rig = rig_by_number(shared.nodes[0].port);
    redis_rig_open(&rig);
    no_sockets = no_threads = true;
    redis_rig_same_status(get_within(&rig, REDIS_RIG_LONG_MS), HEARTH_E_UNAVAILABLE, "get");
    no_sockets = false;
    await_answer(&rig);
    assert_true(connects_of_caller >= 1);
    redis_rig_close(&rig);
    rig = rig_by_name();
    redis_rig_open(&rig);
    no_threads = true;
    redis_rig_same_status(get_within(&rig, REDIS_RIG_LONG_MS), HEARTH_E_UNAVAILABLE, "get");
    no_threads = false;
    await_answer(&rig);
    redis_rig_close(&rig);
}

static void *let_go(void *arg) {
    (void)arg;
    await_count(&names.begun, 1);
    nap();
    names.holds = false;
    return NULL;
}

/* Nothing of a look-up is left behind: what it would use is gone. */
static void the_end_waits_for_a_look_up(void **state) {
    (void)state;
    struct redis_rig rig = rig_by_name();
    pthread_t helper;
    names.holds = true;
    redis_rig_open(&rig);
    redis_rig_same_status(get_within(&rig, 50), HEARTH_E_TIMEOUT, "get while it is looked up");
    assert_int_equal(pthread_create(&helper, NULL, let_go, NULL), 0);
    redis_rig_close(&rig);
    assert_int_equal(names.ended, names.begun);
    pthread_join(helper, NULL);
}

/* ---- fork ------------------------------------------------------------------------------------ */

enum { CONNECTIONS = 4 };

/* The bytes that came on each connection of a proxy. */
struct tally {
    _Atomic uint64_t bytes[CONNECTIONS];
};

static size_t count_bytes(void *arg, struct proxy_flow *flow, const unsigned char *bytes,
                          size_t size) {
    struct tally *tally = arg;
    if (proxy_number(flow) < CONNECTIONS) {
        tally->bytes[proxy_number(flow)] += size;
    }
    proxy_emit(flow, bytes, size);
    return size;
}

static bool in_child(struct redis_rig *rig, int64_t deadline_ms) {
    pid_t child = fork();
    if (child == 0) {
        bool good = true;
        for (unsigned i = 0; good && i < 20; i++) {
            good = get_within(rig, deadline_ms) == HEARTH_MISS;
        }
        redis_rig_close(rig);
        _exit(good ? 0 : 1);
    }
    int status = 1;
    return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

static void a_child_sends_nothing_to_its_parents_peer(void **state) {
    (void)state;
    struct tally tally = {{0}};
    struct proxy *proxy = proxy_start(NULL, shared.nodes[0].port);
    assert_non_null(proxy);
    proxy_filter(proxy, PROXY_TO_SERVER, count_bytes, &tally);
    struct redis_rig rig = rig_by_number(proxy_port(proxy));
    redis_rig_open(&rig);
    redis_rig_same_status(get_within(&rig, REDIS_RIG_DEADLINE_MS), HEARTH_MISS, "get");
    uint64_t before = tally.bytes[0];
    assert_true(before != 0 && tally.bytes[1] == 0);
    assert_true(in_child(&rig, REDIS_RIG_DEADLINE_MS));
    assert_true(proxy_await_closed(proxy, 1));
    assert_int_equal(tally.bytes[0], before);
    assert_true(tally.bytes[1] != 0);
    redis_rig_same_status(get_within(&rig, REDIS_RIG_DEADLINE_MS), HEARTH_MISS, "get");
    assert_true(tally.bytes[0] > before); /* on the connection that it had */
    assert_int_equal(proxy_connections(proxy), 2);
    redis_rig_close(&rig);
    proxy_stop(proxy);
}

#if !SANITIZED
/* The thread that looks a name up, or tries a node, is not in the child. */
static void a_child_does_by_itself_what_its_parents_thread_was_at(void **state) {
    (void)state;
    struct redis_rig rig = rig_by_name();
    names.holds = true;
    redis_rig_open(&rig);
    redis_rig_same_status(get_within(&rig, 50), HEARTH_E_TIMEOUT, "get while it is looked up");
    await_count(&names.begun, 1);
    pid_t child = fork();
    if (child == 0) {
        names.holds = false;
        bool good = get_within(&rig, REDIS_RIG_DEADLINE_MS) == HEARTH_MISS;
        redis_rig_close(&rig);
        _exit(good ? 0 : 1);
    }
    int status = 1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    names.holds = false;
    await_answer(&rig);
    redis_rig_close(&rig);
}
#endif

static int start(void **state) {
    (void)state;
    assert_int_equal(servers_open(&shared), 0);
    if (servers_start(&shared, SERVER_REDIS, SERVER_TCP, NULL) != 0) {
        fail_msg("%s", shared.error);
    }
    return 0;
}

static int stop(void **state) {
    (void)state;
    servers_stop(&shared);
    return 0;
}

static int start_test(void **state) {
    *state = calloc(1, sizeof(struct bench));
    return *state != NULL ? 0 : -1;
}

static int stop_test(void **state) {
    free(*state);
    return 0;
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, start_test, stop_test)
    const struct CMUnitTest tests[] = {
        TEST(a_name_is_looked_up_once_and_by_no_caller),
        TEST(a_number_needs_no_resolver_and_no_thread),
        TEST(a_slow_resolver_holds_no_call),
        TEST(a_name_that_is_not_known_is_asked_for_again),
        TEST(a_name_that_moved_is_found_again),
        TEST(an_old_address_is_better_than_none),
        TEST(an_old_address_serves_while_the_name_is_looked_up),
        TEST(an_address_that_refuses_is_passed_over),
        TEST(an_address_that_leads_nowhere_is_passed_over),
        TEST(what_is_not_connected_yet_was_not_lost),
        TEST(no_caller_waits_for_a_node_that_is_known_to_fail),
        TEST(a_caller_in_a_hurry_leaves_the_finding_out_to_others),
        TEST(connections_do_not_wait_and_are_kept_alive),
        TEST(without_sockets_it_fails_and_recovers),
        TEST(without_threads_a_caller_connects_again),
        TEST(the_end_waits_for_a_look_up),
        TEST(a_child_sends_nothing_to_its_parents_peer),
#if !SANITIZED
        TEST(a_child_does_by_itself_what_its_parents_thread_was_at),
#endif
    };
    return cmocka_run_group_tests_name("connections", tests, start, stop);
}
