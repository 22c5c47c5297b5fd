/* SPDX-License-Identifier: Apache-2.0 */
#include "demo/nodes.h"

#include <stdlib.h>
#include <string.h>

#include "demo/crew.h"

static const char metric[] = "\nhearth_node_requests_total{";

/* The metric's lines come in the order of the nodes. */
static int parse(const char *text, uint64_t *requests, uint32_t nodes) {
    for (uint32_t i = 0; i < nodes; i++) {
        const char *line = strstr(text, metric);
        const char *end = line == NULL ? NULL : strstr(line, "\"} ");
        if (end == NULL) {
            return -1;
        }
        requests[i] = strtoull(end + 3, NULL, 10);
        text = end;
    }
    return 0;
}

int nodes_count_requests(hearth *cache, uint64_t *requests, uint32_t nodes) {
    size_t needed = 0;
    (void)hearth_stats_text(cache, NULL, 0, &needed);
    size_t room = needed + 1024; /* figures grow */
    char *text = malloc(room);
    int result = -1;
    if (text != NULL && hearth_stats_text(cache, text, room, NULL) == HEARTH_OK) {
        result = parse(text, requests, nodes);
    }
    free(text);
    return result;
}

static uint32_t count_keys(hearth *cache, uint32_t node, uint32_t distinct) {
    uint32_t owned = 0;
    for (uint32_t item = 0; item < distinct; item++) {
        char key[CREW_KEY_BYTES];
        uint32_t owner = NODES_MAX;
        size_t key_size = crew_key(item, key);
        owned +=
            hearth_node_of(cache, key, key_size, &owner, NULL, 0) == HEARTH_OK && owner == node;
    }
    return owned;
}

int nodes_find_hottest(hearth *cache, const uint64_t *before, const uint64_t *after,
                       uint32_t nodes, uint32_t distinct, double *requests, double *keys) {
    uint64_t sum = 0;
    uint32_t hottest = 0;
    for (uint32_t i = 0; i < nodes; i++) {
        sum += after[i] - before[i];
        if (after[i] - before[i] > after[hottest] - before[hottest]) {
            hottest = i;
        }
    }
    if (sum == 0) {
        return -1;
    }
    *requests = (double)(after[hottest] - before[hottest]) / (double)sum;
    *keys = (double)count_keys(cache, hottest, distinct) / distinct;
    return 0;
}
