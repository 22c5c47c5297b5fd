/* SPDX-License-Identifier: Apache-2.0 */
#include "base/random.h"

#include "base/clock.h"
#include "base/fork.h"

#include <stdbool.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define GOLDEN 0x9e3779b97f4a7c15u

/* A thread's generator. */
struct generator {
    uint64_t state;
    uint64_t fork_generation; /* of the process that seeded it */
    bool is_seeded;
};

/* NOLINTNEXTLINE(cppcoreguidelines-avoid-non-const-global-variables) a thread has one of these */
static _Thread_local struct generator own;

/* One step of splitmix64 (Steele, Lea, Flood 2014). */
static uint64_t mix(uint64_t x) {
    x += GOLDEN;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static uint64_t fallback(const void *salt) {
    uint64_t now = (uint64_t)hearth__monotonic_ns();
    return mix(now ^ mix((uint64_t)(uintptr_t)salt ^ mix((uint64_t)getpid())));
}

void hearth__random_bytes(void *data, size_t size) {
    unsigned char *bytes = data;
    while (size != 0) {
        size_t want = size < 256 ? size : 256;
        ssize_t got = getrandom(bytes, want, GRND_NONBLOCK);
        if (got <= 0) {
            uint64_t number = fallback(bytes);
            got = (ssize_t)(want < sizeof number ? want : sizeof number);
            memcpy(bytes, &number, (size_t)got);
        }
        bytes += got;
        size -= (size_t)got;
    }
}

uint64_t hearth__random_u64(void) {
    uint64_t number = 0;
    hearth__random_bytes(&number, sizeof number);
    return number;
}

double hearth__random_unit(void) {
    uint64_t fork_generation = hearth__fork_generation();
    if (!own.is_seeded || own.fork_generation != fork_generation) {
        own = (struct generator){.state = hearth__random_u64(),
                                 .fork_generation = fork_generation,
                                 .is_seeded = true};
    }
    uint64_t number = mix(own.state) >> 32;
    own.state += GOLDEN;
    return (double)(number + 1) / (double)(UINT64_C(1) << 32);
}
