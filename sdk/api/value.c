/* SPDX-License-Identifier: Apache-2.0 */
#include "api/check.h"
#include "base/memory.h"

hearth_value *hearth_value_new(void) {
    hearth_value *value = hearth__alloc_zero(1, sizeof *value);
    if (value != NULL) {
        hearth__value_clear(value);
    }
    return value;
}

const void *hearth_value_data(const hearth_value *value) {
    return value != NULL && value->bytes.data != NULL ? value->bytes.data
                                                      : (const unsigned char *)"";
}

size_t hearth_value_size(const hearth_value *value) {
    return value != NULL ? value->bytes.size : 0;
}

int32_t hearth_value_info(const hearth_value *value, hearth_info *info) {
    hearth_info own;
    if (value == NULL || info == NULL || info->size < sizeof info->size) {
        return HEARTH_E_INVALID;
    }
    hearth__value_describe(value, &own);
    (void)hearth__check_give(info, &own, sizeof own);
    return HEARTH_OK;
}

void hearth_value_free(hearth_value *value) {
    if (value != NULL) {
        hearth__buffer_fini(&value->bytes);
        hearth__free(value);
    }
}
