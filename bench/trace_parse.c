/* SPDX-License-Identifier: Apache-2.0 */
/* The forms of traces: what one line or record says. */
#include "trace_inner.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- fields ------------------------------------------------------------------------------ */

static bool is_number(struct trace_field field) {
    for (size_t i = 0; i < field.size; i++) {
        if (field.text[i] < '0' || field.text[i] > '9') {
            return false;
        }
    }
    return field.size > 0;
}

static bool parse_number(struct trace_field field, uint64_t *number) {
    uint64_t value = 0;
    for (size_t i = 0; i < field.size; i++) {
        unsigned digit = (unsigned)(unsigned char)field.text[i] - '0';
        if (digit > 9 || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, digit, &value)) {
            return false;
        }
    }
    *number = value;
    return field.size > 0;
}

/* With a fraction, if there is one. */
static bool parse_time(struct trace_field field, double *time) {
    char text[40];
    char *end = NULL;
    if (field.size == 0 || field.size >= sizeof text || field.text[0] < '0' ||
        field.text[0] > '9') {
        return false;
    }
    memcpy(text, field.text, field.size);
    text[field.size] = '\0';
    *time = strtod(text, &end);
    return *end == '\0' && strspn(text, "0123456789.eE+-") == field.size;
}

static int take_key(struct trace *trace, struct trace_field field,
                    struct trace_request *request) {
    if (field.size == 0) {
        return trace_fail(trace, "there is no key");
    }
    if (field.size > TRACE_KEY_MAX) {
        return trace_fail(trace, "the key is longer than %d bytes", TRACE_KEY_MAX);
    }
    request->key = field.text;
    request->key_size = field.size;
    return 1;
}

static void take_number(struct trace *trace, uint64_t number, struct trace_request *request) {
    int size = snprintf(trace->number, sizeof trace->number, "%" PRIu64, number);
    *request = (struct trace_request){.key = trace->number, .key_size = (size_t)size};
}

/* Splits at the last separator: what is behind it goes to `last`. False: there is none. */
static bool split_last(struct trace_field *line, struct trace_field *last) {
    const char *comma = line->size > 0 ? memrchr(line->text, ',', line->size) : NULL;
    if (comma == NULL) {
        return false;
    }
    size_t size = (size_t)(comma - line->text);
    *last = (struct trace_field){comma + 1, line->size - size - 1};
    line->size = size;
    return true;
}

/* ---- keys -------------------------------------------------------------------------------- */

int trace_parse_keys(struct trace *trace, struct trace_field line,
                     struct trace_request *request) {
    struct trace_field last = {0};
    *request = (struct trace_request){.key = NULL};
    if (trace->has_times) {
        if (!split_last(&line, &last) || !parse_time(last, &request->time)) {
            return trace_fail(trace, "the time behind the last comma is not a number");
        }
        request->has_time = true;
    }
    struct trace_field key = line;
    request->has_size = split_last(&key, &last);
    if (trace->has_times && !request->has_size) {
        return trace_fail(trace, "there is no size, but the first line has one");
    }
    if (take_key(trace, key, request) < 0) {
        return -1;
    }
    return !request->has_size || parse_number(last, &request->size)
               ? 1
               : trace_fail(trace, "the size behind the comma is not a number of bytes");
}

/* ---- csv --------------------------------------------------------------------------------- */

/* Takes a field off the line's beginning, and the quotes off the field. False: its quotes do not end, or it has some within. */
static bool next_field(struct trace_field *line, char separator, struct trace_field *field,
                       bool *is_last) {
    bool quoted = line->size > 0 && line->text[0] == '"';
    const char *begin = line->text + quoted;
    const char *line_end = line->text + line->size;
    const char *end = memchr(begin, quoted ? '"' : separator, (size_t)(line_end - begin));
    if (quoted && (end == NULL || (end + 1 < line_end && end[1] != separator))) {
        return false;
    }
    end = end != NULL ? end : line_end;
    *field = (struct trace_field){begin, (size_t)(end - begin)};
    const char *behind = end + quoted;
    *is_last = behind >= line_end;
    behind += *is_last ? 0 : 1;
    *line = (struct trace_field){behind, (size_t)(line_end - behind)};
    return true;
}

int trace_parse_csv(struct trace *trace, struct trace_field line,
                    struct trace_request *request) {
    struct trace_field field = {NULL, 0};
    bool is_last = false;
    size_t column = 0;
    *request = (struct trace_request){.key = NULL};
    for (; !is_last; column++) {
        if (!next_field(&line, trace->separator, &field, &is_last)) {
            return trace_fail(trace, "column %zu has quotes that do not fit", column + 1);
        }
        if (column == trace->key_column && take_key(trace, field, request) < 0) {
            return -1;
        }
        if (column == trace->size_column) {
            request->has_size = parse_number(field, &request->size);
            if (!request->has_size) {
                return trace_fail(trace, "the size in column %zu is not a number of bytes",
                                  column + 1);
            }
        }
        if (column == trace->time_column) {
            request->has_time = parse_time(field, &request->time);
            if (!request->has_time) {
                return trace_fail(trace, "the time in column %zu is not a number", column + 1);
            }
        }
    }
    return column == trace->columns
               ? 1
               : trace_fail(trace, "has %zu columns, the header %zu", column, trace->columns);
}

static bool is_one_of(struct trace_field field, const char *const *names) {
    for (; *names != NULL; names++) {
        if (strlen(*names) == field.size && strncasecmp(*names, field.text, field.size) == 0) {
            return true;
        }
    }
    return false;
}

static const char *const key_names[] = {"key",    "id",  "obj_id", "object_id",
                                        "object", "url", NULL};
static const char *const size_names[] = {"size",  "obj_size",    "object_size", "value_size",
                                         "bytes", "object-size", NULL};
static const char *const time_names[] = {"time", "timestamp", "ts", "clock_time", NULL};

/* Whether the line names a key's column, between these separators. */
static bool read_header(struct trace *trace, struct trace_field line, char separator) {
    bool is_last = false;
    trace->separator = separator;
    trace->columns = 0;
    trace->key_column = trace->size_column = trace->time_column = TRACE_NO_COLUMN;
    while (!is_last && trace->columns < TRACE_COLUMNS) {
        struct trace_field field;
        if (!next_field(&line, separator, &field, &is_last)) {
            return false;
        }
        if (is_one_of(field, key_names) && trace->key_column == TRACE_NO_COLUMN) {
            trace->key_column = trace->columns;
        } else if (is_one_of(field, size_names) && trace->size_column == TRACE_NO_COLUMN) {
            trace->size_column = trace->columns;
        } else if (is_one_of(field, time_names) && trace->time_column == TRACE_NO_COLUMN) {
            trace->time_column = trace->columns;
        }
        trace->columns++;
    }
    return is_last && trace->key_column != TRACE_NO_COLUMN;
}

int trace_take_header(struct trace *trace, struct trace_field line) {
    return read_header(trace, line, ',') || read_header(trace, line, ';') ||
                   read_header(trace, line, '\t')
               ? 0
               : trace_fail(trace, "the header names no column of keys "
                                   "(key, id, obj_id, object, url)");
}

/* ---- twitter ----------------------------------------------------------------------------- */

enum { TWITTER_COLUMNS = 7 };

static bool split_twitter(struct trace_field line, struct trace_field *fields) {
    bool is_last = false;
    size_t column = 0;
    while (!is_last && column < TWITTER_COLUMNS &&
           next_field(&line, ',', &fields[column], &is_last)) {
        column++;
    }
    return is_last && column == TWITTER_COLUMNS;
}

int trace_parse_twitter(struct trace *trace, struct trace_field line,
                        struct trace_request *request) {
    struct trace_field fields[TWITTER_COLUMNS];
    *request = (struct trace_request){.has_size = true, .has_time = true};
    if (!split_twitter(line, fields)) {
        return trace_fail(trace, "does not have the 7 columns of Twitter's form");
    }
    if (!parse_time(fields[0], &request->time)) {
        return trace_fail(trace, "the time in column 1 is not a number");
    }
    if (!parse_number(fields[3], &request->size)) {
        return trace_fail(trace, "the value's size in column 4 is not a number of bytes");
    }
    return take_key(trace, fields[1], request);
}

/* ---- blocks ------------------------------------------------------------------------------ */

static bool split_arc(struct trace_field line, uint64_t numbers[4]) {
    size_t count = 0;
    while (line.size > 0) {
        struct trace_field word = {line.text, 0};
        while (word.size < line.size && word.text[word.size] != ' ' &&
               word.text[word.size] != '\t') {
            word.size++;
        }
        if (word.size > 0 && (count == 4 || !parse_number(word, &numbers[count++]))) {
            return false;
        }
        size_t taken = word.size < line.size ? word.size + 1 : word.size;
        line = (struct trace_field){line.text + taken, line.size - taken};
    }
    return count == 4;
}

int trace_next_block(struct trace *trace, struct trace_request *request) {
    take_number(trace, trace->block++, request);
    trace->blocks_left--;
    return 1;
}

int trace_parse_arc(struct trace *trace, struct trace_field line,
                    struct trace_request *request) {
    uint64_t numbers[4];
    if (!split_arc(line, numbers)) {
        return trace_fail(trace, "does not have the 4 numbers of ARC's form");
    }
    if (numbers[1] > UINT32_MAX || numbers[0] > UINT64_MAX - numbers[1]) {
        return trace_fail(trace, "asks for more blocks than there can be");
    }
    trace->block = numbers[0];
    trace->blocks_left = numbers[1];
    return trace->blocks_left > 0 ? trace_next_block(trace, request) : 0;
}

int trace_parse_lirs(struct trace *trace, struct trace_field line,
                     struct trace_request *request) {
    uint64_t number = 0;
    while (line.size > 0 && (line.text[line.size - 1] == ' ' || line.text[0] == ' ')) {
        line.text += line.text[0] == ' ';
        line.size--;
    }
    if (line.size == 0 || strchr("*#", line.text[0]) != NULL) {
        return 0;
    }
    if (!parse_number(line, &number)) {
        return trace_fail(trace, "is not the number of a block");
    }
    take_number(trace, number, request);
    return 1;
}

/* ---- oracle ------------------------------------------------------------------------------ */

static uint64_t little_endian(const unsigned char *bytes, size_t size) {
    uint64_t value = 0;
    for (size_t i = size; i-- > 0;) {
        value = value << 8 | bytes[i];
    }
    return value;
}

int trace_parse_record(struct trace *trace, const unsigned char *record,
                       struct trace_request *request) {
    take_number(trace, little_endian(record + 4, 8), request);
    request->size = little_endian(record + 12, 4);
    request->time = (double)little_endian(record, 4);
    request->has_size = request->has_time = true;
    return 1;
}

/* ---- which form it is -------------------------------------------------------------------- */

static bool has_letters_only(struct trace_field field) {
    for (size_t i = 0; i < field.size; i++) {
        char letter = (char)(field.text[i] | 0x20);
        if (letter < 'a' || letter > 'z') {
            return false;
        }
    }
    return field.size > 0;
}

static bool looks_like_twitter(struct trace_field line) {
    struct trace_field fields[TWITTER_COLUMNS];
    return split_twitter(line, fields) && is_number(fields[0]) && is_number(fields[2]) &&
           is_number(fields[3]) && is_number(fields[4]) && has_letters_only(fields[5]) &&
           is_number(fields[6]);
}

static bool ends_with_two_numbers(struct trace_field line) {
    struct trace_field last;
    double time = 0;
    return split_last(&line, &last) && parse_time(last, &time) && split_last(&line, &last) &&
           is_number(last) && line.size > 0;
}

enum trace_form trace_guess(struct trace *trace, struct trace_field line) {
    uint64_t numbers[4];
    static const char separators[] = {',', ';', '\t'};
    if (looks_like_twitter(line)) {
        return TRACE_TWITTER;
    }
    if (split_arc(line, numbers)) {
        return TRACE_ARC;
    }
    for (size_t i = 0; i < sizeof separators; i++) {
        /* A single word may be a key. */
        if (read_header(trace, line, separators[i]) && trace->columns > 1) {
            return TRACE_CSV;
        }
    }
    trace->has_times = ends_with_two_numbers(line);
    return TRACE_KEYS;
}
