/* SPDX-License-Identifier: Apache-2.0 */
#include "remote/redis_canary.h"

#include "base/clock.h"
#include "remote/redis_codec.h"
#include "remote/redis_command.h"
#include "remote/redis_node.h"
#include "remote/redis_verbs.h"

#include <hearth/errors.h>

#include <stdio.h>

enum { NAME_SIZE = HEARTH__CANARY_SIZE + 16, FORBIDDEN_MS = 600000 };

static int32_t say(hearth__exchange *exchange, const hearth__redis_command *command,
                   enum hearth__redis_asked asked) {
    const hearth__notes notes = {.asked = (uint32_t)asked};
    int32_t status = hearth__redis_say(exchange, command);
    if (status == HEARTH_OK) {
        hearth__exchange_ask(exchange, &notes);
    }
    return status;
}

int32_t hearth__redis_canary(void *node, hearth__exchange *exchange, uint32_t source) {
    const struct hearth__node *own = node;
    char name[NAME_SIZE];
    hearth__redis_command get;
    hearth__redis_command set;
    hearth__redis_number life;
    if (hearth__boot_ms() < atomic_load(&own->canaries_from_ms)) {
        return HEARTH_OK;
    }
    (void)snprintf(name, sizeof name, "%s%u", own->config.remote->tracker->canary,
                   (unsigned)source);
    hearth__redis_command_init(&get, "GET");
    hearth__redis_text(&get, name);
    hearth__redis_command_init(&set, "SET");
    hearth__redis_text(&set, name);
    hearth__redis_text(&set, "");
    hearth__redis_text(&set, "PX");
    hearth__redis_integer(&set, HEARTH__CANARY_LIFE_MS, &life);
    int32_t status = say(exchange, &get, HEARTH__REDIS_ASKED_GET);
    return status == HEARTH_OK ? say(exchange, &set, HEARTH__REDIS_ASKED_SET) : status;
}

/* By an access list, or by a replica: that is how it is, and not worth to be asked for each time. Else it is a server's bad day. */
static bool is_forbidden(hearth__kept words) {
    return hearth__redis_begins_with(words.bytes, words.size, "NOPERM") ||
           hearth__redis_begins_with(words.bytes, words.size, "READONLY");
}

bool hearth__redis_take_canary(void *node, uint32_t index, const hearth__notes *notes,
                               hearth__kept kept) {
    struct hearth__node *own = node;
    (void)index;
    if (notes->answer != REDIS_REPLY_ERROR) {
        return true;
    }
    int64_t now_ms = hearth__boot_ms();
    if (is_forbidden(kept) &&
        atomic_exchange(&own->canaries_from_ms, now_ms + FORBIDDEN_MS) == 0) {
        hearth__log_add(
            own->config.remote->log, HEARTH_LOG_NOTICE, HEARTH_E_UNSUPPORTED,
            "node %.80s does not let its user read and set %s*: whether it tells of "
            "changes is not tried out. See coherence.canary_ms",
            own->config.name, HEARTH__CANARY);
    }
    return false;
}
