/* SPDX-License-Identifier: Apache-2.0 */
#include "local/policy.h"

#include <string.h>

const hearth__policy *hearth__policy_find(const char *name) {
    static const hearth__policy *const policies[] = {&hearth__policy_lru,
                                                     &hearth__policy_s3fifo};
    for (size_t i = 0; i < sizeof policies / sizeof policies[0]; i++) {
        if (strcmp(policies[i]->name, name) == 0) {
            return policies[i];
        }
    }
    return NULL;
}
