# SPDX-License-Identifier: Apache-2.0
"""The library's log, handed over to logging."""

import ctypes
import logging

from . import _abi, _tables
from ._handle import OK
from ._library import lib

logger = logging.getLogger("hearth")

_LEVELS = {
    _tables.LOG_ERROR: logging.ERROR,
    _tables.LOG_WARNING: logging.WARNING,
    _tables.LOG_NOTICE: logging.INFO,
}


def forward_log(address: ctypes.c_void_p) -> int:
    """Hands the library's log records over; how many."""
    record = _abi.LogRecord(size=ctypes.sizeof(_abi.LogRecord))
    count = 0
    while lib.hearth_log_next(address, record) == OK:
        count += 1
        level = _LEVELS.get(record.level, logging.WARNING)
        text = record.text.decode(errors="replace")
        if record.lost:
            text += f" ({record.lost} records before this one were dropped)"
        logger.log(level, "%s", text)
    return count
