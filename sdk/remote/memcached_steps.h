/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verbs of remote.h on a Memcached server, by the table of verbs.h, without I/O: what is to be
 * asked next, and what the answer makes of it. Most verbs ask once. Those that depend on what is there
 * look first and then swap by the server's unique number, which only the server that gave it knows:
 * all steps of an operation go over one connection. If that breaks on the way, the operation has
 * failed.
 */
#ifndef HEARTH_REMOTE_MEMCACHED_STEPS_H
#define HEARTH_REMOTE_MEMCACHED_STEPS_H

#include "remote/memcached_hear.h"
#include "remote/remote.h"

/* One operation on its way; the op and the configuration must outlive it. Do not copy it. */
typedef struct hearth__mc_steps {
    const hearth__remote_config *config;
    hearth__remote_op *op;
    hearth__wire_key key;
    enum hearth__mc_asked next; /* what is asked next */
    unsigned conflicts;
    uint64_t cas;           /* of what was looked at */
    hearth__buffer renewed; /* TOUCH, MARK: the value with its new header */
    int64_t left_ms;        /* MARK: as it has it; 0: it has no end */
    int64_t renewed_age_ms;
    bool takes_back; /* the sum was beyond our numbers */
    bool misfit;     /* what was read is damaged, or of another key */
} hearth__mc_steps;

/* What is said: commands, for a store with the beginning of its data. */
typedef struct hearth__mc_request {
    hearth__buffer head;
    bool has_data;
    const void *rest; /* of the data; behind it stands HEARTH__MC_DATA_END */
    size_t rest_size;
    bool writes;         /* once some of it is sent, it may have happened */
    hearth__notes notes; /* to be heard with, and then to be taken */
} hearth__mc_request;

/* HEARTH_OK; HEARTH_E_UNSUPPORTED: an integer under a key that the wire hides, which nothing could
 * tell from another key's. Ended by fini in either case. */
int32_t hearth__mc_steps_init(hearth__mc_steps *steps, const hearth__remote_config *config,
                              hearth__remote_op *op);
void hearth__mc_steps_fini(hearth__mc_steps *steps);

/* Whether the operation may need more than one request; those that do not are done with their first. */
bool hearth__mc_may_ask_again(const hearth__remote_op *op);

/*
 * Composes what is asked next. `opaque`: the request's number, another than its neighbours' on the
 * connection; the next number too may be used. The head's memory is used again; the rest of the data
 * lies in the op or in these steps. HEARTH_OK, HEARTH_E_NOMEM.
 */
int32_t hearth__mc_ask(hearth__mc_steps *steps, bool meta, uint32_t opaque,
                       hearth__mc_request *request);

/* For an operation of one request: these steps, made anew, stand where that was asked. */
void hearth__mc_resume(hearth__mc_steps *steps, const hearth__notes *notes);

/* Whether what is asked next depends on what was seen on this connection. */
bool hearth__mc_is_bound(const hearth__mc_steps *steps);

/* Takes what was heard, `passed_ms` after it was asked at the most. True: the op has its status; else
 * there is more to ask. */
bool hearth__mc_take(hearth__mc_steps *steps, const hearth__notes *notes, hearth__kept kept,
                     int64_t passed_ms);

#endif
