/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a reply of a Memcached server is one to what was asked, and what it says. No I/O, no state:
 * whoever reads the connection hears for whoever asked. */
#ifndef HEARTH_REMOTE_MEMCACHED_HEAR_H
#define HEARTH_REMOTE_MEMCACHED_HEAR_H

#include "remote/lane_codec.h"
#include "remote/memcached_parser.h"
#include "remote/wire_key.h"

/* What is asked, as notes->asked has it; HEARTH__MC_ASK_META is added in the meta protocol. */
enum hearth__mc_asked {
    HEARTH__MC_ASK_VERSION,
    HEARTH__MC_ASK_PROBE,
    HEARTH__MC_ASK_GET,
    HEARTH__MC_ASK_SET,
    HEARTH__MC_ASK_ADD,
    HEARTH__MC_ASK_SWAP,
    HEARTH__MC_ASK_DELETE, /* for the flags of what is there, and then to delete it: two replies */
    HEARTH__MC_ASK_REMOVE, /* to delete it, whatever it is */
    HEARTH__MC_ASK_TOUCH,
    HEARTH__MC_ASK_COUNT,
    HEARTH__MC_ASK_APPEND,
    HEARTH__MC_ASKS,
    HEARTH__MC_ASK_META = 0x100,
};

/* What was answered, as notes->answer has it; with notes->status another than HEARTH_OK it means
 * nothing. */
enum hearth__mc_answer {
    HEARTH__MC_DONE,     /* or: here it is */
    HEARTH__MC_STALE,    /* here it is; another client marked it stale by means of the server */
    HEARTH__MC_PROMISED, /* an empty item, for which the server told a client to make a value */
    HEARTH__MC_OTHER,    /* something, or something else, is there */
    HEARTH__MC_NOTHING,  /* nothing is there */
};

/*
 * Begins the notes of a request: what is asked, the number of its first command (the second's is one
 * more), and the key that replies may name.
 */
void hearth__mc_note(hearth__notes *notes, enum hearth__mc_asked asked, bool meta,
                     uint32_t opaque, const hearth__wire_key *key);

/*
 * As hearth__codec.hear() of lane_codec.h. A value's bytes are kept, or the server's words if it
 * answers an error that leaves no doubt where the next reply begins: HEARTH_E_TOO_LARGE,
 * HEARTH_E_UNAVAILABLE (it cannot just now), HEARTH_E_TYPE (no number), HEARTH_E_PROTOCOL for the
 * version. A probe that gets anything but its answer has HEARTH_E_UNSUPPORTED. All other errors are nonsense: we asked for nothing wrong, and what the server makes of
 * the rest is open.
 */
enum hearth__heard hearth__mc_hear(hearth__notes *notes, const hearth__mc_reply *reply,
                                   bool half_sent, hearth__kept *kept);

#endif
