# SPDX-License-Identifier: Apache-2.0
"""Functions of the library that are functions of the interpreter: a call of one takes no argument apart
and keeps the interpreter's lock, which costs a third of the same call by ctypes.

They never wait. What they are made of is never freed: a function may outlive this module when the
interpreter ends. Another interpreter than CPython has the same functions by ctypes.
"""

import ctypes
import sys
from typing import Any, Callable, Dict, List, Optional, Tuple

from . import _abi
from ._library import kept, lib

_get_with = kept("hearth_get_with", ctypes.py_object)
peek_version = kept("hearth_peek_version", ctypes.c_int32)

_ONE_ARGUMENT, _ANY_ARGUMENTS, _AND_NAMED = 0x0008, 0x0080, 0x0002  # METH_O, METH_FASTCALL, METH_KEYWORDS

#: (the value of a text key or the object for a miss; whether all these probes are current)
Functions = Tuple[Callable[[str], Any], Callable[..., bool]]


class _Definition(ctypes.Structure):
    """PyMethodDef."""

    _fields_ = [
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("text", ctypes.c_char_p),
    ]


def probe_of(version: int, raw: bytes) -> bytes:
    """What current() is asked with."""
    return version.to_bytes(8, sys.byteorder) + raw


def _by_ctypes(address: ctypes.c_void_p, nothing: Any) -> Functions:
    cell = ctypes.c_uint64

    def get_text(key: str) -> Any:
        raw = key.encode()
        # What is cut to 32 bits on its way might be another key.
        return _get_with(address, raw, len(raw)) if len(raw) <= 32768 else nothing

    def current(*probes: bytes) -> bool:
        for probe in probes:
            version, raw = cell(), probe[8:]
            if peek_version(address, raw, len(raw), ctypes.byref(version)):
                return False
            if version.value != int.from_bytes(probe[:8], sys.byteorder):
                return False
        return True

    return get_text, current


def _interpreter() -> _abi.Interpreter:
    """CPython's functions."""
    api = ctypes.pythonapi

    def place(function: Any) -> Any:
        return ctypes.cast(function, ctypes.c_void_p)

    return _abi.Interpreter(
        ctypes.sizeof(_abi.Interpreter),
        place(api.PyCapsule_GetPointer),
        place(api.PyUnicode_AsUTF8AndSize),
        place(api.PyBytes_AsStringAndSize),
        place(api.Py_IncRef),
        id(True),
        id(False),
        *_of_finding(),
    )


def _of_finding() -> List[Any]:
    """Those of the interpreter's functions that hearth_object_find() needs; nothing where one is missing, or
    where threads run at once: an object that nobody has retained is theirs to free then."""
    api = ctypes.pythonapi
    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        return []
    try:
        functions = [
            getattr(api, name)
            for name in (
                "Py_DecRef", "PyObject_Type", "PyDict_GetItemWithError", "PyTuple_Size",
                "PyTuple_GetItem", "PyObject_Vectorcall", "PyObject_SetItem",
            )
        ]  # fmt: skip
    except AttributeError:
        return []
    places: List[Any] = [ctypes.cast(each, ctypes.c_void_p) for each in functions]
    return [*places[:2], id(str), *places[2:]]


def _definition(name: bytes, function: Any, flags: int, text: Optional[bytes] = None) -> _Definition:
    made = _Definition(name, ctypes.cast(function, ctypes.c_void_p), flags, text)
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(made))
    return made


def _prototypes() -> Tuple[Any, Any]:
    new_capsule = ctypes.pythonapi["PyCapsule_New"]
    new_capsule.restype = ctypes.py_object
    new_capsule.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
    new_function = ctypes.pythonapi["PyCFunction_NewEx"]
    new_function.restype = ctypes.py_object
    new_function.argtypes = [ctypes.c_void_p, ctypes.py_object, ctypes.py_object]
    return new_capsule, new_function


def _maker() -> Tuple[Callable[[ctypes.c_void_p, Any], Functions], Callable[..., Any]]:
    if sys.implementation.name != "cpython":
        return _by_ctypes, _otherwise
    interpreter = _interpreter()
    if lib.hearth_set_interpreter(interpreter) != 0:
        return _by_ctypes, _otherwise  # another one was named in this process
    new_capsule, new_function = _prototypes()
    get = _definition(b"get_text", lib.hearth_object_get, _ONE_ARGUMENT)
    current = _definition(b"current", lib.hearth_object_current, _ANY_ARGUMENTS)
    finds: Dict[Tuple[str, str], _Definition] = {}

    def make(address: ctypes.c_void_p, _: Any) -> Functions:
        capsule = new_capsule(ctypes.addressof(address), None, None)
        # The address is given as the function's module, which it keeps as long as it lasts.
        first, second = (
            new_function(ctypes.addressof(each), capsule, address) for each in (get, current)
        )
        return first, second

    def make_finder(
        address: ctypes.c_void_p, table: "Table", function: Callable[..., Any], signature: str
    ) -> Callable[..., Any]:
        name, text = function.__name__, f"{function.__name__}{signature}\n--\n\n{function.__doc__}"
        if (name, text) not in finds:
            flags = _ANY_ARGUMENTS | _AND_NAMED
            finds[name, text] = _definition(
                name.encode(), lib.hearth_object_find, flags, text.encode()
            )
        capsule = new_capsule(ctypes.addressof(address), None, None)
        row = capsule, table, function, address
        finder: Callable[..., Any] = new_function(
            ctypes.addressof(finds[name, text]), row, function.__module__
        )
        return finder

    return make, make_finder if interpreter.find else _otherwise


def _otherwise(_: Any, __: Any, function: Callable[..., Any], ___: str) -> Callable[..., Any]:
    return function


class Table(Dict[str, Tuple[Any, ...]]):
    """Decoded objects by text. An entry: two probes, the object; or two probes, None, what makes a copy, and,
    by twos, a place in that and what makes the part for it."""

    __slots__ = ("__weakref__",)


#: of a cache: its address, which is followed wherever it leads to, and the object for a miss;
#: of a table: an address too, the table, what is called if that has no current entry for the first argument, and
#: the signature of both
functions_of: Callable[[ctypes.c_void_p, Any], Functions]
finder_of: Callable[[ctypes.c_void_p, Table, Callable[..., Any], str], Callable[..., Any]]
functions_of, finder_of = _maker()
