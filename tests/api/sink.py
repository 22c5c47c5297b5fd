# SPDX-License-Identifier: Apache-2.0
"""The object sink as a binding uses it: CPython through ctypes, the library loaded twice, with and
without the interpreter's lock kept. test_sink_python.c runs each function below as a test.

usage: sink.py LIBRARY TEST
"""

import ctypes
import sys
import threading


class Miss:
    """The object for a miss."""


MISS = Miss()
WRITE_NO_REMOTE = 4


class Library:
    """Calls that may wait give the interpreter's lock up (`plain`), those that cannot keep it."""

    def __init__(self, path):
        self.plain = ctypes.CDLL(path)
        self.kept = ctypes.PyDLL(path)
        for name in ("hearth_options_new", "hearth_value_new"):
            getattr(self.plain, name).restype = ctypes.c_void_p
        # Indexing makes a function object of our own. No argtypes: they are checked in get().
        self.get_with = self.kept["hearth_get_with"]
        self.get_with.restype = ctypes.py_object
        self.peek_version = self.kept["hearth_peek_version"]

    def open(self, make=ctypes.pythonapi.PyBytes_FromStringAndSize, settings=()):
        options = ctypes.c_void_p(self.plain.hearth_options_new())
        status = self.plain.hearth_options_set_sink(
            options,
            ctypes.cast(make, ctypes.c_void_p),
            ctypes.cast(ctypes.pythonapi.Py_IncRef, ctypes.c_void_p),
            ctypes.c_void_p(id(MISS)),
        )
        assert status == 0
        for name, value in settings:
            assert self.plain.hearth_options_set(options, name, value) == 0
        cache = ctypes.c_void_p()
        assert self.plain.hearth_open(options, ctypes.byref(cache)) == 0
        self.plain.hearth_options_free(options)
        return Cache(self, cache)


class Cache:
    """A few calls of the library, as a binding would wrap them."""

    def __init__(self, library, handle):
        self.library = library
        self.handle = handle

    def __enter__(self):
        return self

    def __exit__(self, *_):
        assert self.library.plain.hearth_close(self.handle) == 0

    def get(self, key):
        if key.__class__ is not bytes:
            raise TypeError("a key is bytes")
        return self.library.get_with(self.handle, key, len(key))

    def set(self, key, value):
        size = ctypes.c_size_t
        return self.library.plain.hearth_set(
            self.handle, key, size(len(key)), value, size(len(value)), None
        )

    def delete(self, key):
        return self.library.plain.hearth_delete(self.handle, key, ctypes.c_size_t(len(key)), None)

    def version(self, key):
        version = ctypes.c_uint64()
        status = self.library.peek_version(self.handle, key, len(key), ctypes.byref(version))
        return version.value if status == 0 else None


# ---- tests -----------------------------------------------------------------------------------


def a_hit_is_bytes_and_a_miss_the_sentinel(library):
    with library.open() as cache:
        for value in (b"", b"x", b"\0a\0", bytes(range(256)) * 16, b"y" * 4097, b"z" * 500000):
            assert cache.set(b"key", value) == 0
            assert cache.get(b"key") == value
            assert cache.get(b"key").__class__ is bytes
        assert cache.get(b"other") is MISS
        assert cache.get(b"") is MISS
        assert cache.get(b"k" * 32769) is MISS
        assert cache.delete(b"key") == 0
        assert cache.get(b"key") is MISS


def no_reference_is_lost_or_kept(library):
    with library.open() as cache:
        cache.set(b"key", b"v" * 100)
        before = sys.getrefcount(MISS)
        misses = [cache.get(b"other") for _ in range(1000)]
        assert sys.getrefcount(MISS) == before + 1000
        del misses
        assert sys.getrefcount(MISS) == before
        value = cache.get(b"key")
        assert value is not cache.get(b"key")
        fresh = b"v" * 99 + bytes([value[0]])
        assert sys.getrefcount(value) == sys.getrefcount(fresh)
        assert sys.getrefcount(MISS) == before


def an_exception_of_make_is_raised(library):
    with library.open(make=ctypes.pythonapi.PyUnicode_FromStringAndSize) as cache:
        cache.set(b"text", "größer".encode())
        cache.set(b"bytes", b"\xff\xfe")
        assert cache.get(b"text") == "größer"
        try:
            cache.get(b"bytes")
        except UnicodeDecodeError:
            pass
        else:
            raise AssertionError("nothing was raised")
        assert cache.get(b"text") == "größer"
        assert cache.get(b"other") is MISS


def make_may_be_python_and_read_again(library):
    seen = []

    @ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.c_ssize_t)
    def make(data, size):
        if size == 1:
            return ctypes.string_at(data, size)
        before = ctypes.string_at(data, size)
        seen.append((cache.get(b"inner"), cache.get(b"none")))
        assert ctypes.string_at(data, size) == before
        return [before]

    with library.open(make=make) as cache:
        cache.set(b"inner", b"i")
        for size in (100, 5000, 100000):
            cache.set(b"outer", b"o" * size)
            assert cache.get(b"outer") == [b"o" * size]
        assert seen == [(b"i", MISS)] * 3


def a_version_tells_whether_a_decoded_object_is_good(library):
    with library.open() as cache:
        assert cache.version(b"key") is None
        cache.set(b"key", b"one")
        first = cache.version(b"key")
        assert first and cache.version(b"key") == first
        cache.set(b"key", b"two")
        assert cache.version(b"key") not in (first, None)
        cache.delete(b"key")
        assert cache.version(b"key") is None


def readers_with_the_lock_and_writers_without_get_along(library):
    """Were a reader, who keeps the interpreter's lock, to wait for a writer, all would stand still."""
    keys = [b"key%d" % i for i in range(8)]
    wrong = []
    settings = [(b"local.max_bytes", b"1mb"), (b"local.max_entry_bytes", b"100kb")]
    hits = dict.fromkeys(range(2), 0)
    done = threading.Event()

    with library.open(settings=settings) as cache:

        def write(seed):
            number = seed
            while not done.is_set():
                number += 1
                size = number * 7919 % 9000 + 1
                cache.set(keys[number % 8], bytes([number % 256]) * size)

        def read(index):
            turn = 0
            while hits[index] < 20000:
                turn += 1
                value = cache.get(keys[turn % 8])
                if value is not MISS:
                    hits[index] += 1
                    if value.count(value[:1]) != len(value):
                        wrong.append(value)
                cache.version(keys[turn % 8])

        writers = [threading.Thread(target=write, args=(seed,)) for seed in (0, 1000)]
        readers = [threading.Thread(target=read, args=(index,)) for index in hits]
        for thread in writers + readers:
            thread.start()
        for thread in readers:
            thread.join()
        done.set()
        for thread in writers:
            thread.join()
    assert not wrong


def main():
    library = Library(sys.argv[1])
    globals()[sys.argv[2]](library)


if __name__ == "__main__":
    main()
