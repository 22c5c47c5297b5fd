# SPDX-License-Identifier: Apache-2.0
"""The C structs and prototypes that the binding uses. tests/test_abi.py compares them with the
headers; what of the headers is numbers and names is in _tables.py."""

import ctypes
from ctypes import (
    POINTER,
    Structure,
    c_char,
    c_char_p,
    c_int32,
    c_int64,
    c_size_t,
    c_ubyte,
    c_uint32,
    c_uint64,
    c_void_p,
)
from typing import Any, Dict, Tuple

from . import _tables


class Info(Structure):
    """hearth_info"""

    _fields_ = [
        ("size", c_size_t),
        ("tier", c_uint32),
        ("freshness", c_uint32),
        ("age_ms", c_int64),
        ("ttl_left_ms", c_int64),
        ("staleness_bound_ms", c_int64),
        ("version", c_uint64),
        ("content", c_uint32),
        ("reserved", c_uint32),
    ]


class ReadOptions(Structure):
    """hearth_read_options"""

    _fields_ = [
        ("size", c_size_t),
        ("deadline_ms", c_int64),
        ("max_stale_ms", c_int64),
        ("flags", c_uint32),
        ("reserved", c_uint32),
    ]


class WriteOptions(Structure):
    """hearth_write_options"""

    _fields_ = [
        ("size", c_size_t),
        ("ttl_ms", c_int64),
        ("soft_ttl_ms", c_int64),
        ("deadline_ms", c_int64),
        ("if_version", c_uint64),
        ("content", c_uint32),
        ("flags", c_uint32),
    ]


class OptionInfo(Structure):
    """hearth_option_info"""

    _fields_ = [
        ("size", c_size_t),
        ("name", c_char_p),
        ("type", c_char_p),
        ("initial", c_char_p),
        ("choices", c_char_p),
        ("help", c_char_p),
        ("low", c_int64),
        ("high", c_int64),
    ]


class LogRecord(Structure):
    """hearth_log_record"""

    _fields_ = [
        ("size", c_size_t),
        ("unix_ms", c_int64),
        ("lost", c_uint64),
        ("level", c_uint32),
        ("status", c_int32),
        ("text", c_char * 232),
    ]


class HotKey(Structure):
    """hearth_hot_key"""

    _fields_ = [
        ("size", c_size_t),
        ("requests_per_s", c_uint64),
        ("key_size", c_uint64),
        ("full_size", c_uint64),
        ("key", c_ubyte * _tables.HOT_KEY_BYTES),
    ]


class Stats(Structure):
    """hearth_stats"""

    _fields_ = [("size", c_size_t)] + [
        (name, c_uint64) for name in _tables.Stats._fields[: _tables.LIBRARY_STATS]
    ]


#: of each struct: its name in C
STRUCTS: Dict[str, Any] = {
    "hearth_info": Info,
    "hearth_read_options": ReadOptions,
    "hearth_write_options": WriteOptions,
    "hearth_option_info": OptionInfo,
    "hearth_log_record": LogRecord,
    "hearth_hot_key": HotKey,
    "hearth_stats": Stats,
}

GuardIterator = ctypes.CFUNCTYPE(c_int32, c_void_p, POINTER(c_void_p), POINTER(c_size_t))

_STATUS = c_int32
_CACHE = _VALUE = _OPTIONS = _FILL = _DATA = c_void_p
_KEY = (c_char_p, c_size_t)
_READ = POINTER(ReadOptions)
_WRITE = POINTER(WriteOptions)
_KEYS = (c_size_t, c_void_p, c_void_p)

#: of each function: its result and its arguments
PROTOTYPES: Dict[str, Tuple[Any, Tuple[Any, ...]]] = {
    "hearth_version": (c_char_p, ()),
    "hearth_abi_version": (c_uint32, ()),
    "hearth_status_name": (c_char_p, (c_int32,)),
    "hearth_strerror": (c_char_p, (c_int32,)),
    "hearth_open": (_STATUS, (_OPTIONS, POINTER(c_void_p))),
    "hearth_close": (_STATUS, (_CACHE,)),
    "hearth_value_new": (_VALUE, ()),
    "hearth_value_data": (_DATA, (_VALUE,)),
    "hearth_value_size": (c_size_t, (_VALUE,)),
    "hearth_value_info": (_STATUS, (_VALUE, POINTER(Info))),
    "hearth_value_free": (None, (_VALUE,)),
    "hearth_read_options_init": (None, (_READ, c_size_t)),
    "hearth_write_options_init": (None, (_WRITE, c_size_t)),
    "hearth_fetch_begin": (_STATUS, (_CACHE, *_KEY, _READ, _VALUE, POINTER(c_void_p))),
    "hearth_fill_commit": (_STATUS, (_FILL, _WRITE, _VALUE)),
    "hearth_fill_abandon": (_STATUS, (_FILL,)),
    "hearth_fill_value": (_STATUS, (_FILL, c_char_p, c_size_t)),
    "hearth_fill_absent": (_STATUS, (_FILL,)),
    "hearth_fill_ttl": (_STATUS, (_FILL, c_int64, c_int64)),
    "hearth_get": (_STATUS, (_CACHE, *_KEY, _READ, _VALUE)),
    "hearth_set": (_STATUS, (_CACHE, *_KEY, c_char_p, c_size_t, _WRITE)),
    "hearth_add": (_STATUS, (_CACHE, *_KEY, c_char_p, c_size_t, _WRITE)),
    "hearth_replace": (_STATUS, (_CACHE, *_KEY, c_char_p, c_size_t, _WRITE)),
    "hearth_delete": (_STATUS, (_CACHE, *_KEY, _WRITE)),
    "hearth_touch": (_STATUS, (_CACHE, *_KEY, _WRITE)),
    "hearth_increment": (_STATUS, (_CACHE, *_KEY, c_int64, POINTER(c_int64), _WRITE)),
    "hearth_evict_local": (_STATUS, (_CACHE, *_KEY)),
    "hearth_get_many": (_STATUS, (_CACHE, *_KEYS, _READ, c_void_p, c_void_p)),
    "hearth_set_many": (_STATUS, (_CACHE, *_KEYS, c_void_p, c_void_p, _WRITE, c_void_p)),
    "hearth_delete_many": (_STATUS, (_CACHE, *_KEYS, _WRITE, c_void_p)),
    "hearth_guard_add": (_STATUS, (_CACHE, *_KEY)),
    "hearth_guard_rebuild": (_STATUS, (_CACHE, GuardIterator, c_void_p)),
    "hearth_guard_save": (_STATUS, (_CACHE, c_char_p)),
    "hearth_guard_load": (_STATUS, (_CACHE, c_char_p)),
    "hearth_options_new": (_OPTIONS, ()),
    "hearth_options_set": (_STATUS, (_OPTIONS, c_char_p, c_char_p)),
    "hearth_options_get": (
        _STATUS,
        (_OPTIONS, c_char_p, c_char_p, c_size_t, POINTER(c_size_t)),
    ),
    "hearth_options_load": (_STATUS, (_OPTIONS, c_char_p)),
    "hearth_options_error": (c_char_p, (_OPTIONS,)),
    "hearth_options_describe": (_STATUS, (c_uint32, POINTER(OptionInfo))),
    "hearth_options_free": (None, (_OPTIONS,)),
    "hearth_options_set_sink": (_STATUS, (_OPTIONS, c_void_p, c_void_p, c_void_p)),
    "hearth_get_with": (c_void_p, (_CACHE, *_KEY)),
    "hearth_peek_version": (_STATUS, (_CACHE, *_KEY, POINTER(c_uint64))),
    "hearth_log_next": (_STATUS, (_CACHE, POINTER(LogRecord))),
    "hearth_stats_get": (_STATUS, (_CACHE, POINTER(Stats))),
    "hearth_stats_text": (_STATUS, (_CACHE, c_char_p, c_size_t, POINTER(c_size_t))),
    "hearth_hot_keys": (_STATUS, (_CACHE, POINTER(HotKey), c_size_t, POINTER(c_size_t))),
    "hearth_set_nodes": (_STATUS, (_CACHE, c_char_p, c_char_p, c_size_t)),
    "hearth_node_of": (
        _STATUS,
        (_CACHE, *_KEY, POINTER(c_uint32), c_char_p, c_size_t),
    ),
}
