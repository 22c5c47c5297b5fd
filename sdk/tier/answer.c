/* SPDX-License-Identifier: Apache-2.0 */
/* What an answer says: whether it is stale, its bound and age; and what of it is kept as a local copy. */
#include "base/clock.h"
#include "tier/cache.h"

hearth__answer hearth__answer_from_remote(const hearth *cache, const hearth__remote_op *op,
                                          int64_t sent_ms, int64_t heard_ms) {
    hearth__local_entry entry = {
        .absent = op->status == HEARTH_ABSENT,
        .stale = op->found == HEARTH__KIND_STALE,
        .born_ms = sent_ms - op->found_age_ms,
        .read_ms = sent_ms,
        .soft_expiry_ms =
            op->soft_left_ms == INT64_MAX ? HEARTH__LOCAL_FOREVER : sent_ms + op->soft_left_ms,
        .hard_expiry_ms = hearth__expiry_ms(sent_ms, op->left_ms),
        .version = op->found_version,
        .content = op->found_content,
        .delta_ms = op->found_delta_ms,
        .source = (uint16_t)op->source,
        .until_ms = HEARTH__LOCAL_FOREVER,
    };
    return (hearth__answer){.entry = entry,
                            .now_ms = heard_ms,
                            .tier = HEARTH_TIER_REMOTE,
                            .sole_writer = cache->sole_writer};
}

bool hearth__answer_is_stale(const hearth__answer *answer) {
    return answer->entry.stale || answer->now_ms >= answer->entry.soft_expiry_ms;
}

/* A copy is right as of when it was read, or of when its source was known to be good when it was a hit, whichever was later. */
static int64_t bound_at(const hearth__answer *answer, int64_t now_ms) {
    int64_t known_ms = answer->entry.read_ms;
    if (answer->sole_writer) {
        return 0;
    }
    if (answer->entry.until_ms != HEARTH__LOCAL_FOREVER &&
        answer->entry.until_ms - answer->grace_ms > known_ms) {
        known_ms = answer->entry.until_ms - answer->grace_ms;
    }
    if (answer->tags_ms != 0 && answer->tags_ms < known_ms) {
        known_ms = answer->tags_ms;
    }
    if (answer->space_ms != 0 && answer->space_ms < known_ms) {
        known_ms = answer->space_ms; /* nor later than its namespace's generation */
    }
    return now_ms - known_ms;
}

int64_t hearth__answer_bound_ms(const hearth__answer *answer) {
    return bound_at(answer, answer->now_ms);
}

/* A bare entry's age follows from its version, which has the wall clock's time. -1: it has none either. */
static int64_t age_ms(const hearth__local_entry *entry, int64_t now_ms) {
    if (entry->bare && entry->version == 0) {
        return -1;
    }
    int64_t age = entry->bare ? hearth__wall_ms() - (int64_t)(entry->version >> 16)
                              : now_ms - entry->born_ms;
    return age > 0 ? age : 0;
}

void hearth__value_describe(const hearth_value *value, hearth_info *info) {
    hearth__answer plain = {.tier = HEARTH_TIER_LOCAL,
                            .now_ms = INT64_MIN, /* it was fresh */
                            .sole_writer = value->plain == HEARTH__PLAIN_SOLE_WRITER,
                            .grace_ms = value->plain >> HEARTH__PLAIN_GRACE};
    const hearth__answer *answer = &value->answer;
    if (value->plain != HEARTH__NOT_PLAIN) {
        hearth__local_decode(&value->raw, &plain.entry);
        plain.tags_ms = plain.entry.tags_ms;
        plain.space_ms =
            (value->plain & HEARTH__PLAIN_SCOPED) != 0 ? value->answer.space_ms : 0;
        answer = &plain;
    }
    const hearth__local_entry *entry = &answer->entry;
    *info = (hearth_info){.size = sizeof *info, .tier = answer->tier};
    if (answer->tier == HEARTH_TIER_NONE) {
        return;
    }
    int64_t now_ms = hearth__boot_ms(); /* a hit took the coarse clock, which lags */
    int64_t left = entry->hard_expiry_ms - now_ms;
    info->freshness = hearth__answer_is_stale(answer) ? HEARTH_STALE : HEARTH_FRESH;
    info->age_ms = age_ms(entry, now_ms);
    info->ttl_left_ms = entry->hard_expiry_ms == HEARTH__LOCAL_FOREVER ? -1
                        : left > 0                                     ? left
                                                                       : 0;
    info->staleness_bound_ms = bound_at(answer, now_ms);
    info->version = entry->version;
    info->content = entry->content;
}

void hearth__local_entry_bound(const hearth *cache, hearth__local_entry *entry) {
    int64_t cap =
        hearth__expiry_ms(entry->read_ms, hearth__tracking_life_ms(cache, entry->source));
    if (entry->hard_expiry_ms > cap) {
        entry->hard_expiry_ms = cap;
    }
    /* Where nobody else writes, a copy's bound is 0, and its age follows from its version. */
    entry->bare = cache->sole_writer;
}

hearth__local_entry hearth__answer_local_entry(const hearth *cache,
                                               const hearth__answer *answer) {
    hearth__local_entry entry = answer->entry;
    int64_t expiry_ms = 0;
    hearth__local_entry_bound(cache, &entry);
    entry.lead_ms = hearth__answer_lead_ms(cache, answer, &expiry_ms);
    if (entry.lead_ms != 0) {
        entry.soft_expiry_ms = expiry_ms;
    }
    return entry;
}

void hearth__answer_tag_entry(const hearth__tags_check *check, const void *tags,
                              size_t tags_size, uint64_t stamp, hearth__local_entry *entry) {
    entry->bare = false;
    entry->tags = tags;
    entry->tags_size = tags_size;
    entry->stamp = stamp;
    entry->tags_epoch = check->epoch;
    entry->tags_ms = check->asked_ms;
}
