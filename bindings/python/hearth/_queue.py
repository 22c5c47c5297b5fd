# SPDX-License-Identifier: Apache-2.0
"""What event loops ask of the library: operations go into a queue of the loop's own, and results come
when its descriptor is readable. No thread of Python's is needed, and none of the library's runs Python.

All methods of a loop's queue are called on that loop's thread, or when the loop does not run.
"""

import asyncio
import collections
import contextlib
import ctypes
import struct
import threading
import weakref
from typing import Any, Deque, Dict, List, Optional, Union

from . import _abi, _tables
from ._handle import OK, Call, Handle, View, check, error_of, value_size
from ._library import kept, lib
from ._reads import array_of, key_arrays
from .errors import ClosedError

# They take short locks, behind which nobody waits for the interpreter's.
_submit = kept("hearth_submit", ctypes.c_int32)
_collect = kept("hearth_collect", ctypes.c_int32)

_CLOSED = _tables.STATUSES["E_CLOSED"]
_OVERLOAD = _tables.STATUSES["E_OVERLOAD"]

#: hearth_result: size, ticket, tag, value, status, verb, number
_RESULT = struct.Struct("NQPPiIq")

#: results that are taken at once, before the loop's other callbacks have their turn
_MOST_RESULTS = 256
_CAPACITY = ctypes.c_size_t(_MOST_RESULTS)
_AT_ONCE = ctypes.c_int64(0)

#: operations of one key that are kept for the next one
_MOST_KEPT = 256

#: a value object whose buffer grew beyond this is not kept
_LARGE_BYTES = 1 << 16


class Operation(Call):
    """One operation, and what it needs until its result is there."""

    __slots__ = ("future", "held", "number", "request", "request_ref", "ticket", "ticket_ref")

    def __init__(self) -> None:
        super().__init__()
        self.request = _abi.Operation()
        lib.hearth_operation_init(self.request, ctypes.sizeof(self.request))
        self.request.value = self.value
        self.request.write = ctypes.addressof(self.write)
        self.request_ref = ctypes.byref(self.request)
        self.ticket = ctypes.c_uint64()
        self.ticket_ref = ctypes.byref(self.ticket)
        self.future: Optional["asyncio.Future[int]"] = None
        self.held: Any = None
        self.number = 0

    def one(self, verb: int, raw: bytes, has_read_options: bool = False) -> None:
        """It is about one key; its options are those that reading() or writing() set."""
        request = self.request
        request.verb, request.key, request.key_size = verb, raw, len(raw)
        request.read = ctypes.addressof(self.read) if has_read_options else None

    def stores(self, data: bytes) -> None:
        """What it writes."""
        self.request.data, self.request.data_size = data, len(data)

    def many(
        self, verb: int, raws: List[bytes], datas: Optional[List[bytes]], calls: List[Call]
    ) -> Any:
        """It is about several keys: reads into as many `calls`, or writes `datas`. Their statuses."""
        request, count = self.request, len(raws)
        keys, sizes = key_arrays(raws)
        statuses = array_of(ctypes.c_int32, count)
        held = [raws, keys, sizes, statuses, datas, calls]
        request.verb, request.count = verb, count
        request.keys, request.key_sizes = ctypes.addressof(keys), ctypes.addressof(sizes)
        request.statuses = ctypes.addressof(statuses)
        if datas is not None:
            data, data_sizes = key_arrays(datas)
            request.datas, request.data_sizes = ctypes.addressof(data), ctypes.addressof(data_sizes)
            held += [data, data_sizes]
        if calls:
            values = array_of(ctypes.c_void_p, count)
            for at, call in enumerate(calls):
                values[at] = call.value.value
            request.values = ctypes.addressof(values)
            held.append(values)
        self.held = held
        return statuses


class LoopQueue:
    """A queue of the library, for one loop at a time."""

    def __init__(self, pointer: int) -> None:
        self.pointer = ctypes.c_void_p(pointer)
        self.loop: Any = None
        self._loop_ref: Any = None
        self._fd = -1
        self._pending: Dict[int, Operation] = {}
        self._free: List[Operation] = []
        self._waiting: Deque["asyncio.Future[None]"] = collections.deque()
        self._results = ctypes.create_string_buffer(_RESULT.size * _MOST_RESULTS)
        _RESULT.pack_into(self._results, 0, _RESULT.size, 0, 0, 0, 0, 0, 0)
        self._taken = memoryview(self._results)
        self._count = ctypes.c_size_t()
        self._count_ref = ctypes.byref(self._count)

    # ---- loops ----

    def belongs_to(self, loop: Any) -> bool:
        """Whether it is this very loop's."""
        return self._loop_ref is not None and self._loop_ref() is loop

    def is_left(self) -> bool:
        """Whether its loop is over: another may have it."""
        loop = self._loop_ref() if self._loop_ref is not None else None
        return loop is None or bool(loop.is_closed())

    def serve(self, loop: Any) -> None:
        """From now on results go to this loop; those of another's operations are dropped."""
        self.forget_loop()
        fd = ctypes.c_int()
        check(lib.hearth_event_fd(self.pointer, ctypes.byref(fd)))
        self._fd = fd.value
        self._loop_ref = weakref.ref(loop)
        loop.add_reader(self._fd, self._drain)

    def forget_loop(self) -> None:
        """Nobody waits for what is under way. Buffers stay until the results are there."""
        self._loop_ref = None
        self._waiting.clear()
        for operation in self._pending.values():
            operation.future = None

    def forget_all(self) -> None:
        """In a forked child: what was submitted is the parent's."""
        self.forget_loop()
        self._pending.clear()

    # ---- operations ----

    def take(self) -> Operation:
        """An operation without a verb. Who has its result gives it back."""
        return self._free.pop() if self._free else Operation()

    def give(self, operation: Operation) -> None:
        """Takes it back, if it is worth that."""
        operation.future = None
        if (
            operation.held is None
            and len(self._free) < _MOST_KEPT
            and operation.request.data_size <= _LARGE_BYTES
            and value_size(operation.value) <= _LARGE_BYTES
        ):
            self._free.append(operation)

    async def ask(self, operation: Operation) -> int:
        """Submits it, and waits for its status. Who is cancelled meanwhile has nothing to give back:
        what has not begun is not done, and else its buffers stay until it is over."""
        if not self.pointer:
            raise ClosedError("the cache is closed")
        status: int = _submit(self.pointer, operation.request_ref, operation.ticket_ref)
        while status == _OVERLOAD and self._pending:
            await self._wait_for_room()
            if not self.pointer:
                raise ClosedError("the cache is closed")
            status = _submit(self.pointer, operation.request_ref, operation.ticket_ref)
        ticket = operation.ticket.value
        if status < 0 or ticket == 0:
            return status
        operation.future = future = asyncio.get_running_loop().create_future()
        self._pending[ticket] = operation
        try:
            answer: int = await future
            return answer
        except BaseException:
            self._forsake(ticket)
            raise

    def _forsake(self, ticket: int) -> None:
        operation = self._pending.get(ticket)
        if operation is None:
            return  # its result was there
        operation.future = None
        if self.pointer and lib.hearth_cancel(self.pointer, ticket) == OK:
            del self._pending[ticket]
            self._let_in(1)

    async def _wait_for_room(self) -> None:
        room: "asyncio.Future[None]" = asyncio.get_running_loop().create_future()
        self._waiting.append(room)
        try:
            await room
        except BaseException:
            if room.done() and not room.cancelled():
                self._let_in(1)  # it is another's turn
            raise

    def _let_in(self, count: int) -> None:
        """So many of those who wait may submit."""
        while count > 0 and self._waiting:
            room = self._waiting.popleft()
            if not room.done():
                room.set_result(None)
                count -= 1

    # ---- results ----

    def _drain(self) -> None:
        """What is there; the loop calls again if there is more."""
        status = self._collected()
        if status == _CLOSED:
            self._leave()

    def _collected(self) -> int:
        status: int = _collect(self.pointer, self._results, _CAPACITY, _AT_ONCE, self._count_ref)
        if status != OK:
            return status
        count = self._count.value
        taken = self._taken[: count * _RESULT.size]
        for _, ticket, _, _, status_of_it, _, number in _RESULT.iter_unpack(taken):
            operation = self._pending.pop(ticket, None)
            if operation is None:
                continue
            future = operation.future
            if future is None or future.done():
                self.give(operation)
            else:
                operation.number = number
                future.set_result(status_of_it)
        self._let_in(count)
        return status

    def _leave(self) -> None:
        """The loop is not asked any more."""
        loop = self._loop_ref() if self._loop_ref is not None else None
        if loop is not None and not loop.is_closed():
            loop.remove_reader(self._fd)

    # ---- the end ----

    def close(self) -> None:
        """When the cache is closed: on the loop's own thread if it runs elsewhere."""
        loop = self._loop_ref() if self._loop_ref is not None else None
        if loop is not None and loop.is_running() and loop is not _running_loop():
            with contextlib.suppress(RuntimeError):  # it ended in between
                loop.call_soon_threadsafe(self._end)
                return
        self._end()

    def _end(self) -> None:
        if not self.pointer:
            return
        while self._collected() == OK:
            pass
        self._leave()
        pointer, self.pointer = self.pointer, ctypes.c_void_p()
        lib.hearth_queue_close(pointer, None, None)
        pending, self._pending = self._pending, {}
        for operation in pending.values():
            if operation.future is not None and not operation.future.done():
                operation.future.set_result(_CLOSED)
        self._let_in(len(self._waiting))


class LoopQueues:
    """Those of one cache or namespace, one for each loop that runs."""

    def __init__(self, handle: Union[Handle, View]) -> None:
        self._handle = handle
        self._by_loop: Dict[int, LoopQueue] = {}
        self._all: List[LoopQueue] = []
        self._lock = threading.RLock()

    def of_running_loop(self) -> LoopQueue:
        """The running loop's. ClosedError."""
        loop = asyncio.get_running_loop()
        queue = self._by_loop.get(id(loop))
        if queue is None or not queue.belongs_to(loop):
            queue = self._new_for(loop)
        return queue

    def _new_for(self, loop: Any) -> LoopQueue:
        """One whose loop is over, or a new one."""
        with self._lock:
            call = self._handle.take()
            try:
                for key, each in list(self._by_loop.items()):
                    if each.is_left():
                        del self._by_loop[key]
                used = self._by_loop.values()
                queue = next((each for each in self._all if each not in used), None)
                if queue is None:
                    queue = self._opened()
                queue.serve(loop)
            finally:
                self._handle.give(call)
            self._by_loop[id(loop)] = queue
            return queue

    def _opened(self) -> LoopQueue:
        pointer = ctypes.c_void_p()
        status = lib.hearth_queue_open(self._handle.address, ctypes.byref(pointer))
        if status != OK or pointer.value is None:
            raise error_of(status)
        queue = LoopQueue(pointer.value)
        self._all.append(queue)
        return queue

    def after_fork(self) -> None:
        """In the child: the loops are the parent's, and what they wait for."""
        self._lock = threading.RLock()
        self._by_loop = {}
        for queue in self._all:
            queue.forget_all()

    def close(self) -> None:
        """After the cache."""
        with self._lock:
            queues, self._all, self._by_loop = self._all, [], {}
        for queue in queues:
            queue.close()


def _running_loop() -> Any:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
