/* SPDX-License-Identifier: Apache-2.0 */
#include <hearth/version.h>

const char *hearth_version(void) {
    return HEARTH_VERSION_STRING;
}

uint32_t hearth_abi_version(void) {
    return HEARTH_ABI_VERSION;
}
