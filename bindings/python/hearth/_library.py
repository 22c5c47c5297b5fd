# SPDX-License-Identifier: Apache-2.0
"""Finds libhearth, loads it, and refuses one that does not fit.

In this order: the file that HEARTH_LIBRARY names, and then nothing else; the file that lies in this
package; the system's, by its soname.
"""

import ctypes
import itertools
import os
from typing import Any, Iterator, List, Tuple

from . import _abi, _tables
from .errors import LibraryNotFoundError, VersionMismatchError

SONAME = f"libhearth.so.{_tables.ABI_VERSION}"


class _Where(ctypes.Structure):
    """Dl_info of dladdr(3)."""

    _fields_ = [
        ("file", ctypes.c_char_p),
        ("base", ctypes.c_void_p),
        ("symbol", ctypes.c_char_p),
        ("address", ctypes.c_void_p),
    ]


def candidates() -> Iterator[str]:
    """What is tried, in order."""
    named = os.environ.get("HEARTH_LIBRARY")
    if named:
        yield named
        return
    bundled = os.path.join(os.path.dirname(os.path.abspath(__file__)), SONAME)
    if os.path.exists(bundled):
        yield bundled
    yield SONAME


def load() -> Tuple[ctypes.CDLL, str]:
    """The library and the path of its file."""
    wrong: List[str] = []
    for name in candidates():
        try:
            library = ctypes.CDLL(name)
        except OSError as error:
            wrong.append(str(error) if name in str(error) else f"{name}: {error}")
            continue
        path = path_of(library, name)
        check(library, path)
        return library, path
    raise LibraryNotFoundError(
        "libhearth was not found: "
        + "; ".join(wrong)
        + ". HEARTH_LIBRARY can name the file; it needs libhiredis, libmemcached and libhashkit."
    )


def path_of(library: ctypes.CDLL, name: str) -> str:
    """Where the system found what was loaded as `name`."""
    try:
        symbol = ctypes.cast(library.hearth_version, ctypes.c_void_p)
        where = _Where()
        if ctypes.CDLL(None).dladdr(symbol, ctypes.byref(where)) and where.file:
            return os.fsdecode(where.file)
    except (AttributeError, OSError):
        pass
    return name


def numbers(version: str) -> Tuple[int, ...]:
    """(0, 1, 0) of "0.1.0"."""
    return tuple(int(part) for part in version.split("."))


def check(library: Any, path: str) -> None:
    """The same ABI, not older than what this package was made for, and the tables agree. A newer
    library of the same ABI knows more, and what it knows besides is not asked for."""
    try:
        library.hearth_version.restype = ctypes.c_char_p
        library.hearth_status_name.restype = ctypes.c_char_p
        version = library.hearth_version().decode()
        abi = library.hearth_abi_version()
    except AttributeError:
        raise VersionMismatchError(f"{path} is no libhearth: it has no hearth_version") from None
    if abi != _tables.ABI_VERSION or numbers(version) < numbers(_tables.VERSION):
        raise VersionMismatchError(
            f"{path} is libhearth {version} with ABI {abi}; this package needs at least "
            f"{_tables.VERSION} with ABI {_tables.ABI_VERSION}"
        )
    wrong = list(itertools.islice(differences(library), 5))
    if wrong:
        raise VersionMismatchError(
            f"{path} says that it is libhearth {version}, but not {', '.join(wrong)} as this "
            f"package, made for {_tables.VERSION}"
        )


def differences(library: Any) -> Iterator[str]:
    """What the library numbers or lays out in another way, as far as that is told without a cache."""
    for name, value in _tables.STATUSES.items():
        if library.hearth_status_name(value) != b"HEARTH_" + name.encode():
            yield f"HEARTH_{name} = {value}"
    missing = [name for name in _abi.PROTOTYPES if not hasattr(library, name)]
    if missing:
        yield from (f"{name}()" for name in missing)
        return
    read, write = _abi.ReadOptions(), _abi.WriteOptions()
    library.hearth_read_options_init(ctypes.byref(read), ctypes.c_size_t(ctypes.sizeof(read)))
    if (read.size, read.max_stale_ms) != (ctypes.sizeof(read), _tables.STALE_ANY):
        yield "struct hearth_read_options"
    library.hearth_write_options_init(ctypes.byref(write), ctypes.c_size_t(ctypes.sizeof(write)))
    if (write.size, write.ttl_ms, write.soft_ttl_ms) != (ctypes.sizeof(write), -1, -1):
        yield "struct hearth_write_options"


lib, path = load()
for _name, (_result, _arguments) in _abi.PROTOTYPES.items():
    _function = getattr(lib, _name)
    _function.restype, _function.argtypes = _result, _arguments


def kept(name: str, restype: Any) -> Any:
    """A function that is called with the interpreter's lock kept: only what never waits, and is
    short. It has no argument types: who calls it has checked what it gives."""
    function = ctypes.PyDLL(path)[name]
    function.restype = restype
    return function


def unchecked(name: str) -> Any:
    """A function that is called without the interpreter's lock, likewise without argument types."""
    function = lib[name]
    function.restype = ctypes.c_int32
    return function
