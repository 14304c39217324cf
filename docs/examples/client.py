#!/usr/bin/env python3
"""A client of ctdbd, written from docs/wire.md alone.

    client.py SOCKET DATABASE KEY

attaches a persistent database, reads a record with its header, sends itself a message, and itself
a request and a reply through a tunnel.
"""

import os
import socket
import struct
import sys

MAGIC, VERSION, THIS_NODE = 0x43544442, 1, 0xF0000001
REQ_CALL, REPLY_CALL, REPLY_ERROR, REQ_MESSAGE, REQ_CONTROL, REPLY_CONTROL, REQ_TUNNEL = 0, 1, 4, 5, 7, 8, 10
FETCH_WITH_HEADER = 0xFF000003
REGISTER_SRVID, GET_PNN, DB_ATTACH_PERSISTENT, TUNNEL_REGISTER = 23, 35, 61, 152
REQUEST, REPLY = 1, 2


class Client:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(30)
        self.socket.connect(path)
        self.reqid = 0

    def send(self, operation, fields, destination=THIS_NODE):
        """Sends a packet and returns its number."""
        self.reqid += 1
        header = struct.pack("=8I", 32 + len(fields), MAGIC, VERSION, 0, operation, destination, 0xFFFFFFFF, self.reqid)
        self.socket.sendall(header + fields)
        return self.reqid

    def read(self, size):
        data = b""
        while len(data) < size:
            more = self.socket.recv(size - len(data))
            if not more:
                raise ConnectionError("ctdbd closed the connection")
            data += more
        return data

    def receive(self, *operations):
        """The next packet of one of these kinds: its operation, its number, and what is behind the header."""
        while True:
            length, magic, version, _, operation, _, _, reqid = struct.unpack("=8I", self.read(32))
            assert (magic, version) == (MAGIC, VERSION) and length >= 32
            body = self.read(length - 32)
            if operation in operations:
                return operation, reqid, body

    def answer(self, reqid, *operations):
        while True:
            operation, number, body = self.receive(*operations)
            if number == reqid:
                return operation, body

    def control(self, opcode, data=b"", srvid=0):
        """The status and the data that a control answers."""
        fields = struct.pack("=IIQIII", opcode, 0, srvid, 0, 0, len(data)) + data
        _, body = self.answer(self.send(REQ_CONTROL, fields), REPLY_CONTROL)
        status, datalen, errorlen = struct.unpack_from("=iII", body)
        if status < 0:
            raise OSError(body[12 + datalen:12 + datalen + errorlen].decode() or f"control {opcode} failed")
        return status, body[12:12 + datalen]

    def attach(self, name):
        return struct.unpack("=I", self.control(DB_ATTACH_PERSISTENT, name.encode() + b"\0")[1])[0]

    def fetch(self, db, key):
        """A record's rsn, dmaster, flags and value."""
        fields = struct.pack("=6I", 0, db, FETCH_WITH_HEADER, 0, len(key), 0) + key
        operation, body = self.answer(self.send(REQ_CALL, fields), REPLY_CALL, REPLY_ERROR)
        status, datalen = struct.unpack_from("=iI", body)
        if operation == REPLY_ERROR or status != 0:
            raise OSError(f"call failed: {status}")
        rsn, dmaster, _, flags, _ = struct.unpack_from("=QIIII", body, 8)
        return rsn, dmaster, flags, body[8 + 24:8 + datalen]

    def message(self, srvid, data, destination=THIS_NODE):
        self.send(REQ_MESSAGE, struct.pack("=QI", srvid, len(data)) + data, destination)

    def tunnel(self, tunnel, flags, data, destination=THIS_NODE):
        self.send(REQ_TUNNEL, struct.pack("=QII", tunnel, flags, len(data)) + data, destination)

    def hear(self):
        """The next message: its address and data."""
        _, _, body = self.receive(REQ_MESSAGE)
        srvid, datalen = struct.unpack_from("=QI", body)
        return srvid, body[12:12 + datalen]

    def hear_tunnel(self):
        """The next packet of a tunnel: its tunnel, flags and data."""
        _, _, body = self.receive(REQ_TUNNEL)
        tunnel, flags, datalen = struct.unpack_from("=QII", body)
        return tunnel, flags, body[16:16 + datalen]


def main(path, database, key):
    client = Client(path)
    pnn, _ = client.control(GET_PNN)
    print(f"node {pnn}")

    db = client.attach(database)
    rsn, dmaster, flags, value = client.fetch(db, key.encode())
    print(f"record: db {db:#010x} rsn {rsn} dmaster {dmaster} flags {flags:#x} value {value!r}")

    srvid = os.getpid()
    client.control(REGISTER_SRVID, srvid=srvid)
    client.message(srvid, b"a message", destination=pnn)
    heard, data = client.hear()
    assert heard == srvid
    print(f"message: {data!r}")

    tunnel = 0xFFFFFFFF00000000 | os.getpid()
    client.control(TUNNEL_REGISTER, srvid=tunnel)
    client.tunnel(tunnel, REQUEST, b"a question", destination=pnn)
    heard, flags, data = client.hear_tunnel()
    assert (heard, flags) == (tunnel, REQUEST)
    print(f"tunnel request: {data!r}")
    client.tunnel(tunnel, REPLY, b"an answer", destination=pnn)
    heard, flags, data = client.hear_tunnel()
    assert (heard, flags) == (tunnel, REPLY)
    print(f"tunnel reply: {data!r}")


if __name__ == "__main__":
    main(*sys.argv[1:])
