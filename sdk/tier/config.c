/* SPDX-License-Identifier: Apache-2.0 */
#include "tier/config.h"

#include "base/memory.h"
#include "tier/rate.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum type { BYTES, MS, COUNT, RATE, FLAG, TEXT, CHOICE };

static const char *const type_names[] = {"bytes", "ms",   "count", "rate",
                                         "flag",  "text", "choice"};

struct option {
    const char *name;
    enum type type;
    size_t offset; /* of its field in hearth__config */
    int64_t low;
    int64_t high;
    const char *initial;
    const char *help;
};

static const struct option options[] = {
#define OPTION_ROW(name, field, type, low, high, initial, help) \
    {name, type, offsetof(hearth__config, field), low, high, initial, help},
    HEARTH__OPTION_MAP(OPTION_ROW)
#undef OPTION_ROW
};

enum {
    OPTIONS = sizeof options / sizeof options[0],
    NAME_MAX_SIZE = 63, /* of a name, and of what a message shows */
};

struct unit {
    const char *name;
    int64_t factor;
};

/* The greatest first, the plain one last. */
static const struct unit byte_units[] = {
    {"gb", INT64_C(1) << 30}, {"mb", 1 << 20}, {"kb", 1 << 10}, {"b", 1}, {"", 1}, {NULL, 0}};
static const struct unit ms_units[] = {
    {"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}, {"", 1}, {NULL, 0}};
static const struct unit plain_units[] = {{"", 1}, {NULL, 0}};

static const struct unit *units_of(enum type type) {
    return type == BYTES ? byte_units : type == MS ? ms_units : plain_units;
}

/* The words of an option that is a choice, in the order of its enum. */
static const char *words_of(const struct option *option) {
    static const struct {
        size_t offset;
        const char *words;
    } choices[] = {
        {offsetof(hearth__config, remote_memcached_client), "hearth libmemcached"},
        {offsetof(hearth__config, local_policy), "adaptive s3fifo lru"},
        {offsetof(hearth__config, coherence_mode), "auto ttl tracking bus"},
        {offsetof(hearth__config, coherence_writers), "any hearth"},
        {offsetof(hearth__config, coherence_tracking), "default broadcast"},
    };
    size_t i = 0;
    while (choices[i].offset != option->offset) {
        i++;
    }
    return choices[i].words;
}

static int64_t *number_field(hearth__config *config, const struct option *option) {
    return (int64_t *)(void *)((char *)config + option->offset);
}

static char **text_field(hearth__config *config, const struct option *option) {
    return (char **)(void *)((char *)config + option->offset);
}

static int64_t number_of(const hearth__config *config, const struct option *option) {
    return *(const int64_t *)(const void *)((const char *)config + option->offset);
}

static const char *text_of(const hearth__config *config, const struct option *option) {
    return *(char *const *)(const void *)((const char *)config + option->offset);
}

/* ---- names ------------------------------------------------------------------------------ */

static const struct option *find(const char *name) {
    for (size_t i = 0; i < OPTIONS; i++) {
        if (strcmp(options[i].name, name) == 0) {
            return &options[i];
        }
    }
    return NULL;
}

static size_t least(size_t a, size_t b) {
    return a < b ? a : b;
}

/* Levenshtein's distance; `b` is the name of an option. */
static size_t distance(const char *a, const char *b) {
    size_t row[NAME_MAX_SIZE + 1];
    size_t length = strlen(b);
    for (size_t j = 0; j <= length; j++) {
        row[j] = j;
    }
    for (size_t i = 1; a[i - 1] != '\0'; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= length; j++) {
            size_t substitute = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            row[j] = least(substitute, least(row[j], row[j - 1]) + 1);
        }
    }
    return row[length];
}

/* What a message may show of a text: it ends before the first byte that no name and no number has,
 * since a line that went wrong may hold an address with its password. */
struct shown {
    char text[68];
};

static struct shown show(const char *text) {
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "._+-";
    struct shown shown;
    size_t size = least(strspn(text, plain), NAME_MAX_SIZE);
    (void)snprintf(shown.text, sizeof shown.text, "%.*s%s", (int)size, text,
                   text[size] != '\0' ? "..." : "");
    return shown;
}

static __attribute__((noinline)) int32_t refuse_name(const char *name, char *why,
                                                     size_t why_size) {
    struct shown shown = show(name);
    const struct option *nearest = &options[0];
    for (size_t i = 0, shortest = SIZE_MAX; i < OPTIONS; i++) {
        size_t far = distance(shown.text, options[i].name);
        nearest = far < shortest ? &options[i] : nearest;
        shortest = least(far, shortest);
    }
    (void)snprintf(why, why_size, "'%s' is not an option; the nearest one is '%s'", shown.text,
                   nearest->name);
    return HEARTH_E_INVALID;
}

/* ---- values ----------------------------------------------------------------------------- */

static void print_number(enum type type, int64_t number, char *text, size_t size) {
    if (type == RATE) {
        hearth__rate_print(number, text, size);
        return;
    }
    const struct unit *unit = type == BYTES ? byte_units : plain_units;
    while (unit[1].name != NULL && (number == 0 || number % unit->factor != 0)) {
        unit++;
    }
    (void)snprintf(text, size, "%lld%s", (long long)(number / unit->factor), unit->name);
}

/* A whole number, perhaps negative, and a unit. */
static bool parse_number(const char *text, const struct unit *unit, int64_t *number) {
    bool negative = text[0] == '-';
    const char *at = text + negative;
    int64_t value = 0;
    const char *first = at;
    for (; *at >= '0' && *at <= '9'; at++) {
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, *at - '0', &value)) {
            return false;
        }
    }
    if (at == first) {
        return false;
    }
    while (unit->name != NULL && strcasecmp(unit->name, at) != 0) {
        unit++;
    }
    if (unit->name == NULL || __builtin_mul_overflow(value, unit->factor, &value)) {
        return false;
    }
    *number = negative ? -value : value;
    return true;
}

/* The place of a word among words separated by blanks; -1: it is not there. */
static int64_t word_index(const char *words, const char *word) {
    size_t size = strlen(word);
    int64_t index = 0;
    for (const char *at = words; at != NULL; index++) {
        const char *blank = strchr(at, ' ');
        size_t length = blank != NULL ? (size_t)(blank - at) : strlen(at);
        if (length == size && size != 0 && strncasecmp(at, word, size) == 0) {
            return index;
        }
        at = blank != NULL ? blank + 1 : NULL;
    }
    return -1;
}

static bool parse_flag(const char *text, int64_t *number) {
    int64_t yes = word_index("yes true on 1", text);
    *number = yes >= 0;
    return yes >= 0 || word_index("no false off 0", text) >= 0;
}

static bool parse_value(const struct option *option, const char *text, int64_t *number) {
    switch (option->type) {
    case FLAG:
        return parse_flag(text, number);
    case CHOICE:
        *number = word_index(words_of(option), text);
        return *number >= 0;
    case RATE:
        return hearth__rate_parse(text, number) && *number >= option->low &&
               *number <= option->high;
    default:
        return parse_number(text, units_of(option->type), number) && *number >= option->low &&
               *number <= option->high;
    }
}

static int32_t refuse_value(const struct option *option, const char *value, char *why,
                            size_t why_size) {
    char low[32];
    char high[32];
    struct shown shown = show(value);
    print_number(option->type, option->low, low, sizeof low);
    print_number(option->type, option->high, high, sizeof high);
    switch (option->type) {
    case BYTES:
        (void)snprintf(why, why_size,
                       "%s: '%s' is not a size from %s to %s; write it as in 64mb",
                       option->name, shown.text, low, high);
        break;
    case MS:
        (void)snprintf(why, why_size,
                       "%s: '%s' is not a time from %s to %s ms; write it as in 500, 5s or 2h",
                       option->name, shown.text, low, high);
        break;
    case COUNT:
        (void)snprintf(why, why_size, "%s: '%s' is not a whole number from %s to %s",
                       option->name, shown.text, low, high);
        break;
    case RATE:
        (void)snprintf(why, why_size,
                       "%s: '%s' is not a number from %s to %s; write it as in 0.01",
                       option->name, shown.text, low, high);
        break;
    case FLAG:
        (void)snprintf(why, why_size, "%s: '%s' is neither yes nor no", option->name,
                       shown.text);
        break;
    case TEXT: /* its value may hold a password */
        (void)snprintf(why, why_size, "%s: the text must have %s to %s bytes", option->name,
                       low, high);
        break;
    case CHOICE:
        (void)snprintf(why, why_size, "%s: '%s' is none of: %s", option->name, shown.text,
                       words_of(option));
        break;
    }
    return HEARTH_E_INVALID;
}

static int32_t set_text(hearth__config *config, const struct option *option, const char *value,
                        char *why, size_t why_size) {
    size_t size = strlen(value);
    if ((int64_t)size < option->low || (int64_t)size > option->high) {
        return refuse_value(option, value, why, why_size);
    }
    char *copy = hearth__copy_text(value, size);
    if (copy == NULL) {
        (void)snprintf(why, why_size, "%s: out of memory", option->name);
        return HEARTH_E_NOMEM;
    }
    char **field = text_field(config, option);
    hearth__free(*field);
    *field = copy;
    return HEARTH_OK;
}

static int32_t set(hearth__config *config, const struct option *option, const char *value,
                   char *why, size_t why_size) {
    if (option->type == TEXT) {
        return set_text(config, option, value, why, why_size);
    }
    int64_t number = 0;
    if (!parse_value(option, value, &number)) {
        return refuse_value(option, value, why, why_size);
    }
    *number_field(config, option) = number;
    return HEARTH_OK;
}

/* ---- the whole -------------------------------------------------------------------------- */

int32_t hearth__config_init(hearth__config *config) {
    *config = (hearth__config){0};
    char why[256];
    for (size_t i = 0; i < OPTIONS; i++) {
        int32_t status = set(config, &options[i], options[i].initial, why, sizeof why);
        if (status != HEARTH_OK) {
            return status;
        }
    }
    return HEARTH_OK;
}

void hearth__config_fini(hearth__config *config) {
    for (size_t i = 0; i < OPTIONS; i++) {
        if (options[i].type == TEXT) {
            hearth__free(*text_field(config, &options[i]));
        }
    }
    *config = (hearth__config){0};
}

int32_t hearth__config_set(hearth__config *config, const char *name, const char *value,
                           char *why, size_t why_size) {
    const struct option *option = find(name);
    if (option == NULL) {
        return refuse_name(name, why, why_size);
    }
    return set(config, option, value, why, why_size);
}

int32_t hearth__config_get(const hearth__config *config, const char *name, char *text,
                           size_t size, size_t *needed) {
    const struct option *option = find(name);
    if (option == NULL) {
        return HEARTH_E_INVALID;
    }
    char number[32];
    const char *value = number;
    size_t length = 0;
    if (option->type == TEXT) {
        value = text_of(config, option);
    } else if (option->type == FLAG) {
        value = number_of(config, option) != 0 ? "yes" : "no";
    } else if (option->type == CHOICE) {
        value = words_of(option);
        for (int64_t i = number_of(config, option); i > 0; i--) {
            value = strchr(value, ' ') + 1;
        }
        length = strcspn(value, " ");
    } else {
        print_number(option->type, number_of(config, option), number, sizeof number);
    }
    length = length != 0 ? length : strlen(value);
    *needed = length + 1;
    if (size < *needed) {
        return HEARTH_E_TOO_LARGE;
    }
    memcpy(text, value, length);
    text[length] = '\0';
    return HEARTH_OK;
}

int32_t hearth__config_describe(uint32_t index, hearth_option_info *info) {
    if (index >= OPTIONS) {
        return HEARTH_MISS;
    }
    const struct option *option = &options[index];
    *info = (hearth_option_info){.size = sizeof *info,
                                 .name = option->name,
                                 .type = type_names[option->type],
                                 .initial = option->initial,
                                 .choices = option->type == CHOICE ? words_of(option) : "",
                                 .help = option->help,
                                 .low = option->low,
                                 .high = option->high};
    return HEARTH_OK;
}

int32_t hearth__config_copy(const hearth__config *config, hearth__config *copy) {
    *copy = *config;
    bool complete = true;
    for (size_t i = 0; i < OPTIONS; i++) {
        if (options[i].type == TEXT) {
            const char *text = text_of(config, &options[i]);
            char *own = hearth__copy_text(text, strlen(text));
            *text_field(copy, &options[i]) = own;
            complete = complete && own != NULL;
        }
    }
    if (!complete) {
        hearth__config_fini(copy);
        return HEARTH_E_NOMEM;
    }
    return HEARTH_OK;
}
