# SPDX-License-Identifier: LGPL-3.0-or-later
"""Tests of ctdb.py: CTDB_TEST_SOCKET names the socket of a daemon with one node."""

import os
import select
import threading
import unittest
from typing import List

import ctdb

SOCKET = os.environ["CTDB_TEST_SOCKET"]


class Case(unittest.TestCase):
    def setUp(self) -> None:
        self.cluster = ctdb.connect(SOCKET)
        self.addCleanup(self.cluster.close)


class TheCluster(Case):
    def test_nodes(self) -> None:
        cluster = self.cluster
        self.assertEqual(cluster.pnn(), 0)
        self.assertGreaterEqual(cluster.ping(), 1)
        (node,) = cluster.nodes()
        self.assertEqual((node.pnn, node.address[:4]), (0, "127."))
        self.assertEqual(cluster.leader(), 0)
        self.assertEqual(cluster.vnn_map().lmasters, [0])
        self.assertFalse(cluster.in_recovery())
        self.assertEqual(cluster.run_state(), ctdb.RUNNING)
        self.assertEqual(cluster.capabilities() & 3, 3)
        self.assertGreater(cluster.daemon_pid(), 0)
        uptime = cluster.uptime()
        self.assertLessEqual(uptime.started, uptime.now)
        self.assertEqual((cluster.public_ips(), cluster.interfaces()), ([], []))
        self.assertTrue(cluster.process_exists(os.getpid()))
        self.assertGreaterEqual(cluster.statistics()["num_clients"], 1)

    def test_tunables(self) -> None:
        before = self.cluster.get_tunable("TraverseTimeout")
        self.assertIn("TraverseTimeout", self.cluster.tunables())
        self.cluster.set_tunable("TraverseTimeout", 18)
        self.assertEqual(self.cluster.get_tunable("TraverseTimeout"), 18)
        self.cluster.set_tunable("TraverseTimeout", before)

    def test_controls(self) -> None:
        self.assertEqual(self.cluster.control(35), ctdb.Reply(0, b"", ""))
        echo = bytes(8)
        self.assertEqual(self.cluster.control(156, echo).data, echo)
        self.assertLess(self.cluster.control(9999).status, 0)
        self.cluster.control_send(87)
        self.cluster.command(ctdb.ENABLE)
        self.cluster.ban(0)
        self.cluster.flush()

    def test_errors(self) -> None:
        with self.assertRaises(ctdb.Refused) as refused:
            self.cluster.get_tunable("NoSuch")
        self.assertLess(refused.exception.status, 0)
        with self.assertRaises(ctdb.CannotConnect):
            ctdb.connect("/nonexistent/socket")
        with self.assertRaises(ConnectionError):
            ctdb.connect("/nonexistent/socket", reconnect=True, timeout=0.2)
        with self.assertRaises(ctdb.InvalidArgument):
            self.cluster.attach("x.tdb", ctdb.PERSISTENT | ctdb.STICKY)
        closed = ctdb.connect(SOCKET)
        closed.close()
        closed.close()
        with self.assertRaises(ValueError):
            closed.pnn()


class Databases(Case):
    def test_volatile(self) -> None:
        with self.cluster.attach("python.tdb") as db:
            self.assertEqual(db.name, "python.tdb")
            self.assertIn("python.tdb", db.path)
            self.assertIn((db.id, 0), self.cluster.databases())
            self.assertEqual(self.cluster.database_name(db.id), db.name)
            self.assertEqual(self.cluster.database_path(db.id), db.path)
            self.assertIsNone(self.cluster.database_health(db.id))
            self.assertIn("locks", self.cluster.database_statistics(db.id))
            with db.lock(b"a\0b") as one, db.lock(b"other") as two:
                one.store(b"\0value")
                self.assertEqual((one.value, two.value), (b"\0value", b""))
                self.assertGreaterEqual(one.rsn, 0)
                with self.assertRaises(TimeoutError):
                    db.lock(b"a\0b", timeout=0.05)
            self.assertEqual(db.read(b"a\0b"), b"\0value")
            self.assertEqual(db.read_copy(b"a\0b"), b"\0value")
            self.assertEqual(list(db.traverse()), [(b"a\0b", b"\0value")])
            db.store(b"a\0b", b"")
            self.assertEqual(list(db.traverse()), [])
            db.store(b"k", b"v")
            with db.lock(b"k") as record:
                record.delete()
            self.assertEqual(db.read(b"k"), b"")
            with self.assertRaises(ctdb.WrongKind):
                db.transaction()

    def test_transactions(self) -> None:
        for name, kind in ("python_p.tdb", ctdb.PERSISTENT), ("python_r.tdb", ctdb.REPLICATED):
            with self.cluster.attach(name, kind) as db:
                before = db.sequence_number()
                with db.transaction() as change:
                    change.store(b"key", b"value")
                    change.store(b"gone", b"x")
                    change.delete(b"gone")
                    self.assertEqual(change.fetch(b"key"), b"value")
                self.assertEqual(db.sequence_number(), before + 1)
                self.assertEqual(self.cluster.database_sequence_number(db.id), before + 1)
                with self.assertRaises(KeyError), db.transaction() as change:
                    change.store(b"key", b"never")
                    raise KeyError
                with db.transaction() as change:
                    change.store(b"key", b"never")
                    change.cancel()
                with db.transaction(read=True) as reader:
                    self.assertEqual(reader.fetch(b"key"), b"value")
                    self.assertEqual(reader.fetch(b"gone"), b"")
                    with self.assertRaises(ctdb.WrongKind):
                        reader.store(b"key", b"")

    def test_threads(self) -> None:
        def add() -> None:
            for _ in range(20):
                with db.lock(b"counter") as record:
                    record.store(b"%d" % (int(record.value or b"0") + 1))

        with self.cluster.attach("python_threads.tdb") as db:
            threads = [threading.Thread(target=add) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertEqual(db.read(b"counter"), b"80")

    def test_global_locks(self) -> None:
        with self.cluster.g_lock(b"python", read=True), self.cluster.g_lock(b"python", read=True):
            with self.assertRaises(ctdb.TimedOut):
                self.cluster.g_lock(b"python", timeout=0.1)
        lock = self.cluster.g_lock(b"python")
        lock.release()
        lock.release()


class Events(Case):
    def test_messages(self) -> None:
        here = ctdb.private_address()
        with self.cluster.subscribe(here) as subscription:
            self.cluster.send(here, b"a\0message")
            readable, _, _ = select.select([self.cluster], [], [], 30)
            self.assertEqual(readable, [self.cluster])
            event = self.cluster.next_event()
            self.assertEqual((event.kind, event.node), (ctdb.MESSAGE, 0))
            self.assertEqual((event.address, event.data), (here, b"a\0message"))
            self.assertIs(event.source, subscription)
            with ctdb.connect(SOCKET) as other:
                other.notify(here, b"gone")
                other.notify(here + 1)
                other.notify_end(here + 1)
            self.assertEqual(self.cluster.next_event().data, b"gone")
        self.cluster.send(here, b"unheard")
        with self.assertRaises(ctdb.TimedOut):
            self.cluster.next_event(timeout=0.05)

    def test_tunnels(self) -> None:
        number = 0xFFFFFFFF00005678
        with self.cluster.open_tunnel(number) as tunnel:
            with self.assertRaises(ctdb.InUse):
                self.cluster.open_tunnel(number)
            tunnel.send(0, b"through")
            event = self.cluster.next_event()
            self.assertEqual((event.kind, event.address), (ctdb.TUNNEL, number))
            self.assertEqual((event.data, event.source), (b"through", tunnel))

    def test_the_end(self) -> None:
        cluster = ctdb.connect(SOCKET)
        seen: List[ctdb.Event] = []
        thread = threading.Thread(target=lambda: seen.extend(cluster.events()))
        thread.start()
        cluster.flush()
        cluster.close()
        thread.join(30)
        self.assertEqual((thread.is_alive(), seen), (False, []))


class Processes(Case):
    def test_a_child_connects_by_itself(self) -> None:
        child = os.fork()
        if child == 0:
            status = 1
            try:
                try:
                    self.cluster.pnn()
                except ctdb.Forked:
                    with ctdb.connect(SOCKET) as own:
                        status = own.pnn()
            finally:
                os._exit(status)
        self.assertEqual(os.waitpid(child, 0)[1], 0)
        self.assertEqual(self.cluster.pnn(), 0)


if __name__ == "__main__":
    unittest.main()
