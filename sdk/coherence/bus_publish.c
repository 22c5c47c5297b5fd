/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Publishing. What is told while a message is on its way is the next one, together: so the more there is, the more goes into one.
 * What the server did not take stays, and is tried again, in order: it may be there twice then, which does no harm.
 */
#include "coherence/bus_inner.h"

#include "base/clock.h"
#include "base/fork.h"
#include "base/random.h"

#include <hearth/errors.h>

#include <inttypes.h>
#include <string.h>

enum {
    KEPT_MAX_BYTES =
        1
        << 20, /* of what is to be published; above it is told that any key may have changed */
    STREAM_MESSAGES = 10000, /* kept by the server, about */
    EPOCH_RANDOM_BITS = 16,
};

/*
 * Numbers without a gap, in an epoch that begins with the stream. XADD by itself would number by the clock, and nobody could see
 * what is missing. An epoch is a time with random bits behind it: one that is later is greater too, so that who waits for a message
 * of a stream that has gone is woken by the first one of the next.
 */
static const char add_script[] = "local e,n=ARGV[1],0 "
                                 "local i=redis.pcall('XINFO','STREAM',KEYS[1]) "
                                 "for j=1,#i,2 do if i[j]=='last-generated-id' then "
                                 "e,n=string.match(i[j+1],'^(%d+)-(%d+)$') end end "
                                 "return redis.call('XADD',KEYS[1],'MAXLEN','~',ARGV[2],"
                                 "e..'-'..string.format('%.0f',n+1),'h',ARGV[3])";

static uint64_t new_epoch(void) {
    uint64_t random = hearth__random_u64() & ((UINT64_C(1) << EPOCH_RANDOM_BITS) - 1);
    return (uint64_t)hearth__wall_ms() << EPOCH_RANDOM_BITS | random;
}

bool hearth__bus_add_message(const hearth__bus *bus, hearth__bus_line *line,
                             const hearth__buffer *message) {
    return hearth__bus_line_command(line, 7) && hearth__bus_line_text(line, "EVAL") &&
           hearth__bus_line_word(line, add_script, sizeof add_script - 1) &&
           hearth__bus_line_number(line, 1) &&
           hearth__bus_line_text(line, bus->config.stream) &&
           hearth__bus_line_number(line, new_epoch()) &&
           hearth__bus_line_number(line, STREAM_MESSAGES) &&
           hearth__bus_line_word(line, message->data, message->size);
}

/* ---- what is to be published ------------------------------------------------------------- */

static bool is_ours(const hearth__bus *bus) {
    return atomic_load(&bus->generation) == hearth__fork_generation();
}

uint64_t hearth__bus_publish(hearth__bus *bus, const void *key, size_t key_size,
                             enum hearth__bus_change change) {
    if (atomic_load(&bus->stopped)) {
        return 0;
    }
    pthread_mutex_lock(&bus->lock);
    bool was_empty = bus->records.size == 0;
    bool fits = bus->records.size + key_size <= KEPT_MAX_BYTES;
    if (!fits || !hearth__bus_record_add(&bus->records, change, key, key_size)) {
        bus->overflowed = true;
    }
    uint64_t number = bus->number;
    pthread_mutex_unlock(&bus->lock);
    if (was_empty) {
        hearth__bell_ring(&bus->work, HEARTH__BUS_STROKE);
    }
    return number;
}

bool hearth__bus_await(hearth__bus *bus, uint64_t number, int64_t deadline_ns) {
    bool waits = number != 0;
    while (waits && atomic_load(&bus->done) < number) {
        uint32_t seen = hearth__bell_look(&bus->told);
        waits = !atomic_load(&bus->is_down) && is_ours(bus);
        if (waits && atomic_load(&bus->done) < number) {
            bool held = hearth__fork_pause();
            waits = hearth__bell_await(&bus->told, seen, HEARTH__BUS_STROKE, deadline_ns);
            hearth__fork_resume(held);
        }
    }
    return number != 0 && atomic_load(&bus->done) >= number;
}

/* ---- the thread ------------------------------------------------------------------------- */

/* Takes what is open, unless there is something still. False: there is nothing to publish. */
static bool take(hearth__bus *bus) {
    struct hearth__bus_publisher *own = &bus->publishing;
    if (own->at < own->records.size) {
        return true;
    }
    pthread_mutex_lock(&bus->lock);
    bool any = bus->records.size != 0 || bus->overflowed;
    if (any) {
        hearth__buffer empty = own->records;
        empty.size = 0;
        own->records = bus->records;
        own->at = 0;
        own->number = bus->number++;
        bus->records = empty;
    }
    /* One that any key may have changed says it all. */
    if (bus->overflowed) {
        own->records.size = 0;
        any = hearth__bus_record_add(&own->records, HEARTH__BUS_ALL, NULL, 0);
        bus->overflowed = !any;
    }
    own->is_short = bus->overflowed;
    pthread_mutex_unlock(&bus->lock);
    return any;
}

/* The next message of what was taken. False: `why`. */
static bool send_next(hearth__bus *bus) {
    struct hearth__bus_publisher *own = &bus->publishing;
    hearth__bus_line *line = &own->line;
    hearth__bus_token token;
    const unsigned char *records = own->records.data + own->at;
    size_t size = hearth__bus_records_fit(records, own->records.size - own->at);
    if (!hearth__bus_message_begin(&own->message, bus->publisher) ||
        !hearth__buffer_append(&own->message, records, size)) {
        return hearth__bus_line_fail(line, "there is no memory");
    }
    int64_t deadline_ns = hearth__deadline_ns(bus->config.stall_ms);
    if (!hearth__bus_add_message(bus, line, &own->message) ||
        !hearth__bus_line_send(line, deadline_ns) ||
        !hearth__bus_line_expect(line, HEARTH__BUS_STRING, deadline_ns, &token)) {
        return false;
    }
    own->at += size;
    return true;
}

static bool send_all(hearth__bus *bus) {
    struct hearth__bus_publisher *own = &bus->publishing;
    bool good = hearth__bus_line_is_open(&own->line) || hearth__bus_line_open(&own->line);
    while (good && own->at < own->records.size) {
        good = send_next(bus);
    }
    return good;
}

static void succeed(hearth__bus *bus) {
    struct hearth__bus_publisher *own = &bus->publishing;
    atomic_store(&bus->done, own->number);
    atomic_store(&bus->is_down, false);
    own->failures = 0;
    hearth__bell_ring(&bus->told, HEARTH__BUS_STROKE);
    if (own->complained) {
        own->complained = false;
        hearth__log_add(bus->config.log, HEARTH_LOG_NOTICE, HEARTH_OK,
                        "bus %.80s (port %u): it takes what is told again", bus->config.host,
                        bus->config.port);
    }
}

/* Nobody waits while it does not answer. A connection that was idle may just have ended: that is tried once more first. */
static void fail(hearth__bus *bus) {
    struct hearth__bus_publisher *own = &bus->publishing;
    hearth__bus_line_close(&own->line);
    own->failures++;
    if (own->failures > 1) {
        atomic_store(&bus->is_down, true);
        hearth__bell_ring(&bus->told, HEARTH__BUS_STROKE);
    }
    if (own->failures > 1 && !own->complained) {
        own->complained = true;
        hearth__log_add(bus->config.log, HEARTH_LOG_WARNING, HEARTH_E_UNAVAILABLE,
                        "bus %.80s (port %u): other processes are not told of what changes: "
                        "%.120s. It is kept until they can be; see coherence.bus_url",
                        bus->config.host, bus->config.port, own->line.why);
    }
}

static void tell_lost(hearth__bus *bus) {
    hearth__log_add(
        bus->config.log, HEARTH_LOG_WARNING, HEARTH_E_UNAVAILABLE,
        "bus %.80s (port %u) does not answer: what other processes were not told of "
        "yet ends with the cache; their copies may be as old as local.max_ttl_ms "
        "allows",
        bus->config.host, bus->config.port);
}

void *hearth__bus_write(void *arg) {
    hearth__bus *bus = arg;
    const struct hearth__bus_publisher *own = &bus->publishing;
    hearth__fork_hold();
    for (;;) {
        uint32_t seen = hearth__bell_look(&bus->work);
        bool closing = atomic_load(&bus->closing);
        bool any = take(bus);
        if (any && send_all(bus)) {
            succeed(bus);
        } else if (any) {
            fail(bus);
            if (closing && own->failures > 1) {
                tell_lost(bus);
                break;
            }
            if (own->failures > 1) {
                hearth__bus_pause(bus, own->failures);
            }
        } else if (closing) {
            break;
        } else {
            bool held = hearth__fork_pause();
            (void)hearth__bell_await(&bus->work, seen, HEARTH__BUS_STROKE,
                                     own->is_short ? hearth__deadline_ns(bus->config.retry_ms)
                                                   : HEARTH__NEVER);
            hearth__fork_resume(held);
        }
    }
    hearth__fork_release();
    return NULL;
}
