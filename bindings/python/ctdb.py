# SPDX-License-Identifier: LGPL-3.0-or-later
"""CTDB for Python: databases, locks, messages and the state of a cluster.

This one file is all there is: it stands on libctdb.so.0 (``ctdbx.h``) and Python's own ctypes.

    import ctdb

    with ctdb.connect() as cluster:
        with cluster.attach("counter.tdb") as db, db.lock(b"visits") as record:
            record.store(b"%d" % (int(record.value or b"0") + 1))

Keys, values and names of locks are bytes. A ``timeout`` is in seconds; None is for ever. What fails
raises a subclass of :class:`Error`. Every object may be used on any thread; a record, transaction,
global lock or traverse by one at a time. A child made by ``os.fork`` has to connect by itself.

The library is looked for as any other; the variable CTDB_LIBRARY may name it.
"""

from __future__ import annotations

import ctypes
import itertools
import json
import os
from ctypes import POINTER, byref, c_bool, c_char, c_char_p, c_int, c_int32, c_int64, c_size_t
from ctypes import c_uint8, c_uint32, c_uint64, c_void_p
from types import TracebackType
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Tuple, Type

THIS_NODE = 0xF0000001
ALL_NODES = 0xF0000002
ACTIVE_NODES = 0xF0000003
CONNECTED_NODES = 0xF0000004
NO_NODE = 0xFFFFFFFF

VOLATILE = 0
PERSISTENT = 1
READONLY = 2
STICKY = 4
REPLICATED = 8

NODE_DISCONNECTED = 0x1
NODE_UNHEALTHY = 0x2
NODE_DISABLED = 0x4
NODE_BANNED = 0x8
NODE_DELETED = 0x10
NODE_STOPPED = 0x20

RUNNING = 5

DISABLE = 1
ENABLE = 2
STOP = 3
CONTINUE = 4

MESSAGE = 1
TUNNEL = 2
OVERRUN = 3
DISCONNECTED = 4
RECONNECTED = 5
GONE = 6

ALL_ADDRESSES = 0xFFFFFFFFFFFFFFFF

#: How long things may take unless it is said otherwise, in seconds.
TIMEOUT = 30.0

_RECONNECT = 1
_READ = 0
_WRITE = 1
_END = 17


class Error(Exception):
    """What a call failed with."""

    #: The library's number of it (CTDBX_*).
    code: int = 0
    #: The daemon's status, if it refused.
    status: int = 0


class InvalidArgument(Error, ValueError):
    """An argument is wrong."""


class CannotConnect(Error, ConnectionError):
    """Nobody listens at the socket, or this process may not talk to it."""


class Disconnected(Error, ConnectionError):
    """The connection is gone."""


class TimedOut(Error, TimeoutError):
    """Not done in time. What was sent may still be done."""


class Refused(Error):
    """The daemon refused: see ``status``."""


class ProtocolError(Error):
    """The daemon, or a database's file, holds something that cannot be understood."""


class LimitReached(Error):
    """Too much is waiting, or was lost because of that."""


class InUse(Error):
    """Somebody else has it."""


class WrongKind(Error):
    """The kind of the database does not know this operation."""


class Unhealthy(Error):
    """The daemon has marked the database as not to be used."""


class FileError(Error, OSError):
    """The database's file could not be opened, read, locked or written."""


class CommitUnknown(Error):
    """Whether the transaction was committed is not known."""


class Lost(Error):
    """The lock or transaction ended before, with its connection."""


class Forked(Error):
    """The object belongs to the parent of this process."""


class NoResources(Error, OSError):
    """The system does not give what is needed: a descriptor, a thread."""


class InternalError(Error):
    """There is no memory, or a fault in the library."""


_ERRORS: Dict[int, Type[Error]] = {
    1: InvalidArgument,
    2: CannotConnect,
    3: Disconnected,
    4: TimedOut,
    5: Refused,
    6: ProtocolError,
    7: LimitReached,
    8: InUse,
    9: WrongKind,
    10: Unhealthy,
    11: FileError,
    12: CommitUnknown,
    13: Lost,
    14: Forked,
    18: NoResources,
}


class Node(NamedTuple):
    """A node as another one sees it."""

    pnn: int
    #: NODE_*; 0 if all is well.
    flags: int
    address: str


class VnnMap(NamedTuple):
    """The number of the cluster's configuration, and the nodes that know where records are."""

    generation: int
    lmasters: List[int]


class PublicIp(NamedTuple):
    """A public address; ``pnn`` is None if nobody hosts it."""

    address: str
    pnn: Optional[int]


class Interface(NamedTuple):
    """An interface that public addresses can be on."""

    name: str
    up: bool
    addresses: int


class Uptime(NamedTuple):
    """Times of a daemon, in seconds since 1970; 0.0 is never."""

    now: float
    started: float
    recovery_started: float
    recovery_finished: float


class Reply(NamedTuple):
    """A daemon's answer to a control."""

    #: Negative: it refused.
    status: int
    data: bytes
    error: str


class DatabaseInfo(NamedTuple):
    """A database that a node has attached."""

    id: int
    flags: int


class Event(NamedTuple):
    """Something that happened."""

    #: MESSAGE, TUNNEL, OVERRUN, DISCONNECTED, RECONNECTED or GONE; others may be added.
    kind: int
    #: The node that sent it.
    node: int
    #: The address that a message was sent to, or the tunnel.
    address: int
    data: bytes
    #: How many were lost (OVERRUN).
    lost: int
    #: The :class:`Subscription` or :class:`Tunnel` that it is for.
    source: Optional["_Listener"]


class Record(NamedTuple):
    """A record that a traverse shows."""

    key: bytes
    value: bytes


class _Blob(ctypes.Structure):
    _fields_ = [("data", c_void_p), ("size", c_size_t)]


class _List(ctypes.Structure):
    _fields_ = [("count", c_size_t), ("items", c_void_p)]


class _Node(ctypes.Structure):
    _fields_ = [("pnn", c_uint32), ("flags", c_uint32), ("address", c_char * 64)]


class _Map(ctypes.Structure):
    _fields_ = [("generation", c_uint32), ("count", c_size_t), ("lmasters", POINTER(c_uint32))]


class _PublicIp(ctypes.Structure):
    _fields_ = [("pnn", c_uint32), ("address", c_char * 64)]


class _Interface(ctypes.Structure):
    _fields_ = [("name", c_char * 32), ("up", c_uint32), ("addresses", c_uint32)]


class _Database(ctypes.Structure):
    _fields_ = [("id", c_uint32), ("flags", c_uint32)]


class _Uptime(ctypes.Structure):
    _fields_ = [
        ("now", c_int64),
        ("started", c_int64),
        ("recovery_started", c_int64),
        ("recovery_finished", c_int64),
    ]


class _Reply(ctypes.Structure):
    _fields_ = [
        ("status", c_int32),
        ("data", c_void_p),
        ("size", c_size_t),
        ("error", c_char_p),
    ]


class _Event(ctypes.Structure):
    _fields_ = [
        ("kind", c_int),
        ("node", c_uint32),
        ("address", c_uint64),
        ("lost", c_uint64),
        ("cookie", c_void_p),
        ("data", c_void_p),
        ("size", c_size_t),
    ]


_P = c_void_p
_TEXT = POINTER(c_void_p)
_BYTES = [c_char_p, c_size_t]

# every function's arguments; all return an int but for those below
_FUNCTIONS: Dict[str, List[Any]] = {
    "connect": [c_char_p, c_uint32, c_int, POINTER(_P)],
    "pnn": [_P, c_int, POINTER(c_uint32)],
    "flush": [_P, c_int],
    "send": [_P, c_uint32, c_uint64, *_BYTES],
    "fd": [_P],
    "next_event": [_P, c_int, POINTER(POINTER(_Event))],
    "subscribe": [_P, c_uint64, c_void_p, c_int, POINTER(_P)],
    "tunnel_open": [_P, c_uint64, c_void_p, c_int, POINTER(_P)],
    "tunnel_send": [_P, c_uint32, *_BYTES],
    "notify": [_P, c_uint64, *_BYTES, c_int],
    "notify_end": [_P, c_uint64, c_int],
    "control": [
        _P, c_uint32, c_uint32, c_uint64, c_uint32, *_BYTES, c_int, POINTER(POINTER(_Reply)),
    ],
    "control_send": [_P, c_uint32, c_uint32, c_uint64, c_uint32, *_BYTES],
    "command": [_P, c_uint32, c_int, c_int],
    "ban": [_P, c_uint32, c_uint32, c_int],
    "ping": [_P, c_uint32, c_int, POINTER(c_uint32)],
    "leader": [_P, c_int, POINTER(c_uint32)],
    "nodes": [_P, c_uint32, c_int, POINTER(POINTER(_List))],
    "lmasters": [_P, c_uint32, c_int, POINTER(POINTER(_Map))],
    "recovery_mode": [_P, c_uint32, c_int, POINTER(c_int)],
    "run_state": [_P, c_uint32, c_int, POINTER(c_int)],
    "capabilities": [_P, c_uint32, c_int, POINTER(c_uint32)],
    "daemon_pid": [_P, c_uint32, c_int, POINTER(c_int)],
    "uptime": [_P, c_uint32, c_int, POINTER(_Uptime)],
    "public_ips": [_P, c_uint32, c_bool, c_int, POINTER(POINTER(_List))],
    "interfaces": [_P, c_uint32, c_int, POINTER(POINTER(_List))],
    "tunables": [_P, c_uint32, c_int, _TEXT],
    "get_tunable": [_P, c_uint32, c_char_p, c_int, POINTER(c_uint32)],
    "set_tunable": [_P, c_uint32, c_char_p, c_uint32, c_int],
    "process_exists": [_P, c_uint32, c_int, c_int, POINTER(c_bool)],
    "statistics": [_P, c_uint32, c_int, _TEXT],
    "attach": [_P, c_char_p, c_uint32, c_int, POINTER(_P)],
    "read": [_P, *_BYTES, c_int, POINTER(_Blob)],
    "read_copy": [_P, *_BYTES, c_int, POINTER(_Blob)],
    "store": [_P, *_BYTES, *_BYTES, c_int],
    "sequence_number": [_P, c_int, POINTER(c_uint64)],
    "databases": [_P, c_uint32, c_int, POINTER(POINTER(_List))],
    "database_name": [_P, c_uint32, c_uint32, c_int, _TEXT],
    "database_path": [_P, c_uint32, c_uint32, c_int, _TEXT],
    "database_health": [_P, c_uint32, c_uint32, c_int, _TEXT],
    "database_sequence_number": [_P, c_uint32, c_uint32, c_int, POINTER(c_uint64)],
    "database_statistics": [_P, c_uint32, c_uint32, c_int, _TEXT],
    "lock": [_P, *_BYTES, c_int, POINTER(_P)],
    "value": [_P, POINTER(_Blob)],
    "store_locked": [_P, *_BYTES],
    "begin": [_P, c_int, c_int, POINTER(_P)],
    "transaction_fetch": [_P, *_BYTES, c_int, POINTER(_Blob)],
    "transaction_store": [_P, *_BYTES, *_BYTES],
    "commit": [_P, c_int],
    "g_lock": [_P, *_BYTES, c_int, c_int, POINTER(_P)],
    "g_unlock": [_P, c_int],
    "traverse_begin": [_P, c_int, POINTER(_P)],
    "traverse_next": [_P, c_int, POINTER(_Blob), POINTER(_Blob)],
    "version": [],
    "error_status": [],
}
_WITHOUT_RESULT = [
    "disconnect", "detach", "unlock", "cancel", "unsubscribe", "tunnel_close", "traverse_end", "free",
]
_OTHERS: Dict[str, Any] = {
    "error_text": ([], c_char_p),
    "private_address": ([], c_uint64),
    "rsn": ([_P], c_uint64),
    "db_id": ([_P], c_uint32),
    "db_name": ([_P], c_char_p),
    "db_path": ([_P], c_char_p),
}
_loaded: Optional[ctypes.CDLL] = None


def _library() -> ctypes.CDLL:
    global _loaded
    if _loaded is None:
        library = ctypes.CDLL(os.environ.get("CTDB_LIBRARY", "libctdb.so.0"))
        types: Dict[str, Any] = dict(_OTHERS)
        types.update((name, (arguments, c_int)) for name, arguments in _FUNCTIONS.items())
        types.update((name, ([_P], None)) for name in _WITHOUT_RESULT)
        for name, (arguments, result) in types.items():
            function = getattr(library, "ctdbx_" + name)
            function.argtypes = arguments
            function.restype = result
        _loaded = library
    return _loaded


def _failure(code: int) -> Error:
    library = _library()
    text = library.ctdbx_error_text().decode(errors="replace")
    error = _ERRORS.get(code, InternalError)(text)
    error.code = code
    error.status = library.ctdbx_error_status()
    return error


def _call(name: str, *arguments: Any) -> None:
    code = getattr(_library(), "ctdbx_" + name)(*arguments)
    if code != 0:
        raise _failure(code)


def _milliseconds(timeout: Optional[float]) -> int:
    if timeout is None:
        return -1
    return min(max(int(timeout * 1000), 0), 0x7FFFFFFF)


def _copy(data: Optional[int], size: int) -> bytes:
    return ctypes.string_at(data, size) if data and size else b""


def _text(name: str, *arguments: Any) -> Optional[str]:
    place = c_void_p()
    _call(name, *arguments, byref(place))
    if not place.value:
        return None
    try:
        return ctypes.string_at(place.value).decode(errors="replace")
    finally:
        _library().ctdbx_free(place)


def _items(kind: Any, name: str, *arguments: Any) -> List[Any]:
    """Copies of the structures of a list."""
    place = POINTER(_List)()
    _call(name, *arguments, byref(place))
    try:
        found = place.contents
        items = ctypes.cast(found.items, POINTER(kind))
        return [kind.from_buffer_copy(items[i]) for i in range(found.count)]
    finally:
        _library().ctdbx_free(place)


def _blob(name: str, *arguments: Any) -> bytes:
    place = _Blob()
    _call(name, *arguments, byref(place))
    try:
        return _copy(place.data, place.size)
    finally:
        _library().ctdbx_free(place.data)


class _Handle:
    """Something of the library, freed by ``close``, at the end of ``with``, or when it is collected."""

    _free = ""

    def __init__(self, handle: c_void_p) -> None:
        self._handle: Optional[c_void_p] = handle

    @property
    def _pointer(self) -> c_void_p:
        if self._handle is None:
            raise ValueError(f"this {type(self).__name__} is closed")
        return self._handle

    def _take(self) -> Optional[c_void_p]:
        handle, self._handle = self._handle, None
        return handle

    def close(self) -> None:
        """Ends it; a second time does nothing."""
        handle = self._take()
        if handle is not None:
            getattr(_library(), "ctdbx_" + self._free)(handle)

    def __enter__(self) -> Any:
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_handle", None) is not None and _loaded is not None:
            self.close()


class Cluster(_Handle):
    """A connection to a daemon; made by :func:`connect`."""

    _free = "disconnect"

    def __init__(self, handle: c_void_p) -> None:
        super().__init__(handle)
        self._listeners: Dict[int, "_Listener"] = {}
        # one next() is one step, whatever threads do
        self._numbers = itertools.count(1)

    def __enter__(self) -> "Cluster":
        return self

    def pnn(self, timeout: Optional[float] = TIMEOUT) -> int:
        """The number of the node whose daemon this is."""
        return int(self._number(c_uint32, "pnn", timeout=timeout))

    def flush(self, timeout: Optional[float] = TIMEOUT) -> None:
        """Waits until the daemon has taken everything that was sent before."""
        _call("flush", self._pointer, _milliseconds(timeout))

    def _number(self, kind: Any, name: str, *before: Any, timeout: Optional[float]) -> Any:
        place = kind()
        _call(name, self._pointer, *before, _milliseconds(timeout), byref(place))
        return place.value

    # nodes

    def ping(self, node: int = THIS_NODE, timeout: Optional[float] = TIMEOUT) -> int:
        """How many clients a node's daemon has."""
        return int(self._number(c_uint32, "ping", node, timeout=timeout))

    def leader(self, timeout: Optional[float] = TIMEOUT) -> int:
        """The cluster's leader, who says so each second."""
        return int(self._number(c_uint32, "leader", timeout=timeout))

    def nodes(self, node: int = THIS_NODE, timeout: Optional[float] = TIMEOUT) -> List[Node]:
        """The nodes as a node sees them."""
        found = _items(_Node, "nodes", self._pointer, node, _milliseconds(timeout))
        return [Node(item.pnn, item.flags, item.address.decode()) for item in found]

    def vnn_map(self, node: int = THIS_NODE, timeout: Optional[float] = TIMEOUT) -> VnnMap:
        """The generation of a node, and its lmasters."""
        place = POINTER(_Map)()
        _call("lmasters", self._pointer, node, _milliseconds(timeout), byref(place))
        try:
            found = place.contents
            return VnnMap(found.generation, found.lmasters[: found.count])
        finally:
            _library().ctdbx_free(place)

    def in_recovery(self, node: int = THIS_NODE, timeout: Optional[float] = TIMEOUT) -> bool:
        """Whether a node's databases cannot be used now."""
        return bool(self._number(c_int, "recovery_mode", node, timeout=timeout))

    def run_state(self, node: int = THIS_NODE, timeout: Optional[float] = TIMEOUT) -> int:
        """How far a node's daemon has come; RUNNING if all is up."""
        return int(self._number(c_int, "run_state", node, timeout=timeout))

    def capabilities(self, node: int = THIS_NODE, timeout: Optional[float] = TIMEOUT) -> int:
        """What a node can do: 1 be leader, 2 be lmaster, and others."""
        return int(self._number(c_uint32, "capabilities", node, timeout=timeout))

    def daemon_pid(self, node: int = THIS_NODE, timeout: Optional[float] = TIMEOUT) -> int:
        """The process number of a node's daemon."""
        return int(self._number(c_int, "daemon_pid", node, timeout=timeout))

    def uptime(self, node: int = THIS_NODE, timeout: Optional[float] = TIMEOUT) -> Uptime:
        """When a node's daemon started, and when the last recovery was."""
        found = _Uptime()
        _call("uptime", self._pointer, node, _milliseconds(timeout), byref(found))
        return Uptime(
            found.now / 1e6,
            found.started / 1e6,
            found.recovery_started / 1e6,
            found.recovery_finished / 1e6,
        )

    def public_ips(
        self,
        node: int = THIS_NODE,
        only_available: bool = False,
        timeout: Optional[float] = TIMEOUT,
    ) -> List[PublicIp]:
        """The public addresses that a node knows, and who hosts them."""
        limit = _milliseconds(timeout)
        found = _items(_PublicIp, "public_ips", self._pointer, node, only_available, limit)
        return [
            PublicIp(item.address.decode(), None if item.pnn == NO_NODE else item.pnn)
            for item in found
        ]

    def interfaces(
        self, node: int = THIS_NODE, timeout: Optional[float] = TIMEOUT
    ) -> List[Interface]:
        """The interfaces of a node that public addresses can be on."""
        found = _items(_Interface, "interfaces", self._pointer, node, _milliseconds(timeout))
        return [Interface(item.name.decode(), bool(item.up), item.addresses) for item in found]

    def tunables(self, node: int = THIS_NODE, timeout: Optional[float] = TIMEOUT) -> List[str]:
        """The names of the tunables of a node."""
        return (_text("tunables", self._pointer, node, _milliseconds(timeout)) or "").split()

    def get_tunable(
        self, name: str, node: int = THIS_NODE, timeout: Optional[float] = TIMEOUT
    ) -> int:
        """The value of a tunable of a node."""
        return int(self._number(c_uint32, "get_tunable", node, name.encode(), timeout=timeout))

    def set_tunable(
        self, name: str, value: int, node: int = THIS_NODE, timeout: Optional[float] = TIMEOUT
    ) -> None:
        """Sets a tunable of a node, until its daemon ends."""
        limit = _milliseconds(timeout)
        _call("set_tunable", self._pointer, node, name.encode(), value, limit)

    def process_exists(
        self, pid: int, node: int = THIS_NODE, timeout: Optional[float] = TIMEOUT
    ) -> bool:
        """Whether a process exists on a node and is a client of its daemon."""
        return bool(self._number(c_bool, "process_exists", node, pid, timeout=timeout))

    def statistics(
        self, node: int = THIS_NODE, timeout: Optional[float] = TIMEOUT
    ) -> Dict[str, Any]:
        """A node's counters, by upstream's names."""
        text = _text("statistics", self._pointer, node, _milliseconds(timeout))
        counters: Dict[str, Any] = json.loads(text or "{}")
        return counters

    def command(
        self, command: int, node: int = THIS_NODE, timeout: Optional[float] = TIMEOUT
    ) -> None:
        """DISABLE, ENABLE, STOP or CONTINUE a node."""
        _call("command", self._pointer, node, command, _milliseconds(timeout))

    def ban(
        self, seconds: int, node: int = THIS_NODE, timeout: Optional[float] = TIMEOUT
    ) -> None:
        """Bans a node; 0 ends the ban."""
        _call("ban", self._pointer, node, seconds, _milliseconds(timeout))

    def control(
        self,
        opcode: int,
        data: bytes = b"",
        node: int = THIS_NODE,
        address: int = 0,
        flags: int = 0,
        timeout: Optional[float] = TIMEOUT,
    ) -> Reply:
        """Sends any control and waits for the answer, whatever its status."""
        place = POINTER(_Reply)()
        head = (self._pointer, node, opcode, address, flags)
        _call("control", *head, data, len(data), _milliseconds(timeout), byref(place))
        try:
            found = place.contents
            text = (found.error or b"").decode(errors="replace")
            return Reply(found.status, _copy(found.data, found.size), text)
        finally:
            _library().ctdbx_free(place)

    def control_send(
        self, opcode: int, data: bytes = b"", node: int = THIS_NODE, address: int = 0, flags: int = 0
    ) -> None:
        """Sends a control that nobody answers, perhaps to many nodes."""
        _call("control_send", self._pointer, node, opcode, address, flags, data, len(data))

    # databases

    def attach(
        self, name: str, flags: int = VOLATILE, timeout: Optional[float] = TIMEOUT
    ) -> "Database":
        """Attaches a database: VOLATILE, perhaps with READONLY and STICKY; PERSISTENT; REPLICATED."""
        place = c_void_p()
        _call("attach", self._pointer, name.encode(), flags, _milliseconds(timeout), byref(place))
        return Database(place)

    def databases(
        self, node: int = THIS_NODE, timeout: Optional[float] = TIMEOUT
    ) -> List[DatabaseInfo]:
        """The databases that a node has attached."""
        found = _items(_Database, "databases", self._pointer, node, _milliseconds(timeout))
        return [DatabaseInfo(item.id, item.flags) for item in found]

    def database_name(
        self, db: int, node: int = THIS_NODE, timeout: Optional[float] = TIMEOUT
    ) -> str:
        """The name of a database of a node."""
        return _text("database_name", self._pointer, node, db, _milliseconds(timeout)) or ""

    def database_path(
        self, db: int, node: int = THIS_NODE, timeout: Optional[float] = TIMEOUT
    ) -> str:
        """The file of a database on a node."""
        return _text("database_path", self._pointer, node, db, _milliseconds(timeout)) or ""

    def database_health(
        self, db: int, node: int = THIS_NODE, timeout: Optional[float] = TIMEOUT
    ) -> Optional[str]:
        """Why a database of a node must not be used; None if it may."""
        return _text("database_health", self._pointer, node, db, _milliseconds(timeout))

    def database_sequence_number(
        self, db: int, node: int = THIS_NODE, timeout: Optional[float] = TIMEOUT
    ) -> int:
        """The sequence number of a database of a node."""
        name = "database_sequence_number"
        return int(self._number(c_uint64, name, node, db, timeout=timeout))

    def database_statistics(
        self, db: int, node: int = THIS_NODE, timeout: Optional[float] = TIMEOUT
    ) -> Dict[str, Any]:
        """The counters of a database of a node."""
        text = _text("database_statistics", self._pointer, node, db, _milliseconds(timeout))
        counters: Dict[str, Any] = json.loads(text or "{}")
        return counters

    # global locks

    def g_lock(
        self, name: bytes, read: bool = False, timeout: Optional[float] = TIMEOUT
    ) -> "GlobalLock":
        """Takes a global lock, alone or together with other readers."""
        place = c_void_p()
        mode = _READ if read else _WRITE
        limit = _milliseconds(timeout)
        _call("g_lock", self._pointer, name, len(name), mode, limit, byref(place))
        return GlobalLock(place)

    # messages, tunnels, events

    def send(self, address: int, data: bytes, node: int = THIS_NODE) -> None:
        """Sends a message; nobody says whether it was received."""
        _call("send", self._pointer, node, address, data, len(data))

    def subscribe(self, address: int, timeout: Optional[float] = TIMEOUT) -> "Subscription":
        """Receives the messages to an address, as events of this connection."""
        handle, number = self._listen("subscribe", address, timeout)
        made = Subscription(handle, self, number, address)
        self._listeners[number] = made
        return made

    def open_tunnel(self, tunnel: int, timeout: Optional[float] = TIMEOUT) -> "Tunnel":
        """Opens this node's end of a tunnel, whose requests come as events of this connection."""
        handle, number = self._listen("tunnel_open", tunnel, timeout)
        made = Tunnel(handle, self, number, tunnel)
        self._listeners[number] = made
        return made

    def _listen(self, name: str, address: int, timeout: Optional[float]) -> Tuple[c_void_p, int]:
        number, place = next(self._numbers), c_void_p()
        _call(name, self._pointer, address, number, _milliseconds(timeout), byref(place))
        return place, number

    def notify(
        self, address: int, data: bytes = b"", timeout: Optional[float] = TIMEOUT
    ) -> None:
        """Has the daemon send a message to all nodes when this connection ends, however it ends."""
        _call("notify", self._pointer, address, data, len(data), _milliseconds(timeout))

    def notify_end(self, address: int, timeout: Optional[float] = TIMEOUT) -> None:
        """Ends that."""
        _call("notify_end", self._pointer, address, _milliseconds(timeout))

    def fileno(self) -> int:
        """Readable while there is an event: for select, selectors, asyncio's add_reader."""
        return int(_library().ctdbx_fd(self._pointer))

    def next_event(self, timeout: Optional[float] = TIMEOUT) -> Event:
        """The next event; :class:`TimedOut` if there is none in time."""
        place = POINTER(_Event)()
        _call("next_event", self._pointer, _milliseconds(timeout), byref(place))
        try:
            found = place.contents
            return Event(
                found.kind,
                found.node,
                found.address,
                _copy(found.data, found.size),
                found.lost,
                self._listeners.get(found.cookie or 0),
            )
        finally:
            _library().ctdbx_free(place)

    def events(self) -> Iterator[Event]:
        """All events until the connection ends."""
        while True:
            try:
                yield self.next_event(None)
            except Disconnected:
                return


class _Listener(_Handle):
    def __init__(self, handle: c_void_p, cluster: Cluster, number: int, address: int) -> None:
        super().__init__(handle)
        self.address = address
        self._cluster = cluster
        self._number = number

    def close(self) -> None:
        super().close()
        self._cluster._listeners.pop(self._number, None)


class Subscription(_Listener):
    """A subscription to the messages of an address, until it is closed."""

    _free = "unsubscribe"

    def __enter__(self) -> "Subscription":
        return self


class Tunnel(_Listener):
    """This node's end of a tunnel, until it is closed."""

    _free = "tunnel_close"

    def __enter__(self) -> "Tunnel":
        return self

    def send(self, node: int, data: bytes) -> None:
        """Sends a request to the tunnel's end on a node."""
        _call("tunnel_send", self._pointer, node, data, len(data))


class Database(_Handle):
    """An attached database."""

    _free = "detach"

    def __enter__(self) -> "Database":
        return self

    @property
    def id(self) -> int:
        """Its number, the hash of its name."""
        return int(_library().ctdbx_db_id(self._pointer))

    @property
    def name(self) -> str:
        """Its name."""
        return str(_library().ctdbx_db_name(self._pointer).decode())

    @property
    def path(self) -> str:
        """Its file. Nothing in this process may open it."""
        return str(os.fsdecode(_library().ctdbx_db_path(self._pointer)))

    def read(self, key: bytes, timeout: Optional[float] = TIMEOUT) -> bytes:
        """A record's value, wherever it is; empty if there is none."""
        return _blob("read", self._pointer, key, len(key), _milliseconds(timeout))

    def read_copy(self, key: bytes, timeout: Optional[float] = TIMEOUT) -> bytes:
        """The same by a copy that is lent to this node (READONLY)."""
        return _blob("read_copy", self._pointer, key, len(key), _milliseconds(timeout))

    def store(self, key: bytes, value: bytes, timeout: Optional[float] = TIMEOUT) -> None:
        """Writes a record of a volatile database; an empty value deletes it."""
        limit = _milliseconds(timeout)
        _call("store", self._pointer, key, len(key), value, len(value), limit)

    def lock(self, key: bytes, timeout: Optional[float] = TIMEOUT) -> "LockedRecord":
        """Moves a record of a volatile database here and locks it."""
        place = c_void_p()
        _call("lock", self._pointer, key, len(key), _milliseconds(timeout), byref(place))
        return LockedRecord(place)

    def transaction(
        self, read: bool = False, timeout: Optional[float] = TIMEOUT
    ) -> "Transaction":
        """Begins a transaction on a persistent or replicated database."""
        place = c_void_p()
        mode = _READ if read else _WRITE
        _call("begin", self._pointer, mode, _milliseconds(timeout), byref(place))
        return Transaction(place, timeout)

    def sequence_number(self, timeout: Optional[float] = TIMEOUT) -> int:
        """How many transactions it has seen, as this node has it."""
        place = c_uint64()
        _call("sequence_number", self._pointer, _milliseconds(timeout), byref(place))
        return place.value

    def traverse(self, timeout: Optional[float] = TIMEOUT) -> "Traverse":
        """All records, wherever in the cluster they are. ``timeout`` is for each of them."""
        place = c_void_p()
        _call("traverse_begin", self._pointer, _milliseconds(timeout), byref(place))
        return Traverse(place, timeout)


class LockedRecord(_Handle):
    """A locked record, until it is closed."""

    _free = "unlock"

    def __enter__(self) -> "LockedRecord":
        return self

    @property
    def value(self) -> bytes:
        """Its value; empty if there is none."""
        place = _Blob()
        _call("value", self._pointer, byref(place))
        return _copy(place.data, place.size)

    @property
    def rsn(self) -> int:
        """The record sequence number that it had when it was locked."""
        return int(_library().ctdbx_rsn(self._pointer))

    def store(self, value: bytes) -> None:
        """Writes it; an empty value deletes it."""
        _call("store_locked", self._pointer, value, len(value))

    def delete(self) -> None:
        """Deletes it."""
        self.store(b"")


class Transaction(_Handle):
    """A transaction. The end of ``with`` commits, unless there is an exception: then it is cancelled."""

    _free = "cancel"

    def __init__(self, handle: c_void_p, timeout: Optional[float]) -> None:
        super().__init__(handle)
        self._timeout = timeout

    def __enter__(self) -> "Transaction":
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        if kind is None and self._handle is not None:
            self.commit(self._timeout)
        self.close()

    def fetch(self, key: bytes, timeout: Optional[float] = TIMEOUT) -> bytes:
        """A record's value as the transaction sees it; empty if there is none."""
        limit = _milliseconds(timeout)
        return _blob("transaction_fetch", self._pointer, key, len(key), limit)

    def store(self, key: bytes, value: bytes) -> None:
        """Writes a record with the commit; an empty value deletes it."""
        _call("transaction_store", self._pointer, key, len(key), value, len(value))

    def delete(self, key: bytes) -> None:
        """Deletes a record with the commit."""
        self.store(key, b"")

    def commit(self, timeout: Optional[float] = TIMEOUT) -> None:
        """Writes everything on all active nodes, or nothing."""
        handle = self._pointer
        self._take()
        _call("commit", handle, _milliseconds(timeout))

    def cancel(self) -> None:
        """Ends it without writing anything."""
        self.close()


class GlobalLock(_Handle):
    """A global lock that is held, until it is closed."""

    def __enter__(self) -> "GlobalLock":
        return self

    def release(self, timeout: Optional[float] = TIMEOUT) -> None:
        """Releases it: when this returns, it is another's or free."""
        handle = self._take()
        if handle is not None:
            _call("g_unlock", handle, _milliseconds(timeout))

    def close(self) -> None:
        self.release()

    def __del__(self) -> None:
        # whoever waits finds out if this fails
        try:
            super().__del__()
        except Error:
            pass


class Traverse(_Handle):
    """All records of a database, in no order."""

    _free = "traverse_end"

    def __init__(self, handle: c_void_p, timeout: Optional[float]) -> None:
        super().__init__(handle)
        self._timeout = timeout

    def __enter__(self) -> "Traverse":
        return self

    def __iter__(self) -> "Traverse":
        return self

    def __next__(self) -> Record:
        if self._handle is None:
            raise StopIteration
        key, value = _Blob(), _Blob()
        limit = _milliseconds(self._timeout)
        code = _library().ctdbx_traverse_next(self._pointer, limit, byref(key), byref(value))
        if code == _END:
            self.close()
            raise StopIteration
        if code != 0:
            raise _failure(code)
        return Record(_copy(key.data, key.size), _copy(value.data, value.size))


def connect(
    socket: Optional[str] = None, reconnect: bool = False, timeout: Optional[float] = TIMEOUT
) -> Cluster:
    """Connects to a daemon's socket; None is the usual one.

    With ``reconnect`` the connection is made again whenever it has ended: what was under way fails
    with :class:`Disconnected`, calls that are made meanwhile wait for the daemon; subscriptions,
    tunnels and notifications are made again, locks and transactions are over.
    """
    place = c_void_p()
    path = None if socket is None else os.fsencode(socket)
    flags = _RECONNECT if reconnect else 0
    _call("connect", path, flags, _milliseconds(timeout), byref(place))
    return Cluster(place)


def private_address() -> int:
    """An address for messages that no other process of the node uses."""
    return int(_library().ctdbx_private_address())
