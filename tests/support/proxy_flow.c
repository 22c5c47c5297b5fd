/* SPDX-License-Identifier: Apache-2.0 */
#include "support/proxy_flow.h"

#include <errno.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>

enum { CHUNK = 64 * 1024, KEPT_MOST = 8 << 20 };

static int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* ---- bytes ----------------------------------------------------------------------------------- */

/* Tests end where there is no memory. */
static void reserve(struct proxy_bytes *bytes, size_t more) {
    if (bytes->first != 0 && bytes->size + more > bytes->capacity) {
        memmove(bytes->data, bytes->data + bytes->first, bytes->size - bytes->first);
        bytes->size -= bytes->first;
        bytes->first = 0;
    }
    if (bytes->size + more > bytes->capacity) {
        bytes->capacity = 2 * (bytes->size + more);
        bytes->data = realloc(bytes->data, bytes->capacity);
        if (bytes->data == NULL) {
            abort();
        }
    }
}

static void append(struct proxy_bytes *bytes, const void *data, size_t size) {
    if (size != 0) {
        reserve(bytes, size);
        memcpy(bytes->data + bytes->size, data, size);
        bytes->size += size;
    }
}

static size_t kept(const struct proxy_bytes *bytes) {
    return bytes->size - bytes->first;
}

static void take(struct proxy_bytes *bytes, size_t size) {
    bytes->first += size;
    if (bytes->first == bytes->size) {
        bytes->first = bytes->size = 0;
    }
}

/* ---- a flow ---------------------------------------------------------------------------------- */

void proxy_flow_init(struct proxy_flow *flow, struct proxy_rules *rules, int from, int to,
                     unsigned number) {
    *flow = (struct proxy_flow){.rules = rules, .from = from, .to = to, .number = number};
}

void proxy_flow_fini(struct proxy_flow *flow) {
    free(flow->in.data);
    free(flow->out.data);
    free(flow->dues);
}

bool proxy_flow_wants(const struct proxy_flow *flow) {
    return !flow->ended && !flow->broken && kept(&flow->in) + kept(&flow->out) < KEPT_MOST;
}

void proxy_flow_receive(struct proxy_flow *flow) {
    reserve(&flow->in, CHUNK);
    ssize_t got = recv(flow->from, flow->in.data + flow->in.size, CHUNK, MSG_DONTWAIT);
    if (got > 0) {
        flow->rules->seen += (uint64_t)got;
        if (!flow->rules->swallows) {
            flow->in.size += (size_t)got;
        }
    } else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
        flow->ended = true;
    }
}

static void note_due(struct proxy_flow *flow, int64_t at_ns) {
    if (flow->due_count == flow->due_capacity) {
        flow->due_capacity = 2 * flow->due_capacity + 8;
        flow->dues = realloc(flow->dues, flow->due_capacity * sizeof *flow->dues);
        if (flow->dues == NULL) {
            abort();
        }
    }
    flow->dues[flow->due_count++] = (struct proxy_due){.end = flow->emitted, .at_ns = at_ns};
}

void proxy_emit_late(struct proxy_flow *flow, const void *bytes, size_t size, int64_t ms) {
    append(&flow->out, bytes, size);
    flow->emitted += size;
    if (size != 0 && (ms != 0 || flow->due_count != 0)) {
        note_due(flow, now_ns() + ms * 1000000);
    }
}

void proxy_emit(struct proxy_flow *flow, const void *bytes, size_t size) {
    proxy_emit_late(flow, bytes, size, flow->rules->delay_ms);
}

unsigned proxy_number(const struct proxy_flow *flow) {
    return flow->number;
}

void proxy_end(struct proxy_flow *flow) {
    flow->ended = true;
    flow->in.first = flow->in.size = 0;
}

void proxy_forsake(struct proxy_flow *flow) {
    (void)shutdown(flow->from, SHUT_RDWR);
    flow->forsaken = true;
    proxy_flow_drop(flow);
}

void proxy_flow_drop(struct proxy_flow *flow) {
    flow->in.first = flow->in.size = 0;
    flow->out.first = flow->out.size = 0;
    flow->due_count = 0;
}

/* ---- edits ----------------------------------------------------------------------------------- */

/* The bytes that an edit needs to see. */
static size_t reach(const struct proxy_edit *edit) {
    switch (edit->kind) {
    case PROXY_DROP:
    case PROXY_REPEAT:
        return edit->size;
    case PROXY_SWAP:
        return edit->size + edit->other;
    case PROXY_CUT:
    case PROXY_INSERT:
        break;
    }
    return 0;
}

static void carry_out(struct proxy_flow *flow, const struct proxy_edit *edit,
                      const unsigned char *bytes) {
    switch (edit->kind) {
    case PROXY_CUT:
        proxy_end(flow);
        break;
    case PROXY_DROP:
        break;
    case PROXY_REPEAT:
        proxy_emit(flow, bytes, edit->size);
        proxy_emit(flow, bytes, edit->size);
        break;
    case PROXY_SWAP:
        proxy_emit(flow, bytes + edit->size, edit->other);
        proxy_emit(flow, bytes, edit->size);
        break;
    case PROXY_INSERT:
        proxy_emit(flow, edit->bytes, edit->size);
        break;
    }
}

static const struct proxy_edit *next_edit(struct proxy_flow *flow) {
    const struct proxy_rules *rules = flow->rules;
    while (flow->edit < rules->edit_count && rules->edits[flow->edit].at < flow->place) {
        flow->edit++;
    }
    return flow->edit < rules->edit_count ? &rules->edits[flow->edit] : NULL;
}

/* One step; false: more bytes are needed. */
static bool apply_edits(struct proxy_flow *flow) {
    const struct proxy_edit *edit = next_edit(flow);
    const unsigned char *bytes = flow->in.data + flow->in.first;
    size_t size = kept(&flow->in);
    size_t before = edit != NULL ? (size_t)(edit->at - flow->place) : size;
    size_t used = before < size ? before : size;
    if (used != 0) {
        proxy_emit(flow, bytes, used);
    } else if (edit != NULL && before == 0 && (used = reach(edit)) <= size) {
        flow->edit++;
        carry_out(flow, edit, bytes);
        if (flow->ended && used == 0) {
            return false;
        }
        if (used == 0) {
            return true;
        }
    } else {
        return false;
    }
    take(&flow->in, used);
    flow->place += used;
    return true;
}

static bool apply_filter(struct proxy_flow *flow) {
    size_t size = kept(&flow->in);
    size_t used = flow->rules->filter(flow->rules->filter_arg, flow,
                                      flow->in.data + flow->in.first, size);
    if (used == 0 || kept(&flow->in) == 0) {
        return false;
    }
    take(&flow->in, used);
    flow->place += used;
    return true;
}

void proxy_flow_apply(struct proxy_flow *flow) {
    if (flow->rules->filter == NULL) {
        while (apply_edits(flow)) {
        }
    } else {
        while (kept(&flow->in) != 0 && apply_filter(flow)) {
        }
    }
}

/* ---- passing on ------------------------------------------------------------------------------ */

static bool was_read(int fd) {
    int unread = 0;
    return ioctl(fd, SIOCOUTQ, &unread) != 0 || unread == 0;
}

static size_t least(size_t one, uint64_t other) {
    return one < other ? one : (size_t)other;
}

size_t proxy_flow_ready(const struct proxy_flow *flow, int64_t now, int64_t *wake_ns,
                        bool *look) {
    const struct proxy_rules *rules = flow->rules;
    size_t ready = kept(&flow->out);
    if (rules->held) {
        ready = least(ready, rules->let > flow->let ? rules->let - flow->let : 0);
    }
    uint64_t sent = flow->emitted - kept(&flow->out);
    size_t due = 0;
    while (due < flow->due_count && flow->dues[due].at_ns <= now) {
        due++;
    }
    if (due < flow->due_count && ready != 0) {
        uint64_t end = due != 0 ? flow->dues[due - 1].end : sent;
        *wake_ns = flow->dues[due].at_ns < *wake_ns ? flow->dues[due].at_ns : *wake_ns;
        ready = least(ready, end > sent ? end - sent : 0);
    }
    if (rules->split != 0 && ready != 0) {
        ready = least(ready, rules->split);
        if (!was_read(flow->to)) {
            *look = true;
            ready = 0;
        }
    }
    return ready;
}

static void forget_dues(struct proxy_flow *flow) {
    uint64_t sent = flow->emitted - kept(&flow->out);
    size_t gone = 0;
    while (gone < flow->due_count && flow->dues[gone].end <= sent) {
        gone++;
    }
    if (gone != 0) {
        flow->due_count -= gone;
        memmove(flow->dues, flow->dues + gone, flow->due_count * sizeof *flow->dues);
    }
}

void proxy_flow_send(struct proxy_flow *flow, size_t ready) {
    ssize_t sent =
        send(flow->to, flow->out.data + flow->out.first, ready, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent > 0) {
        take(&flow->out, (size_t)sent);
        flow->rules->passed += (uint64_t)sent;
        flow->let += flow->rules->held ? (uint64_t)sent : 0;
        forget_dues(flow);
    } else if (sent < 0 && errno != EAGAIN && errno != EINTR) {
        flow->broken = true;
    }
}

bool proxy_flow_over(const struct proxy_flow *flow) {
    return flow->broken || (flow->ended && kept(&flow->out) == 0 && !flow->rules->held);
}
