# SPDX-License-Identifier: Apache-2.0
"""The C structs and prototypes that the binding uses. tests/test_abi.py compares them with the
headers; what of the headers is numbers and names is in _tables.py."""

import ctypes
from ctypes import (
    POINTER,
    Structure,
    c_char,
    c_char_p,
    c_int,
    c_int32,
    c_int64,
    c_size_t,
    c_ssize_t,
    c_ubyte,
    c_uint32,
    c_uint64,
    c_void_p,
)
from typing import Any, Dict, Tuple

from . import _tables


class Interpreter(Structure):
    """hearth_interpreter"""

    _fields_ = [
        ("size", c_size_t),
        ("place_of", c_void_p),
        ("text_of", c_void_p),
        ("bytes_of", c_void_p),
        ("retain", c_void_p),
        ("yes", c_void_p),
        ("no", c_void_p),
        ("release", c_void_p),
        ("class_of", c_void_p),
        ("text_class", c_void_p),
        ("find", c_void_p),
        ("count", c_void_p),
        ("item", c_void_p),
        ("call", c_void_p),
        ("put", c_void_p),
    ]


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
        ("tags", c_void_p),
        ("tag_sizes", c_void_p),
        ("tag_count", c_size_t),
    ]


class Operation(Structure):
    """hearth_operation"""

    _fields_ = [
        ("size", c_size_t),
        ("verb", c_uint32),
        ("reserved", c_uint32),
        ("count", c_size_t),
        ("key", c_char_p),
        ("key_size", c_size_t),
        ("data", c_char_p),
        ("data_size", c_size_t),
        ("value", c_void_p),
        ("keys", c_void_p),
        ("key_sizes", c_void_p),
        ("datas", c_void_p),
        ("data_sizes", c_void_p),
        ("values", c_void_p),
        ("statuses", c_void_p),
        ("loader", c_void_p),
        ("read", c_void_p),
        ("write", c_void_p),
        ("tag", c_void_p),
        ("delta", c_int64),
    ]


class Result(Structure):
    """hearth_result"""

    _fields_ = [
        ("size", c_size_t),
        ("ticket", c_uint64),
        ("tag", c_void_p),
        ("value", c_void_p),
        ("status", c_int32),
        ("verb", c_uint32),
        ("number", c_int64),
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
    "hearth_interpreter": Interpreter,
    "hearth_info": Info,
    "hearth_read_options": ReadOptions,
    "hearth_write_options": WriteOptions,
    "hearth_operation": Operation,
    "hearth_result": Result,
    "hearth_option_info": OptionInfo,
    "hearth_log_record": LogRecord,
    "hearth_hot_key": HotKey,
    "hearth_stats": Stats,
}

GuardIterator = ctypes.CFUNCTYPE(c_int32, c_void_p, POINTER(c_void_p), POINTER(c_size_t))

Writer = ctypes.CFUNCTYPE(c_int32, c_void_p, c_void_p, c_size_t, c_void_p, c_size_t)

_STATUS = c_int32
_CACHE = _VALUE = _OPTIONS = _FILL = _DATA = _QUEUE = c_void_p
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
    "hearth_fill_tag": (_STATUS, (_FILL, *_KEY)),
    "hearth_invalidate_tag": (_STATUS, (_CACHE, *_KEY, _WRITE)),
    "hearth_namespace_open": (_STATUS, (_CACHE, *_KEY, POINTER(c_void_p))),
    "hearth_namespace_bump": (_STATUS, (_CACHE, _WRITE)),
    "hearth_clear": (_STATUS, (_CACHE,)),
    "hearth_mark_stale": (_STATUS, (_CACHE, *_KEY, _WRITE)),
    "hearth_fill_stale": (_STATUS, (_FILL, POINTER(c_void_p), POINTER(c_size_t), POINTER(Info))),
    "hearth_fill_unchanged": (_STATUS, (_FILL,)),
    "hearth_write_through": (
        _STATUS,
        (_CACHE, *_KEY, c_char_p, c_size_t, Writer, c_void_p, _WRITE),
    ),
    "hearth_touch": (_STATUS, (_CACHE, *_KEY, _WRITE)),
    "hearth_increment": (_STATUS, (_CACHE, *_KEY, c_int64, POINTER(c_int64), _WRITE)),
    "hearth_evict_local": (_STATUS, (_CACHE, *_KEY)),
    "hearth_get_many": (_STATUS, (_CACHE, *_KEYS, _READ, c_void_p, c_void_p)),
    "hearth_set_many": (_STATUS, (_CACHE, *_KEYS, c_void_p, c_void_p, _WRITE, c_void_p)),
    "hearth_delete_many": (_STATUS, (_CACHE, *_KEYS, _WRITE, c_void_p)),
    "hearth_operation_init": (None, (POINTER(Operation), c_size_t)),
    "hearth_queue_open": (_STATUS, (_CACHE, POINTER(c_void_p))),
    "hearth_queue_close": (_STATUS, (_QUEUE, c_void_p, c_void_p)),
    "hearth_submit": (_STATUS, (_QUEUE, POINTER(Operation), POINTER(c_uint64))),
    "hearth_cancel": (_STATUS, (_QUEUE, c_uint64)),
    "hearth_collect": (_STATUS, (_QUEUE, c_void_p, c_size_t, c_int64, POINTER(c_size_t))),
    "hearth_event_fd": (_STATUS, (_QUEUE, POINTER(c_int))),
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
    "hearth_set_interpreter": (_STATUS, (POINTER(Interpreter),)),
    "hearth_object_get": (c_void_p, (c_void_p, c_void_p)),
    "hearth_object_current": (c_void_p, (c_void_p, c_void_p, c_ssize_t)),
    "hearth_object_find": (c_void_p, (c_void_p, c_void_p, c_ssize_t, c_void_p)),
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
