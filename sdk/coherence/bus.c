/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A forked child has none of the bus's threads; it leaves what came from its parent alone but for its copies of the sockets, starts
 * its own, and is another publisher: what its parent still had to publish, that does.
 */
#include "coherence/bus_inner.h"

#include "base/clock.h"
#include "base/fork.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/rest.h"
#include "base/thread.h"

#include <hearth/errors.h>

#include <sched.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    RETRY_MS = 1000, /* before threads are tried to be started again */
    DOUBLINGS_MAX = 3,
    MOMENT_MS = 50,
};

/* ---- making and ending ------------------------------------------------------------------ */

int32_t hearth__bus_create(const hearth__bus_config *config, hearth__bus **out) {
    hearth__bus *bus = hearth__alloc_zero(1, sizeof *bus);
    if (bus == NULL) {
        return HEARTH_E_NOMEM;
    }
    if (pthread_mutex_init(&bus->lock, NULL) != 0) {
        hearth__free(bus);
        return HEARTH_E_NOMEM;
    }
    bus->config = *config;
    bus->number = 1;
    atomic_init(&bus->closing_fd, -1);
    hearth__bus_line_init(&bus->reading.line, &bus->config, &bus->closing_fd);
    hearth__bus_line_init(&bus->publishing.line, &bus->config, NULL);
    hearth__random_bytes(bus->publisher, sizeof bus->publisher);
    bus->sources = hearth__sources_create(1, hearth__bus_grace_ms(bus), config->life_ms);
    if (bus->sources == NULL) {
        hearth__bus_destroy(bus);
        return HEARTH_E_NOMEM;
    }
    *out = bus;
    return HEARTH_OK;
}

/* Nobody is inside: if the lock is taken, a thread of a parent's had it at the fork, and was changing these. They are left alone. */
static void settle_records(hearth__bus *bus) {
    if (pthread_mutex_trylock(&bus->lock) == 0) {
        pthread_mutex_unlock(&bus->lock);
        return;
    }
    bus->records = (hearth__buffer){0};
    (void)pthread_mutex_init(&bus->lock, NULL);
}

static void close_bell(hearth__bus *bus) {
    int fd = atomic_exchange(&bus->closing_fd, -1);
    if (fd >= 0) {
        (void)close(fd);
    }
}

/* The threads of this process. */
static void end_threads(hearth__bus *bus, bool has_reader) {
    const uint64_t one = 1;
    atomic_store(&bus->closing, true);
    (void)!write(atomic_load(&bus->closing_fd), &one, sizeof one);
    hearth__bell_ring(&bus->work, HEARTH__BUS_STROKE | HEARTH__BUS_CLOSING);
    (void)pthread_join(bus->publishing.thread, NULL);
    if (has_reader) {
        (void)pthread_join(bus->reading.thread, NULL);
    }
}

void hearth__bus_stop(hearth__bus *bus) {
    if (bus == NULL) {
        return;
    }
    atomic_store(&bus->stopped, true);
    if (atomic_load(&bus->generation) == hearth__fork_generation()) {
        end_threads(bus, true);
        hearth__bus_distrust(bus);
        atomic_store(&bus->generation, 0);
    }
}

void hearth__bus_destroy(hearth__bus *bus) {
    if (bus == NULL) {
        return;
    }
    hearth__bus_stop(bus);
    hearth__bus_line_fini(&bus->reading.line);
    hearth__bus_line_fini(&bus->publishing.line);
    hearth__buffer_fini(&bus->publishing.records);
    hearth__buffer_fini(&bus->publishing.message);
    settle_records(bus);
    hearth__buffer_fini(&bus->records);
    close_bell(bus);
    hearth__sources_destroy(bus->sources);
    (void)pthread_mutex_destroy(&bus->lock);
    hearth__free(bus);
}

/* ---- starting --------------------------------------------------------------------------- */

/* What a forked child has of its parent's: also a lock that one of its threads may have had. */
static void forget_parents(hearth__bus *bus) {
    hearth__bus_line_close(&bus->reading.line);
    hearth__bus_line_close(&bus->publishing.line);
    close_bell(bus);
    hearth__random_bytes(bus->publisher, sizeof bus->publisher);
    bus->reading.is_placed = false;
    bus->reading.is_asked = false;
    bus->reading.number = 0;
    bus->reading.run_id[0] = '\0';
    bus->reading.failures = 0;
    atomic_store(&bus->reading.source, 0);
    hearth__sources_forked(bus->sources, hearth__boot_ms());
    bus->publishing.records.size = 0;
    bus->publishing.at = 0;
    bus->publishing.failures = 0;
    settle_records(bus);
    bus->records.size = 0;
    bus->overflowed = false;
    atomic_store(&bus->is_down, false);
}

static bool start_threads(hearth__bus *bus) {
    atomic_store(&bus->closing, false);
    atomic_store(&bus->closing_fd, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (atomic_load(&bus->closing_fd) < 0) {
        return false;
    }
    if (!hearth__thread_start(&bus->publishing.thread, hearth__bus_write, bus)) {
        return false;
    }
    if (!hearth__thread_start(&bus->reading.thread, hearth__bus_read, bus)) {
        end_threads(bus, false);
        return false;
    }
    return true;
}

/* While threads are being started nobody else in the process starts any. */
static uint64_t starting(uint64_t generation) {
    return ~generation;
}

static void start(hearth__bus *bus, uint64_t generation) {
    uint64_t before = atomic_load(&bus->generation);
    if (before == generation || before == starting(generation) || atomic_load(&bus->stopped) ||
        (before == 0 && hearth__boot_ms() < atomic_load(&bus->retry_ms)) ||
        !atomic_compare_exchange_strong(&bus->generation, &before, starting(generation))) {
        return;
    }
    if (before != 0) {
        forget_parents(bus);
    }
    if (start_threads(bus)) {
        atomic_store(&bus->generation, generation);
        return;
    }
    close_bell(bus);
    atomic_store(&bus->retry_ms, hearth__boot_ms() + RETRY_MS);
    atomic_store(&bus->generation, 0);
}

/* Who comes while another thread starts them waits: a lock that was a parent's is being made anew. */
void hearth__bus_start(hearth__bus *bus) {
    uint64_t generation = hearth__fork_generation();
    if (atomic_load_explicit(&bus->generation, memory_order_relaxed) != generation) {
        start(bus, generation);
        while (atomic_load(&bus->generation) == starting(generation)) {
            (void)sched_yield();
        }
    }
}

/* ---- what is known ---------------------------------------------------------------------- */

uint32_t hearth__bus_source(const hearth__bus *bus) {
    bool is_ours = atomic_load(&bus->generation) == hearth__fork_generation();
    return is_ours ? atomic_load(&bus->reading.source) : 0;
}

const _Atomic int64_t *hearth__bus_until_ms(const hearth__bus *bus) {
    return hearth__sources_until_ms(bus->sources);
}

int64_t hearth__bus_grace_ms(const hearth__bus *bus) {
    return bus->config.ping_ms + bus->config.dead_ms;
}

/* A moment after the first failure, so that a connection that ended is made anew at once. */
void hearth__bus_pause(hearth__bus *bus, unsigned failures) {
    unsigned doublings = failures < DOUBLINGS_MAX + 2 ? failures : DOUBLINGS_MAX + 2;
    uint64_t random = hearth__random_u64();
    int64_t pause_ms = (int64_t)(random % MOMENT_MS);
    if (doublings > 1) {
        int64_t least_ms = bus->config.retry_ms << (doublings - 2);
        pause_ms = least_ms + (int64_t)(random % (uint64_t)(least_ms / 2 + 1));
    }
    bool held = hearth__fork_pause();
    hearth__rest(&bus->work, HEARTH__BUS_CLOSING, &bus->closing, pause_ms);
    hearth__fork_resume(held);
}
