/* SPDX-License-Identifier: Apache-2.0 */
/* The options of the suite `hotkey`: one table gives names, ranges and help. */
#include "hearth-bench/hotkey.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum kind {
    KIND_WHOLE,   /* an unsigned */
    KIND_NUMBER,  /* a double */
    KIND_PERCENT, /* a double: the share */
    KIND_BYTES,   /* N or LOW-HIGH */
    KIND_EVENT,
    KIND_MODES,
    KIND_SERVER,
    KIND_SET, /* NAME=VALUE */
    KIND_TEXT,
    KIND_FLAG,
};

struct knob {
    const char *name;
    enum kind kind;
    double low;
    double high;
    size_t at; /* in struct hotkey_settings */
    const char *argument;
    const char *help;
};

#define AT(field) offsetof(struct hotkey_settings, field)

static const struct knob knobs[] = {
    {"threads", KIND_WHOLE, 1, GENERATOR_THREADS, AT(threads), "N", "threads of a process (8)"},
    {"processes", KIND_WHOLE, 1, HOTKEY_PROCESSES, AT(processes), "N",
     "processes, each with a cache of its own (1)"},
    {"keys", KIND_WHOLE, 1, POPULARITY_KEYS_MOST, AT(keys), "N", "keys (1000000)"},
    {"zipf", KIND_NUMBER, 0.01, 5, AT(exponent), "S",
     "popularity: the key of rank r is asked for in proportion to 1/r^S (0.99)"},
    {"event", KIND_EVENT, 0, 0, AT(event), "NAME",
     "what happens: none, viral (one key takes a share), flash (a thousand new keys do),\n"
     "                    scan (a share goes through all keys), churn (a share of the keys, the hottest,\n"
     "                    turn cold each second)"},
    {"at", KIND_NUMBER, 0, 86400, AT(at_s), "S",
     "when, in seconds; figures are of the time from then on"},
    {"seconds", KIND_NUMBER, 0.2, 86400, AT(seconds), "S", "how long each mode runs"},
    {"share", KIND_PERCENT, 0, 100, AT(share), "PERCENT", "the share of the event"},
    {"rate", KIND_NUMBER, 1, 1e8, AT(rate), "N",
     "requests a second that arrive, whether or not earlier ones were answered (an\n"
     "                    open loop); without it each thread asks when it has its answer (a closed loop)"},
    {"value-bytes", KIND_BYTES, 16, 1 << 20, AT(value_low), "N",
     "of the values; LOW-HIGH: between the two, small ones more often (100)"},
    {"writes", KIND_PERCENT, 0, 100, AT(writes), "PERCENT", "requests that write (0)"},
    {"local", KIND_PERCENT, 0, 1000, AT(local), "PERCENT",
     "of the keys find room in the local tier"},
    {"origin-us", KIND_WHOLE, 0, 10000000, AT(origin_us), "N",
     "how long a load from the source of truth takes (1000)"},
    {"nodes", KIND_WHOLE, 1, 16, AT(nodes), "N", "servers that are started (3)"},
    {"server", KIND_SERVER, 0, 0, AT(is_memcached), "NAME", "redis or memcached"},
    {"mode", KIND_MODES, 0, 0, AT(modes), "LIST",
     "of origin (the source of truth alone), peer (servers, by hiredis or\n"
     "                    libmemcached), twemproxy (the same through it, if nutcracker is installed; not with\n"
     "                    --remote), no-local (Hearth without its local tier), hearth, tracking (Hearth, and\n"
     "                    Redis tells it of changes); with commas"},
    {"set", KIND_SET, 0, 0, 0, "NAME=VALUE", "an option of Hearth's, as local.policy=lru"},
    {"remote", KIND_TEXT, 0, 0, AT(remote), "URL",
     "the nodes to use, as redis://host:port,host:port or memcached://..., instead of\n"
     "                    servers started for the run; what it wrote there it deletes in the end"},
    {"prefix", KIND_TEXT, 0, HOTKEY_PREFIX - 2, AT(prefix), "TEXT",
     "put before every key there (hearth-bench:)"},
    {"yes", KIND_FLAG, 0, 0, AT(goes_on), "",
     "write to servers that are not on this machine without asking"},
};
enum { KNOBS = sizeof knobs / sizeof knobs[0] };

const char *hotkey_knob_name(size_t knob) {
    return knob < KNOBS ? knobs[knob].name : NULL;
}

bool hotkey_knob_has_value(size_t knob) {
    return knobs[knob].kind != KIND_FLAG;
}

void hotkey_print_help(void) {
    (void)puts(
        "Options of hotkey (usual values in parentheses; cases have their own for some):\n");
    for (size_t i = 0; i < KNOBS; i++) {
        char name[40];
        (void)snprintf(name, sizeof name, "--%s %s", knobs[i].name, knobs[i].argument);
        printf("  %-17s %s\n", name, knobs[i].help);
    }
    (void)puts("");
}

/* ---- one value --------------------------------------------------------------------------- */

static bool refuse(const struct knob *knob, const char *value, const char *wanted) {
    (void)fprintf(stderr, "hearth-bench: --%s takes %s, not '%s' (--help explains)\n",
                  knob->name, wanted, value);
    return false;
}

static bool take_number(const struct knob *knob, const char *value, double *number) {
    char wanted[96];
    char *end = NULL;
    bool is_plain = value[0] != '\0' && strspn(value, "0123456789.") == strlen(value);
    bool is_whole = knob->kind == KIND_WHOLE;
    *number = is_plain ? strtod(value, &end) : -1;
    if (is_plain && *end == '\0' && *number >= knob->low && *number <= knob->high &&
        (!is_whole || strchr(value, '.') == NULL)) {
        return true;
    }
    (void)snprintf(wanted, sizeof wanted, "a %snumber from %.10g to %.10g",
                   is_whole ? "whole " : "", knob->low, knob->high);
    return refuse(knob, value, wanted);
}

static bool take_bytes(const struct knob *knob, const char *value, uint64_t range[2]) {
    char *end = NULL;
    bool is_plain = value[0] >= '1' && value[0] <= '9' &&
                    strspn(value, "0123456789-") == strlen(value) && strlen(value) < 20;
    range[0] = range[1] = is_plain ? strtoull(value, &end, 10) : 0;
    if (is_plain && *end == '-') {
        range[1] = strtoull(end + 1, &end, 10);
    }
    return (is_plain && *end == '\0' && range[0] >= (uint64_t)knob->low &&
            range[1] <= (uint64_t)knob->high && range[0] <= range[1]) ||
           refuse(knob, value, "bytes, as 100 or 64-4096, from 16 to 1048576");
}

static bool take_event(const struct knob *knob, const char *value,
                       enum popularity_event *event) {
    static const char *const names[] = {"none", "viral", "flash", "scan", "churn"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(value, names[i]) == 0) {
            *event = (enum popularity_event)i;
            return true;
        }
    }
    return refuse(knob, value, "none, viral, flash, scan or churn");
}

static bool take_modes(const struct knob *knob, const char *value, bool *modes) {
    static const char *const names[HOTKEY_MODES] = {"origin",   "peer",   "twemproxy",
                                                    "no-local", "hearth", "tracking"};
    bool chosen[HOTKEY_MODES] = {false};
    for (const char *at = value;; at++) {
        size_t size = strcspn(at, ",");
        size_t i = 0;
        while (i < HOTKEY_MODES &&
               (strlen(names[i]) != size || strncmp(at, names[i], size) != 0)) {
            i++;
        }
        if (i == HOTKEY_MODES) {
            return refuse(
                knob, value,
                "origin, peer, twemproxy, no-local, hearth, tracking, with commas between");
        }
        chosen[i] = true;
        at += size;
        if (*at == '\0') {
            memcpy(modes, chosen, sizeof chosen);
            return true;
        }
    }
}

/* Hearth itself says what is wrong with a name or value. */
static bool take_set(const struct knob *knob, const char *value,
                     struct hotkey_settings *settings) {
    if (strchr(value, '=') == NULL || value[0] == '=' || settings->set_count == HOTKEY_SETS) {
        return refuse(knob, value, "NAME=VALUE, up to 16 times");
    }
    settings->sets[settings->set_count++] = value;
    return true;
}

static bool take_text(const struct knob *knob, const char *value, const char **text) {
    if (value[0] == '\0' || (knob->high > 0 && (double)strlen(value) > knob->high) ||
        strpbrk(value, " \t\r\n") != NULL) {
        return refuse(knob, value, "a text without blanks that is not too long");
    }
    *text = value;
    return true;
}

static bool take(struct hotkey_settings *settings, const struct knob *knob, const char *value) {
    void *field = (char *)settings + knob->at;
    double number = 0;
    switch (knob->kind) {
    case KIND_WHOLE:
        if (!take_number(knob, value, &number)) {
            return false;
        }
        *(unsigned *)field = (unsigned)number;
        return true;
    case KIND_NUMBER:
    case KIND_PERCENT:
        if (!take_number(knob, value, &number)) {
            return false;
        }
        *(double *)field = knob->kind == KIND_PERCENT ? number / 100 : number;
        return true;
    case KIND_BYTES:
        return take_bytes(knob, value, field);
    case KIND_EVENT:
        return take_event(knob, value, field);
    case KIND_MODES:
        return take_modes(knob, value, field);
    case KIND_SERVER:
        settings->is_memcached = strcmp(value, "memcached") == 0;
        return settings->is_memcached || strcmp(value, "redis") == 0 ||
               refuse(knob, value, "redis or memcached");
    case KIND_SET:
        return take_set(knob, value, settings);
    case KIND_TEXT:
        return take_text(knob, value, field);
    default:
        *(bool *)field = true;
        return true;
    }
}

/* ---- all of them ------------------------------------------------------------------------- */

int hotkey_take(struct hotkey_wish *wish, size_t knob, const char *value) {
    struct hotkey_settings scratch = {.set_count = 0};
    hotkey_apply(wish, &scratch);
    if (wish->count == HOTKEY_SAYINGS) {
        (void)fprintf(stderr, "hearth-bench: no more than %d options of hotkey\n",
                      HOTKEY_SAYINGS);
        return -1;
    }
    if (!take(&scratch, &knobs[knob], value)) {
        return -1;
    }
    wish->said[wish->count].knob = knob;
    wish->said[wish->count++].value = value;
    return 0;
}

void hotkey_apply(const struct hotkey_wish *wish, struct hotkey_settings *settings) {
    for (size_t i = 0; i < wish->count; i++) {
        (void)take(settings, &knobs[wish->said[i].knob], wish->said[i].value);
    }
    if (settings->at_s > settings->seconds * 0.9) {
        settings->at_s = settings->seconds / 2;
    }
}
