/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands to a Redis server. No I/O.
 *
 * They are formatted here and not by hiredis, which prints each length with sprintf into memory of
 * its own: that took a fifth of the time that a GET costs on our side, and copied a large value
 * twice more.
 */
#ifndef HEARTH_REMOTE_REDIS_COMMAND_H
#define HEARTH_REMOTE_REDIS_COMMAND_H

#include "remote/lane_codec.h"

#include <stddef.h>
#include <stdint.h>

/* The words of a command; they are copied when it is said. */
enum { HEARTH__REDIS_WORDS = 7 };
typedef struct hearth__redis_command {
    size_t count;
    const void *words[HEARTH__REDIS_WORDS];
    size_t sizes[HEARTH__REDIS_WORDS];
    const void *head; /* comes before the word at `headed`, and belongs to it */
    size_t head_size; /* 0: there is none */
    size_t headed;
} hearth__redis_command;

/* Begins a command. */
void hearth__redis_command_init(hearth__redis_command *command, const char *verb);

/* Adds a word. */
void hearth__redis_word(hearth__redis_command *command, const void *word, size_t size);

/* Adds a word of two parts; a command has one such. */
void hearth__redis_headed_word(hearth__redis_command *command, const void *head,
                               size_t head_size, const void *word, size_t size);
void hearth__redis_text(hearth__redis_command *command, const char *text);

/* A number's digits, which must live until the command is said. */
typedef struct hearth__redis_number {
    char text[24];
} hearth__redis_number;
void hearth__redis_integer(hearth__redis_command *command, int64_t integer,
                           hearth__redis_number *number);

/* Adds a command to what an exchange says. HEARTH_OK; HEARTH_E_NOMEM, HEARTH_E_TOO_LARGE (for any
 * server): nothing is said. */
int32_t hearth__redis_say(hearth__exchange *exchange, const hearth__redis_command *command);

/* The same of a verb and a key, all that most commands are. `head` is what stands before the key, as it is sent. HEARTH_OK,
 * HEARTH_E_NOMEM. */
#define HEARTH__REDIS_GET  "*2\r\n$3\r\nGET\r\n"
#define HEARTH__REDIS_PTTL "*2\r\n$4\r\nPTTL\r\n"
int32_t hearth__redis_say_of_key(hearth__exchange *exchange, const char *head, const void *key,
                                 size_t key_size);

#endif
