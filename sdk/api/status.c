/* SPDX-License-Identifier: Apache-2.0 */
#include <hearth/errors.h>

const char *hearth_status_name(int32_t status) {
    switch (status) {
#define STATUS_NAME(name, value, text) \
    case (value):                      \
        return "HEARTH_" #name;
        HEARTH_STATUS_MAP(STATUS_NAME)
#undef STATUS_NAME
    default:
        return "HEARTH_?";
    }
}

const char *hearth_strerror(int32_t status) {
    switch (status) {
#define STATUS_TEXT(name, value, text) \
    case (value):                      \
        return text;
        HEARTH_STATUS_MAP(STATUS_TEXT)
#undef STATUS_TEXT
    default:
        return "not a status of this version of Hearth";
    }
}
