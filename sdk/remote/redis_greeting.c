/* SPDX-License-Identifier: Apache-2.0 */
#include "remote/redis_greeting.h"

#include "base/clock.h"
#include "remote/redis_codec.h"
#include "remote/redis_command.h"
#include "remote/redis_node.h"
#include "remote/redis_verbs.h"

#include <hearth/errors.h>

#include <stdio.h>

enum { GREETING_AUTH, GREETING_SELECT, GREETING_RUN, GREETING_TRACKING };

static int32_t say(hearth__exchange *exchange, const hearth__redis_command *command,
                   uint32_t flags) {
    const hearth__notes notes = {.asked = HEARTH__REDIS_ASKED_STATUS, .flags = flags};
    int32_t status = hearth__redis_say(exchange, command);
    if (status == HEARTH_OK) {
        hearth__exchange_ask(exchange, &notes);
    }
    return status;
}

int32_t hearth__redis_redirect(void *node, hearth__exchange *exchange) {
    const hearth__node_config *config = &((const hearth__node *)node)->config;
    const hearth__tracker *tracker = config->remote->tracker;
    int64_t client_id = 0;
    hearth__notes notes = {.asked = HEARTH__REDIS_ASKED_STATUS, .flags = GREETING_TRACKING};
    notes.epoch = tracker->redirect(tracker->arg, config->listened, &client_id);
    if (notes.epoch == 0) {
        return HEARTH_OK;
    }
    hearth__redis_command tracking;
    hearth__redis_number number;
    hearth__redis_command_init(&tracking, "CLIENT");
    hearth__redis_text(&tracking, "TRACKING");
    hearth__redis_text(&tracking, "ON");
    hearth__redis_text(&tracking, "REDIRECT");
    hearth__redis_integer(&tracking, client_id, &number);
    int32_t status = hearth__redis_say(exchange, &tracking);
    if (status == HEARTH_OK) {
        hearth__exchange_ask(exchange, &notes);
    }
    return status;
}

/* Which run of its server this is. */
static int32_t ask_run(hearth__exchange *exchange) {
    const hearth__notes notes = {.asked = HEARTH__REDIS_ASKED_STRING, .flags = GREETING_RUN};
    hearth__redis_command info;
    hearth__redis_command_init(&info, "INFO"); /* before Redis 7 it takes no two sections */
    int32_t status = hearth__redis_say(exchange, &info);
    if (status == HEARTH_OK) {
        hearth__exchange_ask(exchange, &notes);
    }
    return status;
}

int32_t hearth__redis_greet(void *node, hearth__exchange *exchange) {
    const hearth__node_config *config = &((const hearth__node *)node)->config;
    const hearth__remote_url *url = config->remote->url;
    int32_t status = HEARTH_OK;
    if (url->password != NULL) {
        hearth__redis_command auth;
        hearth__redis_command_init(&auth, "AUTH");
        if (url->user != NULL) {
            hearth__redis_text(&auth, url->user);
        }
        hearth__redis_text(&auth, url->password);
        status = say(exchange, &auth, GREETING_AUTH);
    }
    if (status == HEARTH_OK && url->database != 0) {
        hearth__redis_command select;
        hearth__redis_number number;
        hearth__redis_command_init(&select, "SELECT");
        hearth__redis_integer(&select, url->database, &number);
        status = say(exchange, &select, GREETING_SELECT);
    }
    if (status == HEARTH_OK && config->remote->restart_distrust_ms != 0) {
        status = ask_run(exchange);
    }
    if (status == HEARTH_OK && config->remote->tracker != NULL) {
        status = hearth__redis_redirect(node, exchange);
    }
    return status;
}

int32_t hearth__redis_ping(hearth__exchange *exchange) {
    hearth__redis_command command;
    hearth__redis_command_init(&command, "PING");
    return say(exchange, &command, 0);
}

/* That it has gone is known if it has: else a person must change something, and is told once. */
void hearth__redis_redirected(void *arg, const hearth__notes *notes, hearth__kept kept) {
    hearth__node *node = arg;
    bool refuses = notes->answer == REDIS_REPLY_ERROR &&
                   !hearth__redis_begins_with(kept.bytes, kept.size, "ERR The client ID");
    if (!refuses) {
        atomic_store(&node->tells_not, false);
    } else if (!atomic_exchange(&node->tells_not, true)) {
        hearth__redis_complain(
            node, HEARTH_E_UNSUPPORTED,
            "does not tell of changes, so local copies live shorter: ", kept.bytes, kept.size);
    }
}

/* What a node says of its run, if it does. */
static void meet_run(hearth__node *node, const hearth__notes *notes, hearth__kept kept) {
    const hearth__remote_config *remote = node->config.remote;
    hearth__redis_run_info info;
    bool refused = notes->answer == REDIS_REPLY_ERROR;
    if (refused || !hearth__redis_run_parse(kept.bytes, kept.size, &info)) {
        hearth__redis_complain(node, HEARTH_E_UNSUPPORTED,
                               "does not tell its run_id (INFO), so what it has from "
                               "before a restart is trusted: ",
                               refused ? kept.bytes : "", refused ? kept.size : 0);
        return;
    }
    if (hearth__redis_run_meet(&node->run, &info, remote->restart_distrust_ms,
                               hearth__boot_ms(), hearth__wall_ms())) {
        hearth__log_add(remote->log, HEARTH_LOG_NOTICE, HEARTH_OK,
                        "node %.80s was restarted, or is another server: what was written "
                        "before counts as stale for remote.restart_distrust_ms",
                        node->config.name);
    }
}

void hearth__redis_welcome(void *node, uint32_t index, const hearth__notes *notes,
                           hearth__kept kept, hearth__welcome *welcome) {
    char code[HEARTH__REDIS_CODE_SIZE];
    (void)index;
    if (notes->flags == GREETING_RUN) {
        meet_run(node, notes, kept);
        return;
    }
    if (notes->flags == GREETING_TRACKING) {
        return; /* hearth__redis_redirected() has judged it */
    }
    if (notes->answer != REDIS_REPLY_ERROR) {
        return;
    }
    hearth__redis_copy_code(kept, code);
    (void)snprintf(welcome->why, sizeof welcome->why, "it refused %s (%s): see remote.url",
                   notes->flags == GREETING_AUTH ? "the user or password" : "the database",
                   code);
    welcome->refused = true;
    welcome->status = HEARTH_E_UNAVAILABLE;
}
