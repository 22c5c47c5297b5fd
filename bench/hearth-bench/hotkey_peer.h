/* SPDX-License-Identifier: Apache-2.0 */
/* What one would use without Hearth: hiredis with a connection a thread and node, or libmemcached with a client a thread, on
 * the same ring; and either of them with one proxy in the place of all nodes. */
#ifndef HEARTH_BENCH_HOTKEY_PEER_H
#define HEARTH_BENCH_HOTKEY_PEER_H

#include "hearth-bench/hotkey.h"

struct hotkey_peer;

enum hotkey_peer_answer { HOTKEY_PEER_FOUND, HOTKEY_PEER_MISSED, HOTKEY_PEER_FAILED };

struct hotkey_peer *hotkey_peer_open(const struct hotkey_scene *scene, enum hotkey_mode mode,
                                     char *why, size_t why_size);
void hotkey_peer_close(struct hotkey_peer *peer);

/* One thread a `thread`. `key` is hotkey_key() of the number. */
enum hotkey_peer_answer hotkey_peer_get(struct hotkey_peer *peer, unsigned thread, uint32_t id,
                                        const char *key);
bool hotkey_peer_set(struct hotkey_peer *peer, unsigned thread, uint32_t id, const char *key,
                     const void *value);

/* As hotkey_fill(). */
bool hotkey_peer_fill(const struct hotkey_scene *scene, enum hotkey_mode mode, char *why,
                      size_t why_size);

/* Whether these are the bytes of a key, by their first and last words. */
bool hotkey_is_value(const void *value, size_t size, uint32_t id);

#endif
