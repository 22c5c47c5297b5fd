/* SPDX-License-Identifier: Apache-2.0 */
#include "remote/redis_connect.h"

#include "base/stat.h"
#include "remote/redis_socket.h"

#include <hearth/errors.h>

#include <stdio.h>
#include <string.h>

enum {
    CODE_SIZE = 24,
    REPLY_EXTRA_BYTES = 4096, /* what a reply may be longer than a value's body */
};

struct answer {
    bool ok;
    char code[CODE_SIZE]; /* the first word of a refusal */
};

/* Only the code: a server that does not know AUTH repeats the password in its message. */
static void copy_code(const hearth__redis_reply *reply, char *code) {
    size_t at = 0;
    for (; at < reply->size && at < CODE_SIZE - 1; at++) {
        char letter = reply->text[at];
        if ((letter < 'A' || letter > 'Z') && letter != '_') {
            break;
        }
        code[at] = letter;
    }
    code[at] = '\0';
}

static bool take(void *arg, const hearth__redis_reply *reply) {
    struct answer *answer = arg;
    answer->ok = reply->type == REDIS_REPLY_STATUS;
    if (reply->type == REDIS_REPLY_ERROR) {
        copy_code(reply, answer->code);
    }
    return answer->ok || reply->type == REDIS_REPLY_ERROR;
}

static int32_t queue(hearth__redis_connection *connection, const hearth__remote_url *url) {
    hearth__redis_command commands[2] = {0};
    size_t count = 0;
    if (url->password != NULL) {
        hearth__redis_command *auth = &commands[count++];
        hearth__redis_text(auth, "AUTH");
        if (url->user != NULL) {
            hearth__redis_text(auth, url->user);
        }
        hearth__redis_text(auth, url->password);
    }
    char number[16];
    if (url->database != 0) {
        (void)snprintf(number, sizeof number, "%u", url->database);
        hearth__redis_command *select = &commands[count++];
        hearth__redis_text(select, "SELECT");
        hearth__redis_text(select, number);
    }
    return count != 0 ? hearth__redis_queue(connection, commands, count) : HEARTH_OK;
}

static int32_t refuse(hearth__redis_attempt *attempt, const char *what, const char *code) {
    (void)snprintf(attempt->why, sizeof attempt->why, "it refused %s (%s): see remote.url",
                   what, code);
    attempt->refused = true;
    return HEARTH_E_UNAVAILABLE;
}

static int32_t greet(hearth__redis_connection *connection, const hearth__remote_url *url,
                     int64_t deadline_ns, hearth__redis_attempt *attempt) {
    struct answer auth = {.ok = true};
    struct answer select = {.ok = true};
    int32_t status = queue(connection, url);
    if (status == HEARTH_OK && url->password != NULL) {
        status = hearth__redis_await(connection, take, &auth, deadline_ns);
    }
    if (status == HEARTH_OK && !auth.ok) {
        return refuse(attempt, "the user or password", auth.code);
    }
    if (status == HEARTH_OK && url->database != 0) {
        status = hearth__redis_await(connection, take, &select, deadline_ns);
    }
    if (status == HEARTH_OK && !select.ok) {
        return refuse(attempt, "the database", select.code);
    }
    if (status != HEARTH_OK) {
        (void)snprintf(attempt->why, sizeof attempt->why, "%s",
                       "it did not answer as a Redis server does");
    }
    return status;
}

void hearth__redis_connect(const hearth__node_config *node,
                           hearth__redis_connection *connection, int64_t deadline_ns,
                           hearth__redis_attempt *attempt) {
    const hearth__remote_config *config = node->remote;
    *attempt = (hearth__redis_attempt){.why = "out of memory"};
    attempt->status = hearth__redis_socket_open(node->address, deadline_ns, &connection->fd,
                                                attempt->why, sizeof attempt->why);
    if (attempt->status == HEARTH_OK) {
        attempt->status = hearth__redis_connection_init(connection, config->max_value_bytes +
                                                                        REPLY_EXTRA_BYTES);
    }
    if (attempt->status == HEARTH_OK) {
        attempt->status = greet(connection, config->url, deadline_ns, attempt);
    }
    if (attempt->status == HEARTH_OK) {
        HEARTH__COUNT(config->counters, connects);
    } else {
        hearth__redis_connection_close(connection);
        HEARTH__COUNT(config->counters, connect_errors);
    }
}
