/* SPDX-License-Identifier: Apache-2.0 */
/* Memcached's protocols for the lanes: text, and meta where the server's version has it. */
#ifndef HEARTH_REMOTE_MEMCACHED_CODEC_H
#define HEARTH_REMOTE_MEMCACHED_CODEC_H

#include "remote/lane_codec.h"

/* Its notes are those of memcached_hear.h, its nodes those of memcached_node.h. */
extern const hearth__codec hearth__mc_codec;

#endif
