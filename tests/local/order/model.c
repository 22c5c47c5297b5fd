/* SPDX-License-Identifier: Apache-2.0 */
#include "model.h"

#include <stdio.h>
#include <string.h>

/* Shared memory: two slots, and room for two entries of five words. The second slot is of a key that nobody reads. */
enum { SLOT, OTHER_SLOT, ENTRY, WORD0 = ENTRY, WORD1, KEY, VALUE, VALUE_END, STRIDE = 5 };

/* Slots: a position and two bits of mark, as in shard.h. FIRST and LATER are a lap apart: the same memory. */
enum { FREE = 0, FIRST = 1 << 2, LATER = 2 << 2, ELSEWHERE = 3 << 2, POSITION = 0xfc };

/* Word 0: size and sequence. Word 1, with the expiry, and a value's words say whose they are, and which version. */
enum { SIZE = 1 << 4, GARBAGE = 7 << 4, OURS = 0x40, THEIRS = 0x80, VERSION = 0x0f };

/* The watched thing is the value of the key that is read: its version, or that there is none. */
enum { ABSENT = 0 };

/* The reader's registers. */
enum {
    SEEN,
    HEADER,
    LIFE,
    WHOSE,
    PROVED,
    PROVED_SLOT,
    BYTES,
    LAST_BYTES,
    HEADER_LAST,
    LAST,
    RAISED
};

static bool has(const struct plan *plan, enum point point) {
    return (plan->without & WITHOUT(point)) == 0;
}

/* ---- what each call of the tier is in a form ---- */

static enum order if_has(const struct plan *plan, enum point point, enum order order) {
    return has(plan, point) ? order : RELAXED;
}

static void fence(struct thread *thread, const struct plan *plan, enum point point,
                  enum order order) {
    if (plan->form == BY_FENCES && has(plan, point)) {
        add_op(thread, (struct op){.kind = FENCE, .order = order, .by = FIXED, .from = FIXED});
    }
}

static void load_slot(struct thread *thread, uint8_t to, enum order order) {
    add_op(
        thread,
        (struct op){
            .kind = LOAD, .order = order, .place = SLOT, .by = FIXED, .to = to, .from = FIXED});
}

/* A word of the entry that the slot named. */
static void load_word(struct thread *thread, uint8_t place, uint8_t to, enum order order) {
    add_op(
        thread,
        (struct op){
            .kind = LOAD, .order = order, .place = place, .by = SEEN, .to = to, .from = FIXED});
}

static struct op *store(struct thread *thread, size_t place, unsigned value, enum order order,
                        int8_t becomes) {
    return add_op(thread, (struct op){.kind = STORE,
                                      .order = order,
                                      .place = (uint8_t)place,
                                      .by = FIXED,
                                      .value = (uint8_t)value,
                                      .from = FIXED,
                                      .becomes = becomes});
}

/* ---- the reader: shard_read.c, sight.h ---- */

static bool is_still(const uint8_t *registers, uint8_t again) {
    return ((registers[again] ^ registers[SEEN]) & POSITION) == 0;
}

static bool is_of_key(const uint8_t *registers, const struct plan *plan) {
    return (registers[SEEN] != FREE || !has(plan, FREE_CHECK)) &&
           (registers[WHOSE] == OURS || !has(plan, KEY_CHECK));
}

static bool is_whole(const uint8_t *registers, const struct plan *plan, uint8_t header,
                     uint8_t slot) {
    return ((registers[HEADER] & 1) == 0 || !has(plan, ODD_CHECK)) &&
           (registers[header] == registers[HEADER] || !has(plan, WORD0_CHECK)) &&
           (is_still(registers, slot) || !has(plan, LAST_CHECK));
}

static bool takes_memory(const uint8_t *registers, const struct plan *plan) {
    return plan->way == GROWING && is_of_key(registers, plan) &&
           (is_whole(registers, plan, PROVED, PROVED_SLOT) || !has(plan, SIZE_CHECK));
}

static bool is_found(const uint8_t *registers, const void *arg) {
    const struct plan *plan = arg;
    return plan->way != MISSING && is_of_key(registers, plan) &&
           (plan->way != GROWING || takes_memory(registers, plan)) &&
           is_whole(registers, plan, HEADER_LAST, LAST);
}

/* It looks again and again while it finds the entry changing, so only these are its answers. */
static bool is_missed(const uint8_t *registers, const struct plan *plan) {
    return registers[SEEN] == FREE || (plan->way == MISSING && registers[WHOSE] != OURS &&
                                       (is_still(registers, LAST) || !has(plan, MISS_CHECK)));
}

static void raise_mark(struct thread *thread, const struct plan *plan) {
    struct op op = {.kind = SWAP_IF_SAME,
                    .place = SLOT,
                    .by = FIXED,
                    .to = RAISED,
                    .value = 1,
                    .from = SEEN,
                    .when = is_found,
                    .becomes = NO_CHANGE};
    if (!has(plan, MARK_IN_SLOT)) {
        op.kind = STORE;
        op.place = VALUE;
        op.from = BYTES;
        op.by = SEEN;
    } else if (!has(plan, MARK_SWAP)) {
        op.kind = STORE;
    }
    add_op(thread, op);
}

/* hearth__sight_lasts() */
static void look_at_slot(struct thread *thread, const struct plan *plan, uint8_t slot) {
    fence(thread, plan, LAST_FENCE, ACQUIRE);
    load_slot(thread, slot, if_has(plan, LAST_ACQUIRE, ACQUIRE));
}

/* hearth__sight_is_whole() */
static void prove(struct thread *thread, const struct plan *plan, uint8_t header,
                  uint8_t slot) {
    enum order word0 = if_has(plan, WORD0_ACQUIRE, ACQUIRE);
    fence(thread, plan, COPY_FENCE, ACQUIRE);
    if (has(plan, WORD0_FIRST)) {
        load_word(thread, WORD0, header, word0);
    }
    look_at_slot(thread, plan, slot);
    if (!has(plan, WORD0_FIRST)) {
        load_word(thread, WORD0, header, word0);
    }
}

static void read(struct thread *thread, const struct plan *plan) {
    enum order header = if_has(plan, HEADER_ACQUIRE, ACQUIRE);
    enum order copy = plan->form == BY_WORDS ? if_has(plan, COPY_ACQUIRE, ACQUIRE) : RELAXED;
    load_slot(thread, SEEN, if_has(plan, SLOT_ACQUIRE, ACQUIRE));
    load_word(thread, WORD0, HEADER, header);
    load_word(thread, WORD1, LIFE, header);
    load_word(thread, KEY, WHOSE, copy);
    if (plan->way == MISSING) {
        look_at_slot(thread, plan, LAST);
        return;
    }
    if (plan->way == GROWING) {
        prove(thread, plan, PROVED, PROVED_SLOT);
    }
    load_word(thread, VALUE, BYTES, copy);
    load_word(thread, VALUE_END, LAST_BYTES, copy);
    prove(thread, plan, HEADER_LAST, LAST);
    raise_mark(thread, plan);
}

/* ---- the writer: shard_write.c, shard_room.c ---- */

static void write_word(struct thread *thread, const struct plan *plan, size_t place,
                       unsigned value) {
    enum order order = plan->form == BY_WORDS ? if_has(plan, WRITE_RELEASE, RELEASE) : RELAXED;
    store(thread, place, value, order, NO_CHANGE);
}

static void write_value(struct thread *thread, const struct plan *plan, size_t entry,
                        unsigned value) {
    write_word(thread, plan, entry + WORD1 - ENTRY, value);
    write_word(thread, plan, entry + VALUE - ENTRY, value);
    write_word(thread, plan, entry + VALUE_END - ENTRY, value);
}

static void write_entry(struct thread *thread, const struct plan *plan, size_t entry,
                        unsigned word0, unsigned value) {
    fence(thread, plan, RECYCLE_FENCE, RELEASE);
    write_word(thread, plan, entry, word0);
    write_word(thread, plan, entry + KEY - ENTRY, value & ~(unsigned)VERSION);
    write_value(thread, plan, entry, value);
}

static void publish(struct thread *thread, const struct plan *plan, size_t slot, unsigned word,
                    int8_t becomes) {
    store(thread, slot, word, if_has(plan, PUBLISH_RELEASE, RELEASE), becomes);
}

static void unlink_slot(struct thread *thread, const struct plan *plan, int8_t becomes) {
    if (has(plan, UNLINK)) {
        store(thread, SLOT, FREE, RELAXED, becomes);
    }
}

static void rewrite(struct thread *thread, const struct plan *plan, unsigned sequence,
                    unsigned version) {
    if (has(plan, ODD_STORE)) {
        store(thread, WORD0, SIZE + sequence + 1, RELAXED, NO_CHANGE);
    }
    fence(thread, plan, REWRITE_FENCE, RELEASE);
    write_value(thread, plan, ENTRY, OURS + version);
    struct op *even = store(thread, WORD0, SIZE + sequence + 2,
                            if_has(plan, EVEN_RELEASE, RELEASE), (int8_t)version);
    even->if_present = true; /* others may see an unlink before this */
}

/* The slot's word is another entry's: at once, or, without that point, by way of a free slot. */
static void replace(struct thread *thread, const struct plan *plan, unsigned word,
                    int8_t becomes) {
    if (!has(plan, ONE_STORE)) {
        store(thread, SLOT, FREE, RELAXED, NO_CHANGE);
    }
    publish(thread, plan, SLOT, word, becomes);
}

/* A position in the memory of FIRST. */
static unsigned next_lap(const struct plan *plan) {
    return has(plan, LAP) ? LATER : FIRST;
}

/* ---- scenes ---- */

static void put_entry(struct scene *scene, size_t entry, unsigned value) {
    scene->memory[entry] = SIZE;
    scene->memory[entry + WORD1 - ENTRY] = (uint8_t)value;
    scene->memory[entry + KEY - ENTRY] = (uint8_t)(value & ~(unsigned)VERSION);
    scene->memory[entry + VALUE - ENTRY] = (uint8_t)value;
    scene->memory[entry + VALUE_END - ENTRY] = (uint8_t)value;
}

static void put_first(struct scene *scene, unsigned value) {
    scene->memory[SLOT] = FIRST;
    put_entry(scene, ENTRY, value);
    scene->value = value < THEIRS ? (uint8_t)(value & VERSION) : ABSENT;
}

/* Over what is left of an older value of the same key, which nothing else would tell from the new one. */
static void publishing(struct scene *scene, struct thread *writer, const struct plan *plan) {
    scene->name = "publish";
    put_entry(scene, ENTRY, OURS + 3);
    write_entry(writer, plan, ENTRY, SIZE, OURS + 1);
    publish(writer, plan, SLOT, FIRST, 1);
}

static void recycling(struct scene *scene, struct thread *writer, const struct plan *plan) {
    scene->name = "recycle for another key of the same tag";
    put_first(scene, OURS + 1);
    unlink_slot(writer, plan, ABSENT);
    write_entry(writer, plan, ENTRY, SIZE, THEIRS + 1);
    publish(writer, plan, SLOT, next_lap(plan), ABSENT);
}

static void storing_again(struct scene *scene, struct thread *writer, const struct plan *plan) {
    scene->name = "recycle for the same key";
    put_first(scene, OURS + 1);
    unlink_slot(writer, plan, ABSENT);
    write_entry(writer, plan, ENTRY, SIZE, OURS + 2);
    publish(writer, plan, SLOT, next_lap(plan), 2);
}

static void rewriting(struct scene *scene, struct thread *writer, const struct plan *plan) {
    scene->name = "rewrite twice";
    put_first(scene, OURS + 1);
    rewrite(writer, plan, 0, 2);
    rewrite(writer, plan, 2, 3);
}

/* The sequence begins at 0 again in the recycled memory: word 0 is as it was. */
static void rewriting_and_recycling(struct scene *scene, struct thread *writer,
                                    const struct plan *plan) {
    scene->name = "rewrite, then recycle";
    put_first(scene, OURS + 1);
    rewrite(writer, plan, 0, 2);
    unlink_slot(writer, plan, ABSENT);
    write_entry(writer, plan, ENTRY, SIZE, THEIRS + 1);
    publish(writer, plan, OTHER_SLOT, LATER, NO_CHANGE);
}

/* The whole entry, as it is. */
static void copy_entry(struct thread *thread, const struct plan *plan, size_t entry,
                       unsigned value) {
    fence(thread, plan, RECYCLE_FENCE, RELEASE);
    write_word(thread, plan, entry, SIZE);
    write_word(thread, plan, entry + WORD1 - ENTRY, value);
    write_word(thread, plan, entry + KEY - ENTRY, value & ~(unsigned)VERSION);
    write_word(thread, plan, entry + VALUE - ENTRY, value);
    write_word(thread, plan, entry + VALUE_END - ENTRY, value);
}

static void moving(struct scene *scene, struct thread *writer, const struct plan *plan) {
    scene->name = "move, then recycle";
    put_first(scene, OURS + 1);
    copy_entry(writer, plan, ENTRY + STRIDE, OURS + 1);
    replace(writer, plan, ELSEWHERE, NO_CHANGE);
    write_entry(writer, plan, ENTRY, SIZE, THEIRS + 1);
    publish(writer, plan, OTHER_SLOT, LATER, NO_CHANGE);
}

static void overwriting(struct scene *scene, struct thread *writer, const struct plan *plan) {
    scene->name = "overwrite, then recycle";
    put_first(scene, OURS + 1);
    write_entry(writer, plan, ENTRY + STRIDE, SIZE, OURS + 2);
    replace(writer, plan, ELSEWHERE, 2);
    write_entry(writer, plan, ENTRY, SIZE, THEIRS + 1);
    publish(writer, plan, OTHER_SLOT, LATER, NO_CHANGE);
}

/* Entries begin anywhere, so where a size was there can be bytes of a value. */
static void shifting(struct scene *scene, struct thread *writer, const struct plan *plan) {
    scene->name = "recycle for bytes that are no header";
    put_first(scene, OURS + 1);
    unlink_slot(writer, plan, ABSENT);
    write_entry(writer, plan, ENTRY, GARBAGE, THEIRS + 1);
}

static void sharing_a_tag(struct scene *scene, struct thread *writer, const struct plan *plan) {
    scene->name = "a slot of another key";
    put_first(scene, THEIRS + 1);
    unlink_slot(writer, plan, ABSENT);
    write_entry(writer, plan, ENTRY, SIZE, OURS + 1);
    publish(writer, plan, SLOT, next_lap(plan), 1);
}

/* ---- what is wrong ---- */

static uint8_t second_entry(uint8_t slot) {
    return (slot & POSITION) == ELSEWHERE;
}

/* The key had that value while the reader ran. */
static bool had(const struct end *end, const uint8_t *registers) {
    uint8_t bytes = registers[BYTES];
    return bytes == registers[LAST_BYTES] && bytes == registers[LIFE] &&
           (bytes & ~VERSION) == OURS && (end->during >> (bytes & VERSION) & 1) != 0;
}

/* Whether memory is as the writer alone would have left it, but for the slot's mark. */
static bool is_untouched(const struct end *end) {
    uint8_t memory[PLACES_MAX];
    const struct thread *writer = &end->scene->threads[1];
    memcpy(memory, end->scene->memory, sizeof memory);
    for (size_t i = 0; i < writer->count; i++) {
        if (writer->ops[i].kind == STORE) {
            memory[writer->ops[i].place] = writer->ops[i].value;
        }
    }
    return ((memory[SLOT] ^ end->memory[SLOT]) & POSITION) == 0 &&
           memcmp(&memory[SLOT + 1], &end->memory[SLOT + 1], PLACES_MAX - SLOT - 1) == 0;
}

static bool is_wrong(const struct end *end) {
    const uint8_t *registers = end->registers[0];
    const struct plan *plan = end->scene->arg;
    bool uses_garbage = takes_memory(registers, plan) && (registers[HEADER] & ~VERSION) != SIZE;
    bool misses = is_missed(registers, plan) && (end->during >> ABSENT & 1) == 0;
    return uses_garbage || misses || (is_found(registers, plan) && !had(end, registers)) ||
           !is_untouched(end);
}

void make_scene(enum scene_id id, const struct plan *plan, struct scene *scene) {
    static void (*const scenes[SCENES])(struct scene *, struct thread *,
                                        const struct plan *) = {
        [PUBLISHING] = publishing,
        [RECYCLING] = recycling,
        [STORING_AGAIN] = storing_again,
        [REWRITING] = rewriting,
        [REWRITING_AND_RECYCLING] = rewriting_and_recycling,
        [MOVING] = moving,
        [OVERWRITING] = overwriting,
        [SHIFTING] = shifting,
        [SHARING_A_TAG] = sharing_a_tag,
    };
    *scene = (struct scene){
        .count = 2, .which = second_entry, .stride = STRIDE, .wrong = is_wrong, .arg = plan};
    read(&scene->threads[0], plan);
    scenes[id](scene, &scene->threads[1], plan);
}

const char *point_text(enum point point) {
    static const char *const texts[] = {
#define POINT(name, text) [name] = (text),
        POINTS(POINT)
#undef POINT
    };
    return texts[point];
}

/* ---- programs as text ---- */

void add_step(char *text, size_t size, enum op_kind kind, const char *place, enum order order) {
    static const char *const kinds[] = {
        [LOAD] = "", [STORE] = "=", [SWAP_IF_SAME] = "?", [FENCE] = ""};
    static const char *const orders[] = {
        [RELAXED] = "", [ACQUIRE] = ".acq", [RELEASE] = ".rel", [SEQUENTIAL] = ".seq"};
    char step[32];
    (void)snprintf(step, sizeof step, " %s%s%s", place, kinds[kind], orders[order]);
    const char *last = strrchr(text, ' ');
    if (last == NULL || strcmp(last, step) != 0) {
        const size_t used = strlen(text);
        (void)snprintf(text + used, size - used, "%s", step);
    }
}

void describe(const struct thread *thread, char *text, size_t size) {
    static const char *const words[STRIDE] = {"word0", "word1", "key", "value", "value"};
    text[0] = '\0';
    for (size_t i = 0; i < thread->count; i++) {
        const struct op *op = &thread->ops[i];
        const char *place = op->place < ENTRY ? "slot" : words[(op->place - ENTRY) % STRIDE];
        add_step(text, size, op->kind, op->kind == FENCE ? "fence" : place, op->order);
    }
}
