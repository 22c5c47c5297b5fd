/* SPDX-License-Identifier: Apache-2.0 */
#include "remote/redis_command.h"

#include <hearth/errors.h>

#include <hiredis/hiredis.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { COPIED_BYTES = 4096 }; /* a longer text is handed on as it is */

#define COMMAND_MAX ((size_t)1 << 30) /* hiredis counts in an int */

void hearth__redis_word(hearth__redis_command *command, const void *word, size_t size) {
    command->words[command->count] = size != 0 ? word : "";
    command->sizes[command->count] = size;
    command->count++;
}

void hearth__redis_text(hearth__redis_command *command, const char *text) {
    hearth__redis_word(command, text, strlen(text));
}

void hearth__redis_integer(hearth__redis_command *command, int64_t integer,
                           hearth__redis_number *number) {
    (void)snprintf(number->text, sizeof number->text, "%" PRId64, integer);
    hearth__redis_text(command, number->text);
}

static void release(void *text) {
    redisFreeCommand(text);
}

int32_t hearth__redis_say(hearth__exchange *exchange, const hearth__redis_command *command) {
    /* hiredis reads the words only, but asks for them without const. */
    const char *words[HEARTH__REDIS_WORDS];
    char *text = NULL;
    size_t total = 0;
    for (size_t i = 0; i < command->count; i++) {
        words[i] = command->words[i];
        if (command->sizes[i] > COMMAND_MAX - total) {
            return HEARTH_E_TOO_LARGE;
        }
        total += command->sizes[i];
    }
    int size = redisFormatCommandArgv(&text, (int)command->count, words, command->sizes);
    if (size < 0) {
        return HEARTH_E_NOMEM;
    }
    if (size > COPIED_BYTES) {
        bool given = hearth__exchange_give(exchange, text, (size_t)size, release);
        return given ? HEARTH_OK : HEARTH_E_NOMEM;
    }
    bool said = hearth__exchange_say(exchange, text, (size_t)size);
    redisFreeCommand(text);
    return said ? HEARTH_OK : HEARTH_E_NOMEM;
}
