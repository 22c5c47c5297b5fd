/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A copy whose source has ended, and that nobody can ask about: its node does not answer, and what would load it has failed. It was
 * right when its source was last known to be good, which its bound says, so it is a stale value like any other (RFC 5861,
 * stale-if-error), until the end of its life here. By then its source's number may be another's.
 *
 * What it may not outlive is news: who is told of a change drops it, so does who writes, and so does any answer of its node that is
 * not kept in its place. What a flush took is marked as such.
 */
#include "base/clock.h"
#include "coherence/coherence.h"
#include "tier/read.h"
#include "tier/tags.h"

/* A copy's life is not over by then, nor has its source ended. */
#define WHENEVER INT64_MIN

static bool has_ended(const hearth__local_entry *entry, int64_t now_ms) {
    return now_ms >= entry->until_ms;
}

void hearth__ended_drop(hearth *cache, const void *key, size_t key_size) {
    hearth__local_raw raw;
    hearth__local_entry entry;
    hearth__buffer nothing = {0};
    if (cache->listener == NULL ||
        hearth__local_peek(cache->local, key, key_size, &nothing, &raw) != HEARTH_OK) {
        return;
    }
    hearth__local_decode(&raw, &entry);
    if (has_ended(&entry, hearth__boot_ms())) {
        (void)hearth__local_evict(cache->local, key, key_size);
    }
}

static bool is_failure(int32_t status) {
    return status == HEARTH_E_LOADER || status == HEARTH_E_UNAVAILABLE ||
           status == HEARTH_E_TIMEOUT || status == HEARTH_E_OVERLOAD;
}

/* A namespace whose generation could not be asked for is a node that did not answer; how old it is, only the caller knows. */
static bool may_have(const hearth__read *read) {
    bool asks = !hearth__read_wants(read, HEARTH_READ_NO_REMOTE) ||
                (hearth__read_wants(read, HEARTH__READ_UNTRUSTED) &&
                 read->options->max_stale_ms == HEARTH_STALE_ANY);
    return asks && read->cache->listener != NULL && hearth__read_keeps_local(read) &&
           !hearth__read_wants(read, HEARTH_READ_RELOAD);
}

/* What is known of a copy's tags, which stand behind its value. False: they end it. */
static bool take_tags(const hearth__read *read, hearth__answer *answer) {
    const hearth__local_entry *entry = &answer->entry;
    const hearth__buffer *bytes = &read->value->bytes;
    hearth__tags_check check;
    if (entry->tags_size == 0) {
        return true;
    }
    enum hearth__tags_verdict verdict = hearth__tags_judge_known(
        read->cache, bytes->data + bytes->size, entry->tags_size, entry->stamp, &check);
    answer->tagged = true;
    answer->invalidations = read->invalidations;
    answer->tags_ms = verdict != HEARTH__TAGS_UNKNOWN ? check.asked_ms : entry->tags_ms;
    return verdict != HEARTH__TAGS_GONE;
}

/* Takes what there is of the key, whatever its life. */
static bool take(hearth__read *read, hearth__answer *answer) {
    hearth__local *local = read->cache->local;
    hearth__buffer *bytes = &read->value->bytes;
    hearth__local_entry *entry = &answer->entry;
    bytes->size = 0;
    if (hearth__local_get(local, read->key, read->key_size, WHENEVER, bytes, entry) !=
        HEARTH_OK) {
        return false;
    }
    answer->now_ms = hearth__boot_ms();
    return !entry->absent && has_ended(entry, answer->now_ms) &&
           entry->until_ms != HEARTH__SOURCE_FLUSHED &&
           answer->now_ms < entry->hard_expiry_ms && take_tags(read, answer) &&
           hearth__answer_bound_ms(answer) <= read->options->max_stale_ms;
}

int32_t hearth__read_ended(hearth__read *read, int32_t status) {
    hearth__answer answer = {.tier = HEARTH_TIER_LOCAL,
                             .sole_writer = read->cache->sole_writer,
                             .grace_ms = read->cache->plain >> HEARTH__PLAIN_GRACE};
    if (!is_failure(status) || !may_have(read) || !take(read, &answer)) {
        return status;
    }
    answer.entry.stale = true;
    read->value->answer = answer;
    return HEARTH_OK;
}
