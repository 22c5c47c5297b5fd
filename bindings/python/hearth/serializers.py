# SPDX-License-Identifier: Apache-2.0
"""How values become bytes, and what a value's content word says of them.

The content word that Hearth keeps with each value says how its bytes are to be read, so that a
reader never guesses: bits 0 to 7 are the format, bits 8 to 15 the compression, the rest is 0.

====== ================================== ===========
format bytes                              compression
====== ================================== ===========
0      as they are                        0 none
1      text in UTF-8                      1 zlib
2      JSON in UTF-8                      2 zstd
3      msgpack                            3 lz4
4      signed pickle                      -
====== ================================== ===========

Bytes and text are stored as they are whatever the serializer, all else by the serializer. A value
whose format a cache does not accept is a miss, and counted (`Stats.refused_values`): that a value
says it is a pickle does not make anybody unpickle it.
"""

import copy
import hashlib
import hmac
import importlib
import json
import pickle
import zlib
from typing import Any, Callable, Dict, Iterable, Optional, Protocol, Sequence, Tuple, Union

from .errors import ConfigError, SerializationError

BYTES, TEXT, JSON_FORMAT, MSGPACK_FORMAT, PICKLE_FORMAT = range(5)


class Serializer(Protocol):
    """One format. `loads` may raise anything for bytes that are not its own: the value is then a
    miss. A format of an application's own takes a number from 128 to 255. With a true attribute
    `takes_all` it is given bytes and str too."""

    format: int

    def dumps(self, value: Any) -> bytes:
        """The bytes of a value; raises if it would not come back as it is."""

    def loads(self, data: bytes) -> Any:
        """The value of bytes that `dumps` made."""


# ---- JSON ------------------------------------------------------------------------------------

_SCALARS = frozenset((str, int, float, bool, type(None)))
_to_json = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
_from_json = json.JSONDecoder().decode


def refuse_what_changes(value: Any) -> None:
    """Raises TypeError for what JSON would give back as something else."""
    waiting = [value]
    while waiting:
        each = waiting.pop()
        kind = type(each)
        if kind is dict:
            for key in each:
                if type(key) is not str:
                    raise TypeError(f"JSON has no keys of {type(key).__name__}: {key!r}")
            waiting.extend(each.values())
        elif kind is list:
            waiting.extend(each)
        elif kind not in _SCALARS:
            raise TypeError(f"JSON would not give {kind.__name__} back as it is: {each!r:.80}")


class Json:
    """Strict JSON, the default: dict with str keys, list, str, int, float, bool, None, and nothing
    else. A tuple, a set, NaN, a subclass of dict is a TypeError instead of coming back different."""

    format = JSON_FORMAT

    def dumps(self, value: Any) -> bytes:
        """UTF-8, without blanks."""
        text = _to_json(value)  # first: it ends where a list contains itself
        if type(value) not in _SCALARS:
            refuse_what_changes(value)
        return text.encode()

    def loads(self, data: bytes) -> Any:
        """The value of a JSON document."""
        return _from_json(str(data, "utf-8"))


# ---- msgpack ---------------------------------------------------------------------------------


class Msgpack:
    """msgpack, as strict as Json; bytes inside are allowed too. It needs the package msgpack."""

    format = MSGPACK_FORMAT

    def __init__(self) -> None:
        try:
            msgpack = importlib.import_module("msgpack")
        except ImportError as error:
            raise ConfigError("serializer='msgpack' needs the package msgpack") from error
        self._pack: Callable[..., bytes] = msgpack.packb
        self._unpack: Callable[..., Any] = msgpack.unpackb

    def dumps(self, value: Any) -> bytes:
        """strict_types: no subclass and no tuple is taken for what it is like."""
        return self._pack(value, use_bin_type=True, strict_types=True)

    def loads(self, data: bytes) -> Any:
        """The value; map keys may be of any kind that dumps takes."""
        return self._unpack(data, raw=False, strict_map_key=False)


# ---- pickle ----------------------------------------------------------------------------------

_MAC_BYTES = 32


class SignedPickle:
    """pickle, each value signed together with its key: HMAC-SHA256.

    Who can make a pickle that is loaded can run code here, and everybody who can write to the cache
    server could. So the signature is checked before anything is unpickled or unpacked; it covers
    key, format and bytes, so that no value can be replayed under another key. `secret` is at least
    16 bytes, kept out of the cache server; of several secrets the first signs and all are accepted,
    so that a secret can be changed while the servers run.
    """

    format = PICKLE_FORMAT

    def __init__(self, secret: Union[bytes, Sequence[bytes]], protocol: int = 4) -> None:
        secrets = [secret] if isinstance(secret, bytes) else list(secret)
        if not secrets or any(type(each) is not bytes or len(each) < 16 for each in secrets):
            raise ConfigError("a secret for pickle must be at least 16 bytes")
        self._secrets = secrets
        self._protocol = protocol

    def dumps(self, value: Any) -> bytes:
        """The pickle, not signed yet."""
        return pickle.dumps(value, self._protocol)

    def loads(self, data: bytes) -> Any:
        """The value of a pickle whose signature was good."""
        return pickle.loads(data)

    def _mac(self, secret: bytes, key: bytes, content: int, data: bytes) -> bytes:
        mac = hmac.new(secret, b"hearth 1 %d %d " % (content, len(key)), hashlib.sha256)
        mac.update(key)
        mac.update(data)
        return mac.digest()

    def seal(self, key: bytes, content: int, data: bytes) -> bytes:
        """The bytes with their signature in front."""
        return self._mac(self._secrets[0], key, content, data) + data

    def unseal(self, key: bytes, content: int, data: bytes) -> bytes:
        """The bytes behind a signature that is good; ValueError."""
        mac, body = data[:_MAC_BYTES], data[_MAC_BYTES:]
        # All are compared, so that the time does not tell which one it was.
        good = [hmac.compare_digest(mac, self._mac(s, key, content, body)) for s in self._secrets]
        if not any(good):
            raise ValueError("the signature does not match")
        return body


# ---- compression -----------------------------------------------------------------------------


class Compression(Protocol):
    """One way to make bytes fewer. `expand` must not give more than `most` bytes: ValueError."""

    number: int

    def shrink(self, data: bytes) -> bytes:
        """The bytes, compressed."""

    def expand(self, data: bytes, most: int) -> bytes:
        """The bytes that `shrink` was given."""


class Zlib:
    """zlib, which is always there."""

    number = 1

    def shrink(self, data: bytes) -> bytes:
        """At level 6 of zlib."""
        return zlib.compress(data)

    def expand(self, data: bytes, most: int) -> bytes:
        """Refuses what is cut, or too long."""
        engine = zlib.decompressobj()
        whole = engine.decompress(data, most + 1)
        if not engine.eof or engine.unused_data or len(whole) > most:
            raise ValueError("not a whole zlib stream of the allowed size")
        return whole


class Zstd:
    """zstd; it needs the package zstandard."""

    number = 2

    def __init__(self) -> None:
        self._zstd = importlib.import_module("zstandard")

    def shrink(self, data: bytes) -> bytes:
        """At zstd's usual level. The objects of zstandard belong to one thread, so they are new."""
        return bytes(self._zstd.ZstdCompressor().compress(data))

    def expand(self, data: bytes, most: int) -> bytes:
        """The size is in the frame, and looked at first."""
        size = self._zstd.frame_content_size(data)
        if not 0 <= size <= most:
            raise ValueError("not a zstd frame of the allowed size")
        return bytes(self._zstd.ZstdDecompressor().decompress(data))


class Lz4:
    """lz4's block format, the size in 4 bytes before it; it needs the package lz4."""

    number = 3

    def __init__(self) -> None:
        self._block = importlib.import_module("lz4.block")

    def shrink(self, data: bytes) -> bytes:
        """With the size in front."""
        return bytes(self._block.compress(data, store_size=True))

    def expand(self, data: bytes, most: int) -> bytes:
        """The size is looked at first."""
        if int.from_bytes(data[:4], "little") > most:
            raise ValueError("larger than allowed")
        return bytes(self._block.decompress(data))


_COMPRESSIONS: Dict[str, Callable[[], Compression]] = {"zlib": Zlib, "zstd": Zstd, "lz4": Lz4}


def compression_of(name: str) -> Compression:
    """Of its name; ConfigError."""
    if name not in _COMPRESSIONS:
        raise ConfigError(f"compression={name!r}: one of {', '.join(_COMPRESSIONS)}, or None")
    try:
        return _COMPRESSIONS[name]()
    except ImportError as error:
        raise ConfigError(f"compression={name!r} needs its package: {error}") from error


def known_compressions() -> Dict[int, Compression]:
    """All that can be expanded here, by number."""
    found: Dict[int, Compression] = {}
    for make in _COMPRESSIONS.values():
        try:
            compression = make()
        except ImportError:
            continue
        found[compression.number] = compression
    return found


def serializer_of(
    given: Union[str, Serializer], secret: Union[bytes, Sequence[bytes], None] = None
) -> Serializer:
    """Of "json", "msgpack" or "pickle" (with its secret), or an object of one's own; ConfigError."""
    if not isinstance(given, str):
        number = getattr(given, "format", None)
        if type(number) is not int or not 0 <= number <= 255:
            raise ConfigError("a serializer's format is a number from 0 to 255")
        if number in (BYTES, TEXT):
            raise ConfigError("formats 0 and 1 are bytes and text, which need no serializer")
        return given
    if given == "json":
        return Json()
    if given == "msgpack":
        return Msgpack()
    if given == "pickle":
        if secret is None:
            raise ConfigError("serializer='pickle' needs secret=: who can write to the cache "
                              "server could else run code here")
        return SignedPickle(secret)
    raise ConfigError(f"serializer={given!r}: one of json, msgpack, pickle, or an object")


# ---- all together ----------------------------------------------------------------------------


class Codec:
    """What a cache stores of a value, and the value of what it finds."""

    def __init__(
        self,
        serializer: Serializer,
        accepted: Iterable[Serializer],
        compression: Optional[Compression],
        compress_over: int,
        most_bytes: int,
        prefix: bytes,
    ) -> None:
        self._serializer = serializer
        self._takes_all = bool(getattr(serializer, "takes_all", False))
        self._readers: Dict[int, Serializer] = {}
        for each in (Json(), *accepted, serializer):
            self._readers[each.format] = each
        self._compression = compression
        self._compress_over = compress_over
        self._expanders = known_compressions()
        self._most_bytes = most_bytes
        self._prefix = prefix

    def within(self, space: bytes) -> "Codec":
        """The same for the keys of a namespace: what is sealed for one of them is no other key's value."""
        own = copy.copy(self)
        own._prefix = self._prefix + b"\x89" + space + b" "
        return own

    def encode(self, key: bytes, value: Any) -> Tuple[bytes, int]:
        """The bytes and their content word; SerializationError."""
        if self._takes_all:
            data, content = self._dump(value), self._serializer.format
            sealer = getattr(self._serializer, "seal", None)
        elif type(value) is bytes:
            data, content, sealer = value, BYTES, None
        elif type(value) is str:
            data, content, sealer = self._text(value), TEXT, None
        else:
            data, content = self._dump(value), self._serializer.format
            sealer = getattr(self._serializer, "seal", None)
        if self._compression is not None and len(data) > self._compress_over:
            fewer = self._compression.shrink(data)
            if len(fewer) < len(data):
                data, content = fewer, content | self._compression.number << 8
        return (data if sealer is None else sealer(self._prefix + key, content, data)), content

    def _text(self, value: str) -> bytes:
        try:
            return value.encode()
        except UnicodeEncodeError as error:
            raise SerializationError(f"text that is no UTF-8: {error}") from error

    def _dump(self, value: Any) -> bytes:
        try:
            return self._serializer.dumps(value)
        except Exception as error:
            name = type(self._serializer).__name__
            raise SerializationError(f"{name} cannot store this: {error}") from error

    def decode(self, key: bytes, data: bytes, content: int) -> Any:
        """The value; any exception means that it is not to be had."""
        kind, packing = content & 255, content >> 8
        reader = None
        if kind > TEXT:
            reader = self._readers[kind]
            unseal = getattr(reader, "unseal", None)
            if unseal is not None:
                data = unseal(self._prefix + key, content, data)
        if packing:
            data = self._expanders[packing].expand(data, self._most_bytes)
        if reader is not None:
            return reader.loads(data)
        return data if kind == BYTES else str(data, "utf-8")
