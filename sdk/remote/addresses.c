/* SPDX-License-Identifier: Apache-2.0 */
#include "remote/addresses.h"

#include <hearth/errors.h>

#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

enum { PORT_TEXT = 8 };

static int ask(const hearth__node_address *node, int flags, struct addrinfo **list) {
    char port[PORT_TEXT];
    (void)snprintf(port, sizeof port, "%u", node->port);
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = flags | AI_NUMERICSERV};
    return getaddrinfo(node->host, port, &hints, list);
}

static bool fits(const struct addrinfo *info) {
    return info->ai_addrlen <= sizeof(struct sockaddr_storage);
}

static void add(hearth__addresses *addresses, const struct addrinfo *info) {
    hearth__address *address = &addresses->all[addresses->count++];
    memcpy(&address->bytes, info->ai_addr, info->ai_addrlen);
    address->size = info->ai_addrlen;
}

/* The next one of the first one's family, or of the others'; NULL: there is none. */
static const struct addrinfo *next_of(const struct addrinfo *list, int first, bool of_first) {
    while (list != NULL && ((list->ai_family == first) != of_first || !fits(list))) {
        list = list->ai_next;
    }
    return list;
}

/* The families in turn. */
static void take(const struct addrinfo *list, hearth__addresses *addresses) {
    int family = list->ai_family;
    const struct addrinfo *own = next_of(list, family, true);
    const struct addrinfo *other = next_of(list, family, false);
    *addresses = (hearth__addresses){.count = 0};
    while ((own != NULL || other != NULL) && addresses->count < HEARTH__ADDRESSES_MAX) {
        if (own != NULL) {
            add(addresses, own);
            own = next_of(own->ai_next, family, true);
        }
        if (other != NULL && addresses->count < HEARTH__ADDRESSES_MAX) {
            add(addresses, other);
            other = next_of(other->ai_next, family, false);
        }
    }
}

static void take_path(const char *path, hearth__addresses *addresses) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t size = strlen(path);
    *addresses = (hearth__addresses){.count = 0};
    if (size >= sizeof address.sun_path) {
        return; /* the url's parser refuses these */
    }
    memcpy(address.sun_path, path, size);
    addresses->count = 1;
    memcpy(&addresses->all[0].bytes, &address, sizeof address);
    addresses->all[0].size = sizeof address;
}

bool hearth__addresses_of_number(const hearth__node_address *node,
                                 hearth__addresses *addresses) {
    struct addrinfo *list = NULL;
    if (node->port == 0) {
        take_path(node->host, addresses);
        return true;
    }
    if (ask(node, AI_NUMERICHOST, &list) != 0) {
        return false;
    }
    take(list, addresses);
    freeaddrinfo(list);
    return addresses->count != 0;
}

int32_t hearth__addresses_look_up(const hearth__node_address *node,
                                  hearth__addresses *addresses, char *why, size_t why_size) {
    struct addrinfo *list = NULL;
    hearth__addresses found = {.count = 0};
    int error = ask(node, 0, &list);
    if (error == 0) {
        take(list, &found);
        freeaddrinfo(list);
    }
    if (found.count != 0) {
        *addresses = found;
        return HEARTH_OK;
    }
    (void)snprintf(why, why_size, "its name was not resolved: %s",
                   error != 0 ? gai_strerror(error) : "no address");
    return error == EAI_MEMORY ? HEARTH_E_NOMEM : HEARTH_E_UNAVAILABLE;
}

void hearth__addresses_prefer(hearth__addresses *addresses, const hearth__address *address) {
    for (size_t i = 1; i < addresses->count; i++) {
        const hearth__address *at = &addresses->all[i];
        if (at->size == address->size &&
            memcmp(&at->bytes, &address->bytes, address->size) == 0) {
            memmove(&addresses->all[1], &addresses->all[0], i * sizeof *addresses->all);
            addresses->all[0] = *address;
            return;
        }
    }
}
