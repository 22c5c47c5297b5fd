/* SPDX-License-Identifier: Apache-2.0 */
/* What a server says of its run (INFO), and of a filter that processes share: the first byte says which. A run is distrusted no longer
 * than was asked, and with nothing that was written since it was met. A head that can be read is what its writer would write. */
#include "fuzz/fuzz.h"

#include "guard/bloom_share.h"
#include "remote/redis_run.h"

#include <stdlib.h>
#include <string.h>

enum { NOW_MS = 5000, DISTRUST_MS = 60000, FACTS = 3 };

static const int64_t WALL_MS = INT64_C(1700000000000);

static void expect(bool holds) {
    if (!holds) {
        abort();
    }
}

static void read_info(const uint8_t *data, size_t size) {
    static const hearth__redis_run_info older = {.id = 7, .uptime_ms = DISTRUST_MS};
    for (int is_known = 0; is_known < 2; is_known++) {
        hearth__redis_run run = {0};
        hearth__redis_run_info info = {0};
        if (!hearth__redis_run_parse((const char *)data, size, &info)) {
            return;
        }
        expect(info.id != 0 && info.uptime_ms >= 0);
        if (is_known != 0) {
            (void)hearth__redis_run_meet(&run, &older, 0, 0, WALL_MS);
        }
        bool is_another = hearth__redis_run_meet(&run, &info, DISTRUST_MS, NOW_MS, WALL_MS);
        expect(is_another == (is_known != 0 && info.id != older.id));
        expect(!hearth__redis_run_meet(&run, &info, DISTRUST_MS, NOW_MS, WALL_MS));
        expect(!hearth__redis_run_distrusts(&run, WALL_MS + 1, NOW_MS));
        expect(!hearth__redis_run_distrusts(&run, 0, NOW_MS + DISTRUST_MS));
        expect(!is_another || hearth__redis_run_distrusts(&run, WALL_MS, NOW_MS));
    }
}

static void check_head(const uint8_t *bytes, const hearth__bloom_head *head) {
    unsigned char again[HEARTH__BLOOM_WORDS];
    expect((head->id == 0) == (head->blocks == 0) &&
           (head->next == 0) == (head->next_blocks == 0));
    expect(head->blocks <= HEARTH__BLOOM_SHARE_BLOCKS &&
           head->next_blocks <= HEARTH__BLOOM_SHARE_BLOCKS);
    if (head->id != 0 || head->next != 0) {
        size_t size = hearth__bloom_say_insert(head, NULL, 0, again);
        expect(size == HEARTH__BLOOM_HEAD && memcmp(again, bytes, size) == 0);
    }
}

static void read_head(const uint8_t *data, size_t size) {
    hearth__bloom_head head;
    if (hearth__bloom_head_parse(data, size, &head)) {
        check_head(data, &head);
    }
}

/* The first bytes: what was known before. */
static void read_sight(const uint8_t *data, size_t size) {
    hearth__bloom_sight sight;
    uint64_t known = 0;
    if (size < sizeof known) {
        return;
    }
    memcpy(&known, data, sizeof known);
    data += sizeof known;
    if (!hearth__bloom_sight_parse(data, size - sizeof known, known, &sight)) {
        return;
    }
    static volatile uint64_t last; /* a sanitizer sees whether each is there */
    for (size_t i = 0; i < sight.count; i++) {
        last = hearth__bloom_sight_hash(&sight, i);
    }
    (void)last;
    check_head(data, &sight.head);
    expect(sight.upto <= sight.last && sight.count <= sight.upto);
}

int fuzz_server_facts(const uint8_t *data, size_t size) {
    static void (*const readers[FACTS])(const uint8_t *data,
                                        size_t size) = {read_info, read_head, read_sight};
    if (size != 0) {
        readers[data[0] % FACTS](data + 1, size - 1);
    }
    return 0;
}
