/* SPDX-License-Identifier: Apache-2.0 */
/* Functions that an interpreter calls as its own: their arguments and results are its objects. */
#include <pthread.h>
#include <string.h>

#include "api/check.h"

/* A process has one interpreter. It is written once, before whoever reads it is told so. */
/* NOLINTBEGIN(cppcoreguidelines-avoid-non-const-global-variables) */
static hearth_interpreter known;
static pthread_mutex_t known_lock = PTHREAD_MUTEX_INITIALIZER;
/* NOLINTEND(cppcoreguidelines-avoid-non-const-global-variables) */

static bool is_whole(const hearth_interpreter *interpreter) {
    if (interpreter == NULL || interpreter->size != sizeof known) {
        return false;
    }
    bool finds = interpreter->find != NULL;
    return interpreter->place_of != NULL && interpreter->text_of != NULL &&
           interpreter->bytes_of != NULL && interpreter->retain != NULL &&
           interpreter->yes != NULL && interpreter->no != NULL &&
           (interpreter->release != NULL) == finds &&
           (interpreter->class_of != NULL) == finds &&
           (interpreter->text_class != NULL) == finds &&
           (interpreter->count != NULL) == finds && (interpreter->item != NULL) == finds &&
           (interpreter->call != NULL) == finds && (interpreter->put != NULL) == finds;
}

int32_t hearth_set_interpreter(const hearth_interpreter *interpreter) {
    if (!is_whole(interpreter)) {
        return HEARTH_E_INVALID;
    }
    pthread_mutex_lock(&known_lock);
    if (known.size == 0) {
        known = *interpreter;
    }
    bool same = memcmp(&known, interpreter, sizeof known) == 0;
    pthread_mutex_unlock(&known_lock);
    return same ? HEARTH_OK : HEARTH_E_INVALID;
}

static hearth *cache_of(void *self) {
    hearth *const *place = known.size != 0 ? known.place_of(self, NULL) : NULL;
    return place != NULL ? *place : NULL;
}

void *hearth_object_get(void *self, void *text) {
    ptrdiff_t size = 0;
    hearth *cache = cache_of(self);
    const char *key = cache != NULL ? known.text_of(text, &size) : NULL;
    return key != NULL ? hearth_get_with(cache, key, (size_t)size) : NULL;
}

/* What follows the version is the key. The caller is inside. */
static bool is_current(hearth *cache, const char *probe, size_t size) {
    uint64_t expected = 0;
    uint64_t version = 0;
    if (size < sizeof expected ||
        !hearth__check_key(probe + sizeof expected, size - sizeof expected)) {
        return false;
    }
    memcpy(&expected, probe, sizeof expected);
    return hearth__scoped_peek_version(cache, probe + sizeof expected, size - sizeof expected,
                                       &version) == HEARTH_OK &&
           version == expected;
}

/* The same of an object, once for each. False with *raised: it is no object of bytes. */
static bool is_object_current(hearth *cache, void *object, bool *raised) {
    char *probe = NULL;
    ptrdiff_t size = 0;
    *raised = known.bytes_of(object, &probe, &size) != 0;
    return !*raised && is_current(cache, probe, (size_t)size);
}

void *hearth_object_current(void *self, void *const *probes, ptrdiff_t count) {
    hearth *cache = cache_of(self);
    bool raised = false;
    if (cache == NULL) {
        return NULL;
    }
    bool inside = hearth__cache_enter(cache);
    bool all = inside && count > 0;
    for (ptrdiff_t i = 0; i < count && all; i++) {
        all = is_object_current(cache, probes[i], &raised);
    }
    if (inside) {
        hearth__cache_leave(cache);
    }
    if (raised) {
        return NULL;
    }
    void *answer = all ? known.yes : known.no;
    known.retain(answer);
    return answer;
}

/* ---- a table of what was decoded ---------------------------------------------------------- */

enum { OF_CACHE, OF_TABLE, OF_FUNCTION };                     /* of `self` */
enum { FIRST_PROBE, SECOND_PROBE, ANSWER, COPY, FIRST_PART }; /* of an entry */

static bool is_text(void *object) {
    void *class = known.class_of(object);
    known.release(class); /* the object has it */
    return class == known.text_class;
}

/* Whether both probes of an entry are current. */
static bool is_entry_current(hearth *cache, void *entry, bool *raised) {
    void *first = known.item(entry, FIRST_PROBE);
    void *second = known.item(entry, SECOND_PROBE);
    *raised = first == NULL || second == NULL;
    if (*raised || !hearth__cache_enter(cache)) {
        return false;
    }
    bool both =
        is_object_current(cache, first, raised) && is_object_current(cache, second, raised);
    hearth__cache_leave(cache);
    return both;
}

/* Makes one part and puts it into its object. */
static bool put_part(void *object, void *at, void *make) {
    void *part = known.call(make, NULL, 0, NULL);
    if (part == NULL) {
        return false;
    }
    bool done = known.put(object, at, part) == 0;
    known.release(part);
    return done;
}

/* The answer of an entry, for its caller. */
static void *answer_of(void *entry) {
    const ptrdiff_t size = known.count(entry);
    if (size <= COPY) {
        void *answer = known.item(entry, ANSWER);
        if (answer != NULL) {
            known.retain(answer);
        }
        return answer;
    }
    void *answer = known.call(known.item(entry, COPY), NULL, 0, NULL);
    for (ptrdiff_t i = FIRST_PART; i + 1 < size && answer != NULL; i += 2) {
        if (!put_part(answer, known.item(entry, i), known.item(entry, i + 1))) {
            known.release(answer);
            answer = NULL;
        }
    }
    return answer;
}

/* Whether the table has the answer, NULL if that raised an exception. */
static bool find(void *self, hearth *cache, void *text, void **answer) {
    bool raised = false;
    void *table = known.item(self, OF_TABLE);
    void *entry = table != NULL && is_text(text) ? known.find(table, text) : NULL;
    if (entry == NULL) {
        return false;
    }
    known.retain(entry);
    bool found = is_entry_current(cache, entry, &raised);
    *answer = found ? answer_of(entry) : NULL;
    known.release(entry);
    return found || raised;
}

void *hearth_object_find(void *self, void *const *arguments, ptrdiff_t count, void *names) {
    void *place = known.find != NULL ? known.item(self, OF_CACHE) : NULL;
    hearth *cache = place != NULL ? cache_of(place) : NULL;
    void *answer = NULL;
    if (cache == NULL) {
        return NULL;
    }
    if ((count == 1 || count == 2) && names == NULL &&
        find(self, cache, arguments[0], &answer)) {
        return answer;
    }
    void *function = known.item(self, OF_FUNCTION);
    return function != NULL ? known.call(function, arguments, (size_t)count, names) : NULL;
}
