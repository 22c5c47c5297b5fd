/* SPDX-License-Identifier: Apache-2.0 */
#include "remote/redis_command.h"

#include <hearth/errors.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* A server takes no longer one (client-query-buffer-limit). */
#define COMMAND_MAX ((size_t)1 << 30)

enum { LENGTH_BYTES = 13 }; /* of "$1073741824\r\n" at the most */

void hearth__redis_command_init(hearth__redis_command *command, const char *verb) {
    command->count = 0;
    command->head_size = 0;
    hearth__redis_text(command, verb);
}

void hearth__redis_word(hearth__redis_command *command, const void *word, size_t size) {
    command->words[command->count] = size != 0 ? word : "";
    command->sizes[command->count] = size;
    command->count++;
}

void hearth__redis_headed_word(hearth__redis_command *command, const void *head,
                               size_t head_size, const void *word, size_t size) {
    command->head = head;
    command->head_size = head_size;
    command->headed = command->count;
    hearth__redis_word(command, word, size);
}

void hearth__redis_text(hearth__redis_command *command, const char *text) {
    hearth__redis_word(command, text, strlen(text));
}

void hearth__redis_integer(hearth__redis_command *command, int64_t integer,
                           hearth__redis_number *number) {
    (void)snprintf(number->text, sizeof number->text, "%" PRId64, integer);
    hearth__redis_text(command, number->text);
}

/* ---- formatting ----------------------------------------------------------------------------- */

static size_t head_size_of(const hearth__redis_command *command, size_t word) {
    return command->head_size != 0 && word == command->headed ? command->head_size : 0;
}

/* At most so many bytes; 0: too many for any server. */
static size_t bound_of(const hearth__redis_command *command) {
    size_t bound = LENGTH_BYTES;
    for (size_t i = 0; i < command->count; i++) {
        size_t head = head_size_of(command, i);
        if (command->sizes[i] > COMMAND_MAX || head > COMMAND_MAX - command->sizes[i]) {
            return 0;
        }
        bound += LENGTH_BYTES + head + command->sizes[i] + 2;
    }
    return bound <= COMMAND_MAX ? bound : 0;
}

static unsigned char *put(unsigned char *at, const void *bytes, size_t size) {
    memcpy(at, bytes, size);
    return at + size;
}

static unsigned char *put_length(unsigned char *at, char kind, size_t length) {
    size_t digits = 1;
    for (size_t rest = length; rest >= 10; rest /= 10) {
        digits++;
    }
    *at++ = (unsigned char)kind;
    for (size_t i = digits; i-- > 0; length /= 10) {
        at[i] = (unsigned char)('0' + length % 10);
    }
    return put(at + digits, "\r\n", 2);
}

int32_t hearth__redis_say(hearth__exchange *exchange, const hearth__redis_command *command) {
    size_t bound = bound_of(command);
    if (bound == 0) {
        return HEARTH_E_TOO_LARGE;
    }
    unsigned char *text = hearth__exchange_room(exchange, bound);
    if (text == NULL) {
        return HEARTH_E_NOMEM;
    }
    unsigned char *at = put_length(text, '*', command->count);
    for (size_t i = 0; i < command->count; i++) {
        size_t head = head_size_of(command, i);
        at = put_length(at, '$', head + command->sizes[i]);
        if (head != 0) {
            at = put(at, command->head, head);
        }
        at = put(at, command->words[i], command->sizes[i]);
        at = put(at, "\r\n", 2);
    }
    hearth__exchange_said(exchange, (size_t)(at - text));
    return HEARTH_OK;
}

int32_t hearth__redis_say_of_key(hearth__exchange *exchange, const char *head, const void *key,
                                 size_t key_size) {
    size_t head_size = strlen(head);
    unsigned char *text =
        hearth__exchange_room(exchange, head_size + LENGTH_BYTES + key_size + 2);
    if (text == NULL) {
        return HEARTH_E_NOMEM;
    }
    unsigned char *at = put(text, head, head_size);
    at = put_length(at, '$', key_size);
    at = put(at, key, key_size);
    at = put(at, "\r\n", 2);
    hearth__exchange_said(exchange, (size_t)(at - text));
    return HEARTH_OK;
}
