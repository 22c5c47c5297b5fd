/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One caller's requests on a lane, which go out together and are answered in order. It lies on
 * the heap, in one piece where it is small, and belongs to who asked until it is queued; from
 * then on who leaves last frees it.
 */
#ifndef HEARTH_REMOTE_EXCHANGE_H
#define HEARTH_REMOTE_EXCHANGE_H

#include "base/buffer.h"
#include "remote/lane.h"

#include <stdatomic.h>
#include <sys/uio.h>

enum hearth__exchange_state {
    HEARTH__EXCHANGE_QUEUED, /* nothing of it was sent; changed under the lane's lock only */
    HEARTH__EXCHANGE_SENT,   /* the lane's driver has it */
    HEARTH__EXCHANGE_DONE,   /* answered: who asked has it */
    HEARTH__EXCHANGE_FAILED, /* the connection ended first: who asked has it */
    HEARTH__EXCHANGE_LEFT,   /* who asked is gone: the lane's driver frees it */
};

/* Bytes to be sent, in one piece. */
typedef struct hearth__piece {
    unsigned char *bytes; /* the exchange's own text, or the heap's */
    size_t size;
    size_t capacity;
} hearth__piece;

typedef struct hearth__request {
    hearth__notes notes;
    size_t begin; /* its bytes, in the exchange */
    size_t end;
    hearth__buffer kept; /* of its replies, for who asked; or */
    size_t small_size;   /* in the exchange's own room */
    bool is_small;
    bool keeps;
    bool lost;
} hearth__request;

enum { HEARTH__EXCHANGE_TEXT = 208, HEARTH__EXCHANGE_SMALL = 384, HEARTH__EXCHANGE_PIECES = 2 };

struct hearth__exchange {
    _Atomic int state;         /* enum hearth__exchange_state */
    _Atomic uint32_t answered; /* requests whose answers are here */
    _Atomic bool drives;       /* who asked drives the lane; set under its lock */
    bool waits;                /* under the lane's lock: who asked can be made its driver */
    bool bulky;                /* others shall not stand behind it */
    uint32_t bell;             /* of the lane's, */
    uint32_t stroke;           /* and a stroke of it */
    hearth__lane *lane;
    hearth__exchange *next; /* in the lane's queue or in flight */
    int64_t deadline_ns;
    int64_t sent_ns;  /* when it was asked for, or soon after */
    int64_t asked_ms; /* of what proves something however late it is answered; else 0 */
    uint64_t begin;   /* its place in all that was sent on the connection */
    uint64_t heard;   /* bytes that had come before it was sent */
    uint32_t taken;   /* answers that who asked has taken */
    uint32_t count;   /* requests */
    uint32_t capacity;
    hearth__outcome outcome; /* with FAILED */
    size_t bytes;
    size_t piece_count;
    size_t piece_capacity;
    hearth__piece *pieces; /* `few`, or the heap's */
    hearth__piece few[HEARTH__EXCHANGE_PIECES];
    unsigned char text[HEARTH__EXCHANGE_TEXT];   /* the first piece, while it fits */
    unsigned char small[HEARTH__EXCHANGE_SMALL]; /* what an only request keeps, if it fits */
    hearth__request requests[];
};

/* Frees it. */
void hearth__exchange_free(hearth__exchange *exchange);

/* Copies what a reply has for who asked. */
void hearth__exchange_keep(hearth__exchange *exchange, uint32_t index, hearth__kept kept);

/* What was kept. */
hearth__kept hearth__exchange_kept(const hearth__exchange *exchange, uint32_t index);

#endif
