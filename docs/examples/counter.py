"""Counts its own runs, on all nodes together: counter.py [SOCKET]"""
import sys

import ctdb

socket = sys.argv[1] if len(sys.argv) > 1 else None
with ctdb.connect(socket) as cluster, cluster.attach("counter.tdb") as db:
    with db.lock(b"runs") as record:
        record.store(b"%d" % (int(record.value or b"0") + 1))
        print(record.value.decode())
