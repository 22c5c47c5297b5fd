/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading. One round: what is the last message, and then, unless all up to that is known, or something is told meanwhile, a wait for
 * the next one, of ping_ms at the most. Both questions are sent at once. XREAD's silence alone would prove nothing: a stream that is
 * gone is silent too.
 */
#include "coherence/bus_inner.h"

#include "base/clock.h"
#include "base/fork.h"

#include <hearth/errors.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { MESSAGES_MAX = 256 /* of one answer */ };

/* The id of the last message; empty: there is no stream. */
static const char last_script[] =
    "local i=redis.pcall('XINFO','STREAM',KEYS[1]) "
    "if i.err then if string.find(i.err,'no such key') then return '' end return i end "
    "for j=1,#i,2 do if i[j]=='last-generated-id' then return i[j+1] end end "
    "return redis.error_reply('XINFO STREAM has no last-generated-id')";

/* ---- trust ------------------------------------------------------------------------------ */

void hearth__bus_distrust(hearth__bus *bus) {
    struct hearth__bus_reader *own = &bus->reading;
    atomic_store(&own->source, 0);
    own->is_placed = false;
    own->is_asked = false;
    hearth__sources_end(bus->sources, 0, hearth__boot_ms());
    if (own->number != 0) {
        hearth__sources_close(bus->sources, own->number, hearth__boot_ms());
        own->number = 0;
    }
}

/* All that is told from now on will be heard. There may be no number left, for a while. */
static void open_source(hearth__bus *bus) {
    struct hearth__bus_reader *own = &bus->reading;
    hearth__redirect now = hearth__sources_redirect(bus->sources, 0);
    own->number =
        hearth__sources_open(bus->sources, 0, now.epoch, INT64_MAX / 2, hearth__boot_ms());
    atomic_store(&own->source, own->number);
}

/* All that is behind this place will be heard, and what was before it was written before `sent_ms`. */
static void trust(hearth__bus *bus, hearth__bus_place place, int64_t sent_ms) {
    struct hearth__bus_reader *own = &bus->reading;
    own->place = place;
    own->is_placed = true;
    own->is_asked = false;
    hearth__sources_begin(bus->sources, 0, 0, sent_ms, hearth__boot_ms());
    open_source(bus);
}

/* Messages may have been missed, of which a person can be told. */
static void miss(hearth__bus *bus, const char *why) {
    const hearth__bus_config *config = &bus->config;
    if (!bus->reading.is_placed) {
        return;
    }
    hearth__bus_distrust(bus);
    config->lost(config->arg);
    hearth__log_add(config->log, HEARTH_LOG_WARNING, HEARTH_E_UNAVAILABLE,
                    "bus %.80s (port %u): %.120s; all local copies are read anew", config->host,
                    config->port, why);
}

/* If all that was there when it was asked for is applied, everything from before is known. */
static void settle(hearth__bus *bus) {
    struct hearth__bus_reader *own = &bus->reading;
    if (own->is_asked && own->place.number >= own->asked_for.number) {
        own->is_asked = false;
        hearth__sources_prove(bus->sources, 0, own->asked_ms);
        if (own->number == 0) {
            open_source(bus);
        }
    }
}

/* ---- messages --------------------------------------------------------------------------- */

/* The next token of an answer of which `why` is said if it is another kind. */
static bool expect(hearth__bus *bus, enum hearth__bus_token_kind kind, int64_t until_ns,
                   hearth__bus_token *token) {
    return hearth__bus_line_expect(&bus->reading.line, kind, until_ns, token);
}

static void apply(hearth__bus *bus, const hearth__bus_token *bytes) {
    const hearth__bus_config *config = &bus->config;
    enum hearth__bus_reading reading = HEARTH__BUS_UNREADABLE;
    if (bytes->bytes != NULL) {
        reading = hearth__bus_message_read(bytes->bytes, bytes->size, bus->publisher,
                                           config->key_max, config->changed, config->arg);
    }
    if (reading == HEARTH__BUS_UNREADABLE) {
        miss(bus, "something was told that this version cannot read, or too much at once");
    }
}

/* The fields of an entry: one, of ours; or what says that something changed which cannot be read. */
static bool read_fields(hearth__bus *bus, int64_t until_ns) {
    hearth__bus_token token;
    if (!expect(bus, HEARTH__BUS_ARRAY, until_ns, &token)) {
        return false;
    }
    int64_t fields = token.number;
    bool is_ours = false;
    for (int64_t i = 0; i < fields; i++) {
        if (!expect(bus, HEARTH__BUS_STRING, until_ns, &token)) {
            return false;
        }
        if (fields == 2 && i == 0) {
            is_ours = token.size == 1 && token.bytes[0] == 'h';
        } else if (is_ours) {
            apply(bus, &token);
        }
    }
    if (!is_ours) {
        const hearth__bus_token none = {0};
        apply(bus, &none);
    }
    return true;
}

/* An entry of the stream: its id says whether one before it is missing. */
static bool read_entry(hearth__bus *bus, int64_t sent_ms, int64_t until_ns) {
    struct hearth__bus_reader *own = &bus->reading;
    hearth__bus_place place = {0};
    hearth__bus_token token;
    if (!expect(bus, HEARTH__BUS_ARRAY, until_ns, &token) ||
        !expect(bus, HEARTH__BUS_STRING, until_ns, &token)) {
        return false;
    }
    if (token.bytes == NULL || !hearth__bus_place_parse(token.bytes, token.size, &place)) {
        return hearth__bus_line_fail(&own->line, "an entry's id is none");
    }
    if (!hearth__bus_place_follows(place, own->place)) {
        miss(bus, "messages are missing");
    }
    if (!read_fields(bus, until_ns)) {
        return false;
    }
    if (!own->is_placed) { /* what is read from now on is known from here */
        trust(bus, place, sent_ms);
    }
    own->place = place;
    return true;
}

/* The answer to XREAD. */
static bool read_entries(hearth__bus *bus, int64_t sent_ms, int64_t until_ns) {
    hearth__bus_line *line = &bus->reading.line;
    hearth__bus_token token;
    if (!hearth__bus_line_next(line, until_ns, &token)) {
        return false;
    }
    if (token.kind == HEARTH__BUS_NIL) {
        return true;
    }
    if (token.kind == HEARTH__BUS_ERROR) {
        (void)snprintf(line->why, sizeof line->why, "%.*s", (int)token.size, token.bytes);
        return false;
    }
    if (token.kind != HEARTH__BUS_ARRAY || token.number != 1) {
        return hearth__bus_line_fail(line, "it said what is no answer to XREAD");
    }
    if (!expect(bus, HEARTH__BUS_ARRAY, until_ns, &token) ||
        !expect(bus, HEARTH__BUS_STRING, until_ns, &token) ||
        !expect(bus, HEARTH__BUS_ARRAY, until_ns, &token)) {
        return false;
    }
    bool good = true;
    for (int64_t left = token.number; good && left > 0; left--) {
        good = read_entry(bus, sent_ms, until_ns);
    }
    return good;
}

/* ---- rounds ----------------------------------------------------------------------------- */

static bool ask_last(const hearth__bus *bus, hearth__bus_line *line) {
    return hearth__bus_line_command(line, 4) && hearth__bus_line_text(line, "EVAL") &&
           hearth__bus_line_word(line, last_script, sizeof last_script - 1) &&
           hearth__bus_line_number(line, 1) && hearth__bus_line_text(line, bus->config.stream);
}

static bool ask_next(const hearth__bus *bus, hearth__bus_line *line) {
    const hearth__bus_place *place = &bus->reading.place;
    char id[48];
    (void)snprintf(id, sizeof id, "%" PRIu64 "-%" PRIu64, place->epoch, place->number);
    return hearth__bus_line_command(line, 8) && hearth__bus_line_text(line, "XREAD") &&
           hearth__bus_line_text(line, "BLOCK") &&
           hearth__bus_line_number(line, (uint64_t)bus->config.ping_ms) &&
           hearth__bus_line_text(line, "COUNT") &&
           hearth__bus_line_number(line, MESSAGES_MAX) &&
           hearth__bus_line_text(line, "STREAMS") &&
           hearth__bus_line_text(line, bus->config.stream) && hearth__bus_line_text(line, id);
}

/* The last message there is; number 0: there is no stream. */
static bool hear_last(hearth__bus *bus, int64_t until_ns, hearth__bus_place *last) {
    hearth__bus_token token;
    *last = (hearth__bus_place){0};
    if (!expect(bus, HEARTH__BUS_STRING, until_ns, &token)) {
        return false;
    }
    return token.size == 0 || hearth__bus_place_parse(token.bytes, token.size, last) ||
           hearth__bus_line_fail(&bus->reading.line, "the stream's last id is none");
}

/* The first place: that of the last message, of which there is one then. */
static bool find_place(hearth__bus *bus) {
    hearth__bus_line *line = &bus->reading.line;
    int64_t sent_ms = hearth__boot_ms();
    int64_t until_ns = hearth__deadline_ns(bus->config.dead_ms);
    hearth__bus_place last;
    hearth__bus_token token;
    if (!ask_last(bus, line) || !hearth__bus_line_send(line, until_ns) ||
        !hear_last(bus, until_ns, &last)) {
        return false;
    }
    if (last.number != 0) {
        trust(bus, last, sent_ms);
        return true;
    }
    /* A stream of which nothing is known could go and come unseen: it begins with a word of ours. */
    hearth__buffer hello = {0};
    bool good = (hearth__bus_message_begin(&hello, bus->publisher) ||
                 hearth__bus_line_fail(line, "there is no memory")) &&
                hearth__bus_add_message(bus, line, &hello) &&
                hearth__bus_line_send(line, until_ns) &&
                expect(bus, HEARTH__BUS_STRING, until_ns, &token);
    hearth__buffer_fini(&hello);
    return good;
}

static bool read_on(hearth__bus *bus) {
    struct hearth__bus_reader *own = &bus->reading;
    int64_t sent_ms = hearth__boot_ms();
    int64_t until_ns = hearth__deadline_ns(bus->config.dead_ms);
    int64_t patience_ns = hearth__deadline_ns(bus->config.ping_ms + bus->config.dead_ms);
    hearth__bus_place last;
    if (!ask_last(bus, &own->line) || !ask_next(bus, &own->line) ||
        !hearth__bus_line_send(&own->line, until_ns) || !hear_last(bus, until_ns, &last)) {
        return false;
    }
    if (!hearth__bus_place_is_in(own->place, last)) {
        miss(bus, "the stream is gone, or another one");
        own->failures = 0; /* the server itself is well */
        return hearth__bus_line_fail(&own->line, "it has lost the stream");
    }
    if (!own->is_asked) {
        own->is_asked = true;
        own->asked_ms = sent_ms;
        own->asked_for = last;
    }
    settle(bus);
    if (!read_entries(bus, sent_ms, patience_ns)) {
        return false;
    }
    settle(bus);
    return true;
}

/* ---- the server ------------------------------------------------------------------------- */

/* Another server, or one that was restarted, may have fewer messages than were there: of them it knows nothing. */
static bool look_who_it_is(hearth__bus *bus) {
    static const char name[] = "run_id:";
    struct hearth__bus_reader *own = &bus->reading;
    hearth__bus_line *line = &own->line;
    hearth__bus_token token;
    char id[HEARTH__BUS_RUN_ID_BYTES + 1] = "";
    int64_t until_ns = hearth__deadline_ns(bus->config.dead_ms);
    if (!hearth__bus_line_command(line, 2) || !hearth__bus_line_text(line, "INFO") ||
        !hearth__bus_line_text(line, "server") || !hearth__bus_line_send(line, until_ns) ||
        !hearth__bus_line_next(line, until_ns, &token)) {
        return false;
    }
    const char *at = token.kind == HEARTH__BUS_STRING && token.bytes != NULL
                         ? memmem(token.bytes, token.size, name, sizeof name - 1)
                         : NULL;
    size_t left = at != NULL ? token.size - (size_t)(at - token.bytes) : 0;
    if (left >= sizeof name - 1 + HEARTH__BUS_RUN_ID_BYTES) {
        memcpy(id, at + sizeof name - 1, HEARTH__BUS_RUN_ID_BYTES);
    }
    if (id[0] == '\0' || strcmp(id, own->run_id) != 0) {
        miss(bus, "it was restarted, or another server took its place");
    }
    memcpy(own->run_id, id, sizeof id);
    return true;
}

/* Until the connection ends. */
static void listen_on(hearth__bus *bus) {
    struct hearth__bus_reader *own = &bus->reading;
    const hearth__bus_config *config = &bus->config;
    bool good = look_who_it_is(bus);
    own->is_asked = false;
    while (good && !atomic_load(&bus->closing)) {
        good = own->is_placed ? read_on(bus) : find_place(bus);
        if (good && own->is_placed) {
            own->failures = 0;
        }
        if (good && own->is_placed && own->complained) {
            own->complained = false;
            hearth__log_add(config->log, HEARTH_LOG_NOTICE, HEARTH_OK,
                            "bus %.80s (port %u): other processes' changes are heard again",
                            config->host, config->port);
        }
    }
}

static void complain(hearth__bus *bus) {
    struct hearth__bus_reader *own = &bus->reading;
    if (!own->complained && own->failures > 1) {
        own->complained = true;
        hearth__log_add(bus->config.log, HEARTH_LOG_WARNING, HEARTH_E_UNAVAILABLE,
                        "bus %.80s (port %u): other processes' changes are not heard: %.120s. "
                        "Local copies live shorter until they are; see coherence.bus_url",
                        bus->config.host, bus->config.port, own->line.why);
    }
}

void *hearth__bus_read(void *arg) {
    hearth__bus *bus = arg;
    struct hearth__bus_reader *own = &bus->reading;
    hearth__fork_hold();
    while (!atomic_load(&bus->closing)) {
        if (hearth__bus_line_open(&own->line)) {
            listen_on(bus);
        }
        hearth__bus_line_close(&own->line);
        if (!atomic_load(&bus->closing)) {
            own->failures++;
            complain(bus);
            hearth__bus_pause(bus, own->failures);
        }
    }
    hearth__fork_release();
    return NULL;
}
