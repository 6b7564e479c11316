#!/usr/bin/env python3
"""store.py PROGRAM: the store's benchmark and the same work in Python's sqlite3, in turns, each on the same disk with the
same durability (WAL, synchronous=FULL); prints the medians and their ratio."""
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time

WRITES, READS, PAGES, PAGE, ROUNDS = 500, 20000, 200, 100, 5


def rate(times, work):
    start = time.monotonic()
    for i in range(times):
        work(i)
    return times / (time.monotonic() - start)


def peer(folder):
    db = sqlite3.connect(folder + "/db", isolation_level=None)
    for text in (
        "PRAGMA journal_mode=WAL",
        "PRAGMA synchronous=FULL",
        "CREATE TABLE object (id TEXT NOT NULL PRIMARY KEY, kind TEXT NOT NULL, workspace TEXT NOT NULL, name TEXT,"
        " payload BLOB NOT NULL, created_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL, version INTEGER NOT NULL)",
        "CREATE UNIQUE INDEX object_name ON object (kind, workspace, name)",
        "CREATE INDEX object_page ON object (kind, workspace, created_ms, name, id)",
    ):
        db.execute(text)
    payload = bytes(1000)

    def write(i):
        row = (f"id-{i:06}", "sandbox", "default", f"id-{i:06}", payload, i, i)
        db.execute("INSERT INTO object VALUES (?, ?, ?, ?, ?, ?, ?, 1)", row)

    def read(i):
        row = db.execute("SELECT * FROM object WHERE kind = ? AND id = ?", ("sandbox", f"id-{i * 7 % WRITES:06}"))
        assert row.fetchone()

    def page(i):
        text = "SELECT * FROM object WHERE kind = ? AND workspace = ? ORDER BY created_ms, name, id LIMIT ? OFFSET ?"
        rows = db.execute(text, ("sandbox", "default", PAGE, i % (WRITES // PAGE) * PAGE)).fetchall()
        assert len(rows) == PAGE

    result = [rate(WRITES, write), rate(READS, read), rate(PAGES, page)]
    db.close()
    return result


def main():
    ours, theirs, names = [], [], []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory(dir="/tmp") as folder:
            out = subprocess.run([sys.argv[1], folder], check=True, capture_output=True, text=True).stdout
            lines = [line.split("\t") for line in out.splitlines()]
            names = [line[0] for line in lines]
            ours.append([float(line[1]) for line in lines])
            theirs.append(peer(folder))
    for i, name in enumerate(names):
        a = statistics.median(row[i] for row in ours)
        b = statistics.median(row[i] for row in theirs)
        print(f"{name}\t{a:.0f}\tper second\tpeer python sqlite3 {b:.0f}\tratio {a / b:.2f}")


main()
