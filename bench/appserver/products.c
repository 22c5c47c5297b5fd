/* SPDX-License-Identifier: Apache-2.0 */
#include "appserver/products.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { IDLE_MOST = 64, PATH_BYTES = 4096, ERROR_BYTES = 512 };

static const uint64_t LOAD_NS = 1000000; /* what a load is calibrated to */

struct products {
    char path[PATH_BYTES];
    char folder[PATH_BYTES]; /* to be removed with the file; empty: the file stays */
    uint32_t peers;
    uint32_t wait_ms;
    pthread_mutex_t lock;
    struct origin *idle[IDLE_MOST]; /* connections that nobody uses just now */
    size_t idle_count;
};

/* ---- opening ---------------------------------------------------------------------------- */

static bool complain(const char *reason) {
    (void)fprintf(stderr, "appserver: the database: %s\n", reason);
    return false;
}

static bool find_place(struct products *products, const char *file) {
    const char *parent = getenv("TMPDIR");
    if (file != NULL) {
        int size = snprintf(products->path, PATH_BYTES, "%s", file);
        return size < PATH_BYTES || complain("its name is too long");
    }
    int size = snprintf(products->folder, PATH_BYTES - 16, "%s/hearth-appserver-XXXXXX",
                        parent != NULL ? parent : "/tmp");
    if (size >= PATH_BYTES - 16 || mkdtemp(products->folder) == NULL) {
        products->folder[0] = '\0';
        return complain("no folder for it, see TMPDIR");
    }
    (void)snprintf(products->path, PATH_BYTES, "%.*s/products.db", PATH_BYTES - 16,
                   products->folder);
    return true;
}

static bool build(struct products *products) {
    char error[ERROR_BYTES] = "";
    struct origin_summary summary;
    if (access(products->path, R_OK) == 0) {
        return true;
    }
    return origin_build(products->path, false, NULL, NULL, &summary, error, sizeof error) ==
               0 ||
           complain(error);
}

static struct origin *connect_one(const struct products *products) {
    char error[ERROR_BYTES] = "";
    struct origin *origin = NULL;
    uint32_t peers = products->peers != 0 ? products->peers : ORIGIN_PEERS_MIN;
    if (origin_open(products->path, peers, &origin, error, sizeof error) != 0) {
        (void)complain(error);
        return NULL;
    }
    return origin;
}

static bool calibrate(struct products *products) {
    struct origin *first = connect_one(products);
    struct origin_calibration found;
    if (first == NULL) {
        return false;
    }
    bool done = products->peers != 0 || origin_calibrate(first, LOAD_NS, &found) == 0;
    if (!done) {
        (void)complain(origin_error(first));
    } else if (products->peers == 0) {
        products->peers = found.peers;
    }
    products->idle[products->idle_count++] = first;
    return done;
}

struct products *products_open(const struct arguments *arguments) {
    struct products *products = calloc(1, sizeof *products);
    if (products == NULL) {
        return NULL;
    }
    products->peers = arguments->peers;
    products->wait_ms = arguments->load_wait_ms;
    (void)pthread_mutex_init(&products->lock, NULL);
    if (!find_place(products, arguments->database) || !build(products) ||
        !calibrate(products)) {
        products_close(products);
        return NULL;
    }
    return products;
}

void products_close(struct products *products) {
    if (products == NULL) {
        return;
    }
    for (size_t i = 0; i < products->idle_count; i++) {
        origin_close(products->idle[i]);
    }
    if (products->folder[0] != '\0') {
        (void)unlink(products->path);
        (void)rmdir(products->folder);
    }
    (void)pthread_mutex_destroy(&products->lock);
    free(products);
}

/* ---- a page ------------------------------------------------------------------------------ */

/* A connection for one load: one of those that are idle, or another one. */
static struct origin *take(struct products *products) {
    struct origin *origin = NULL;
    (void)pthread_mutex_lock(&products->lock);
    if (products->idle_count != 0) {
        origin = products->idle[--products->idle_count];
    }
    (void)pthread_mutex_unlock(&products->lock);
    return origin != NULL ? origin : connect_one(products);
}

static void give_back(struct products *products, struct origin *origin) {
    (void)pthread_mutex_lock(&products->lock);
    bool kept = products->idle_count < IDLE_MOST;
    if (kept) {
        products->idle[products->idle_count++] = origin;
    }
    (void)pthread_mutex_unlock(&products->lock);
    if (!kept) {
        origin_close(origin);
    }
}

/* What --load-wait adds to a load: a slower database. */
static void wait_ms(uint32_t ms) {
    struct timespec left = {ms / 1000, (long)(ms % 1000) * 1000000};
    while (ms != 0 && nanosleep(&left, &left) != 0) {
    }
}

int32_t products_page(struct products *products, uint32_t product, char page[ORIGIN_PAGE_MAX],
                      size_t *size) {
    struct origin *origin = take(products);
    if (origin == NULL) {
        return HEARTH_E_LOADER;
    }
    int32_t status = HEARTH_ABSENT;
    if (product < origin_packages(origin)) {
        status = origin_load(origin, product, page, size) == 0 ? HEARTH_OK : HEARTH_E_LOADER;
    }
    give_back(products, origin);
    wait_ms(products->wait_ms);
    return status;
}

/* ---- for Hearth --------------------------------------------------------------------------- */

static const char key_begin[] = "product:";

size_t product_key(uint32_t product, char key[PRODUCT_KEY_BYTES]) {
    return (size_t)snprintf(key, PRODUCT_KEY_BYTES, "%s%u", key_begin, product);
}

static int32_t load(void *arg, const void *key, size_t key_size, hearth_fill *fill) {
    char number[PRODUCT_KEY_BYTES];
    char page[ORIGIN_PAGE_MAX];
    size_t size = 0;
    (void)snprintf(number, sizeof number, "%.*s", (int)(key_size - (sizeof key_begin - 1)),
                   (const char *)key + sizeof key_begin - 1);
    int32_t status = products_page(arg, (uint32_t)strtoul(number, NULL, 10), page, &size);
    if (status == HEARTH_OK) {
        return hearth_fill_value(fill, page, size);
    }
    return status == HEARTH_ABSENT ? hearth_fill_absent(fill) : status;
}

/* The products outlive the cache, so there is nothing to count. */
static void retain(void *arg) {
    (void)arg;
}

hearth_loader products_loader(struct products *products) {
    return (hearth_loader){.size = sizeof(hearth_loader),
                           .load = load,
                           .arg = products,
                           .retain = retain,
                           .release = retain};
}
