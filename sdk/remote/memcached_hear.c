/* SPDX-License-Identifier: Apache-2.0 */
#include "remote/memcached_hear.h"

#include "base/hash.h"

#include <hearth/errors.h>

#include <string.h>

/* A set of words. */
#define WORD(word) (UINT32_C(1) << HEARTH__MC_##word)

/* What may be answered, in the text and in the meta protocol. */
static const uint32_t answers[HEARTH__MC_ASKS][2] = {
    [HEARTH__MC_ASK_VERSION] = {WORD(VERSION), 0},
    [HEARTH__MC_ASK_PROBE] = {0, WORD(VA) | WORD(EN)},
    [HEARTH__MC_ASK_GET] = {WORD(VALUE) | WORD(END), WORD(VA) | WORD(EN)},
    [HEARTH__MC_ASK_SET] = {WORD(STORED), WORD(HD)},
    [HEARTH__MC_ASK_ADD] = {WORD(STORED) | WORD(NOT_STORED), WORD(HD) | WORD(NS)},
    [HEARTH__MC_ASK_SWAP] = {WORD(STORED) | WORD(EXISTS) | WORD(NOT_FOUND),
                             WORD(HD) | WORD(EX) | WORD(NF)},
    [HEARTH__MC_ASK_DELETE] = {WORD(VALUE) | WORD(END), WORD(HD) | WORD(EN)}, /* the first */
    [HEARTH__MC_ASK_REMOVE] = {WORD(DELETED) | WORD(NOT_FOUND), WORD(HD) | WORD(NF)},
    [HEARTH__MC_ASK_TOUCH] = {WORD(TOUCHED) | WORD(NOT_FOUND), WORD(HD) | WORD(EN)},
    [HEARTH__MC_ASK_COUNT] = {WORD(NUMBER) | WORD(NOT_FOUND), WORD(VA) | WORD(NF)},
    [HEARTH__MC_ASK_APPEND] = {WORD(STORED) | WORD(NOT_STORED), WORD(HD) | WORD(NS) | WORD(NF)},
};

/* These name their key. */
static const uint32_t names_key = WORD(VALUE) | WORD(VA);

/* And in the meta protocol these do, where they answer a read. */
static bool is_read(enum hearth__mc_asked asked) {
    return asked == HEARTH__MC_ASK_GET || asked == HEARTH__MC_ASK_DELETE ||
           asked == HEARTH__MC_ASK_TOUCH;
}

static bool begins_with(const hearth__mc_reply *reply, const char *words) {
    size_t size = strlen(words);
    return reply->text_size >= size && strncasecmp(reply->text, words, size) == 0;
}

void hearth__mc_note(hearth__notes *notes, enum hearth__mc_asked asked, bool meta,
                     uint32_t opaque, const hearth__wire_key *key) {
    *notes = (hearth__notes){
        .asked = (uint32_t)asked | (meta ? (uint32_t)HEARTH__MC_ASK_META : 0),
        .opaque = opaque,
    };
    if (key != NULL) {
        notes->number = (int64_t)hearth__hash64(key->data, key->size);
    }
}

/* ---- what a reply is to --------------------------------------------------------------------- */

/* The second reply to a delete is as that to a removal. */
static enum hearth__mc_asked asked_of(const hearth__notes *notes) {
    enum hearth__mc_asked asked =
        (enum hearth__mc_asked)(notes->asked & ~(uint32_t)HEARTH__MC_ASK_META);
    return asked == HEARTH__MC_ASK_DELETE && notes->heard != 0 ? HEARTH__MC_ASK_REMOVE : asked;
}

static bool is_meta(const hearth__notes *notes) {
    return (notes->asked & HEARTH__MC_ASK_META) != 0;
}

static bool key_fits(const hearth__notes *notes, const hearth__mc_reply *reply) {
    if (reply->key != NULL) {
        return (int64_t)hearth__hash64(reply->key, reply->key_size) == notes->number;
    }
    bool must = (names_key & UINT32_C(1) << reply->word) != 0 ||
                (reply->word == HEARTH__MC_HD && is_read(asked_of(notes)));
    return !must;
}

static bool is_answer(const hearth__notes *notes, const hearth__mc_reply *reply) {
    if ((answers[asked_of(notes)][is_meta(notes)] & UINT32_C(1) << reply->word) == 0) {
        return false;
    }
    if (is_meta(notes) &&
        (!reply->has_opaque || reply->opaque != notes->opaque + notes->heard)) {
        return false;
    }
    return key_fits(notes, reply);
}

/* ---- errors --------------------------------------------------------------------------------- */

/* What an error means; HEARTH_OK: that is open. */
static int32_t meaning_of(enum hearth__mc_asked asked, const hearth__mc_reply *reply) {
    if (reply->word == HEARTH__MC_SERVER_ERROR) {
        return begins_with(reply, "object too large") ? HEARTH_E_TOO_LARGE
                                                      : HEARTH_E_UNAVAILABLE;
    }
    if (asked == HEARTH__MC_ASK_COUNT && reply->word == HEARTH__MC_CLIENT_ERROR &&
        begins_with(reply, "cannot increment or decrement")) {
        return HEARTH_E_TYPE;
    }
    return asked == HEARTH__MC_ASK_VERSION ? HEARTH_E_PROTOCOL : HEARTH_OK;
}

static bool is_error(const hearth__mc_reply *reply) {
    return reply->word == HEARTH__MC_ERROR || reply->word == HEARTH__MC_CLIENT_ERROR ||
           reply->word == HEARTH__MC_SERVER_ERROR;
}

/* ---- answers -------------------------------------------------------------------------------- */

static enum hearth__mc_answer answer_of(const hearth__mc_reply *reply) {
    switch (reply->word) {
    case HEARTH__MC_END:
    case HEARTH__MC_EN:
    case HEARTH__MC_NOT_FOUND:
    case HEARTH__MC_NF:
        return HEARTH__MC_NOTHING;
    case HEARTH__MC_NOT_STORED:
    case HEARTH__MC_NS:
    case HEARTH__MC_EXISTS:
    case HEARTH__MC_EX:
        return HEARTH__MC_OTHER;
    case HEARTH__MC_VA:
        if (reply->promised && reply->data_size == 0) {
            return HEARTH__MC_PROMISED;
        }
        break;
    default:
        break;
    }
    return reply->stale ? HEARTH__MC_STALE : HEARTH__MC_DONE;
}

/* The number that a count answers, in digits or as a value of digits. */
static bool take_number(hearth__notes *notes, const hearth__mc_reply *reply) {
    uint64_t number = reply->number;
    if (reply->word == HEARTH__MC_VA &&
        !hearth__mc_read_number(reply->data, reply->data_size, &number)) {
        return false;
    }
    notes->number = (int64_t)number;
    return true;
}

static enum hearth__heard take(hearth__notes *notes, const hearth__mc_reply *reply,
                               hearth__kept *kept) {
    bool counts = asked_of(notes) == HEARTH__MC_ASK_COUNT;
    bool more = asked_of(notes) == HEARTH__MC_ASK_DELETE;
    notes->answer = (uint32_t)answer_of(reply);
    if (counts && notes->answer != HEARTH__MC_NOTHING && !take_number(notes, reply)) {
        return HEARTH__HEARD_NONSENSE;
    }
    if (is_read(asked_of(notes))) {
        notes->cas = reply->cas;
        notes->flags = reply->flags;
        notes->ttl_ms = reply->ttl_s < 0 ? reply->ttl_s : reply->ttl_s * 1000;
    }
    notes->heard++;
    if (!counts && !more) {
        *kept = (hearth__kept){.bytes = reply->data, .size = reply->data_size};
    }
    return more ? HEARTH__HEARD_MORE : HEARTH__HEARD_ALL;
}

enum hearth__heard hearth__mc_hear(hearth__notes *notes, const hearth__mc_reply *reply,
                                   bool half_sent, hearth__kept *kept) {
    *kept = (hearth__kept){.bytes = NULL};
    bool first_of_two = asked_of(notes) == HEARTH__MC_ASK_DELETE;
    if (half_sent && !first_of_two && reply->word != HEARTH__MC_SERVER_ERROR) {
        return HEARTH__HEARD_NONSENSE; /* nobody can have answered it */
    }
    if (!is_error(reply) && is_answer(notes, reply)) {
        return take(notes, reply, kept);
    }
    if (asked_of(notes) == HEARTH__MC_ASK_PROBE) { /* it knows less, or nothing, of it */
        notes->status = HEARTH_E_UNSUPPORTED;
        return HEARTH__HEARD_ALL;
    }
    if (!is_error(reply)) {
        return HEARTH__HEARD_NONSENSE;
    }
    notes->status = meaning_of(asked_of(notes), reply);
    if (notes->status == HEARTH_OK) {
        return HEARTH__HEARD_NONSENSE;
    }
    bool more = asked_of(notes) == HEARTH__MC_ASK_DELETE;
    notes->heard++;
    if (more) { /* what it was is not known: it is deleted all the same */
        notes->status = HEARTH_OK;
        return HEARTH__HEARD_MORE;
    }
    *kept = (hearth__kept){.bytes = reply->text, .size = reply->text_size};
    return HEARTH__HEARD_ALL;
}
