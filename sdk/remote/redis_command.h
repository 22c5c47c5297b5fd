/* SPDX-License-Identifier: Apache-2.0 */
/* Commands to a Redis server, formatted by hiredis. No I/O. */
#ifndef HEARTH_REMOTE_REDIS_COMMAND_H
#define HEARTH_REMOTE_REDIS_COMMAND_H

#include "remote/lane_codec.h"

#include <stddef.h>
#include <stdint.h>

/* The words of a command; they are copied when it is said. */
enum { HEARTH__REDIS_WORDS = 7 };
typedef struct hearth__redis_command {
    size_t count;
    const char *words[HEARTH__REDIS_WORDS];
    size_t sizes[HEARTH__REDIS_WORDS];
} hearth__redis_command;

/* Adds a word. */
void hearth__redis_word(hearth__redis_command *command, const void *word, size_t size);
void hearth__redis_text(hearth__redis_command *command, const char *text);

/* A number's digits, which must live until the command is said. */
typedef struct hearth__redis_number {
    char text[24];
} hearth__redis_number;
void hearth__redis_integer(hearth__redis_command *command, int64_t integer,
                           hearth__redis_number *number);

/* Adds a command to what an exchange says. HEARTH_OK; HEARTH_E_NOMEM, HEARTH_E_TOO_LARGE (for any
 * server): part of it may be said. */
int32_t hearth__redis_say(hearth__exchange *exchange, const hearth__redis_command *command);

#endif
