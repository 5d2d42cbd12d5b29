"""A process may fork while the engine is open: parent and children go on, none disturbs another."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from headrace.engines.sqlite import forking
from headrace.engines.sqlite.forking import Connection, Inside, Lock
from tests.unit.engines.sqlite.looking import complaints, look
from tests.unit.engines.sqlite.programs import run

LOCKS = """
def locks(path):
    "Who holds a lock on the database, by pid."
    inode = os.stat(path).st_ino
    rows = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    return {int(row[4]) for row in rows if int(row[5].rpartition(":")[2]) == inode}
"""

needs_locks = pytest.mark.skipif(
    not Path("/proc/locks").exists(), reason="needs /proc/locks, to see what locks there are"
)


class Guest:
    """A resident without anything to close."""

    def leave(self) -> None:
        """Nothing to close."""

    def forget(self) -> None:
        """Nothing to forget."""


def test_who_comes_at_the_moment_of_a_fork_does_not_disturb_it() -> None:
    gate = forking._Gate()
    gate._installed = True
    early, late = [Guest() for _ in range(9)], Guest()
    coming = threading.Thread(target=gate.welcome, args=(late,))

    class Watched(weakref.WeakSet[forking.Resident]):
        """A set to which somebody else adds while it is listed."""

        def __iter__(self) -> Iterator[forking.Resident]:
            for resident in super().__iter__():
                if coming.ident is None:
                    coming.start()
                    coming.join(0.1)  # it comes now, unless it has to wait
                yield resident

    gate._residents = Watched(early)
    gate._before()
    coming.join(10)
    assert late in gate._residents
    gate._in_parent()


def test_parent_and_child_go_on(path: Path) -> None:
    run(
        """
        engine = opened(sys.argv[1])
        send(engine, "before")

        def work():
            send(engine, "child")
            assert state(engine, "before") is State.READY
            engine.close().wait(PATIENCE)

        child = in_child(work)
        send(engine, "parent")
        ended(child)
        send(engine, "after")
        assert sorted(ready(engine)) == ["after", "before", "child", "parent"]
        engine.close().wait(PATIENCE)
        """,
        path,
    )
    assert complaints(path) == []


@needs_locks
def test_parent_and_child_each_hold_their_own_locks(path: Path) -> None:
    run(
        LOCKS
        + """
engine = opened(sys.argv[1])
send(engine, "a")
pid = os.getpid()

def work():
    send(engine, "b")
    mine = os.getpid()
    until(lambda: {pid, mine} <= locks(sys.argv[1]), "locks of both")
    engine.close().wait(PATIENCE)
    assert mine not in locks(sys.argv[1])
    assert pid in locks(sys.argv[1])

child = in_child(work)
depth(engine)
ended(child)
assert locks(sys.argv[1]) == {pid}
engine.close().wait(PATIENCE)
""",
        path,
    )


@needs_locks
def test_control_a_bare_connection_leaves_the_child_without_locks(path: Path) -> None:
    run(
        LOCKS
        + """
import apsw
path = sys.argv[1]
opened(path).close().wait(PATIENCE)
mine = apsw.Connection(path)
mine.pragma("user_version")

def work():
    other = apsw.Connection(path)
    other.pragma("user_version")
    assert locks(path) == {os.getppid()}

ended(in_child(work))
""",
        path,
    )


def test_a_prefork_server_submits_from_every_child(path: Path) -> None:
    run(
        """
        engine = opened(sys.argv[1])

        def serve(name):
            for number in range(20):
                send(engine, f"{name}{number}")

        children = [in_child(lambda: serve(name)) for name in "abc"]
        for number in range(20):
            send(engine, f"p{number}")
        ended(*children)
        assert sorted(ready(engine)) == sorted(f"{n}{i}" for n in "abcp" for i in range(20))
        engine.close().wait(PATIENCE)
        """,
        path,
    )
    assert complaints(path) == []


def test_forks_under_load_lose_nothing(path: Path) -> None:
    run(
        """
        engine = opened(sys.argv[1])
        stop, sent = threading.Event(), []

        def submit(name):
            number = 0
            while not stop.is_set():
                send(engine, f"{name}{number}")
                sent.append(f"{name}{number}")
                number += 1

        def read():
            while not stop.is_set():
                depth(engine)

        threads = [threading.Thread(target=submit, args=(name,)) for name in "ab"]
        threads.append(threading.Thread(target=read))
        for thread in threads:
            thread.start()
        children = [in_child(lambda: send(engine, f"c{number}")) for number in range(10)]
        ended(*children)
        stop.set()
        for thread in threads:
            thread.join()
        sent += [f"c{number}" for number in range(10)]
        found = []
        while more := ready(engine):
            found += more
        assert sorted(found) == sorted(sent)
        engine.close().wait(PATIENCE)
        """,
        path,
    )
    assert complaints(path) == []


def test_a_child_that_ends_or_opens_does_not_disturb_its_parent(path: Path) -> None:
    run(
        """
        engine = opened(sys.argv[1], poll=30)
        parked = engine.lease(["default"], limit=1, seconds=30, holder="w", wait=30)
        hints = Path(sys.argv[1] + "-hints")
        before = set(os.listdir(hints))

        for call in (lambda: None, lambda: engine.open().wait(PATIENCE),
                     lambda: engine.close().wait(PATIENCE), lambda: depth(engine)):
            pid = os.fork()
            if not pid:
                call()
                sys.exit(0)  # runs what is registered for the end of a process
            ended(pid)
            assert set(os.listdir(hints)) == before, call

        def work():
            send(engine, "a")  # its hint wakes the parent long before the parent looks by itself

        ended(in_child(work))
        assert labels(parked.wait(10)) == ["a"]
        engine.close().wait(PATIENCE)
        assert not hints.exists()
        """,
        path,
    )


def test_a_child_may_close_and_then_read_the_file(path: Path) -> None:
    run(
        """
        engine = opened(sys.argv[1])
        send(engine, "a")

        def work():
            Path(sys.argv[1]).read_bytes()  # the parent's guard is not the child's
            depth(engine)
            try:
                Path(sys.argv[1]).read_bytes()
            except UsageError:
                pass
            else:
                raise AssertionError("the child's own guard should have refused it")
            engine.close().wait(PATIENCE)
            Path(sys.argv[1]).read_bytes()

        ended(in_child(work))
        engine.close().wait(PATIENCE)
        """,
        path,
    )


def test_a_transaction_ends_before_the_fork_and_does_not_cross_it(path: Path) -> None:
    run(
        """
        engine = opened(sys.argv[1], transaction_limit=0.5)
        early, late = engine.begin(), engine.begin()
        assert early.execute("select count(*) from headrace_job").wait(PATIENCE) == [(0,)]
        late.execute("create table mine (n)").wait(PATIENCE)

        def work():
            try:
                early.execute("select 1").wait(PATIENCE)
            except UsageError as error:
                assert "does not cross a fork" in str(error)
            else:
                raise AssertionError("a transaction went on in a child")
            early.rollback().wait(PATIENCE)
            send(engine, "a")

        ended(in_child(work))
        try:
            late.commit().wait(PATIENCE)
        except TransactionTimeout:
            pass
        else:
            raise AssertionError("it was committed although it was rolled back")
        early.execute("create table mine (n)").wait(PATIENCE)
        early.commit().wait(PATIENCE)
        engine.close().wait(PATIENCE)
        """,
        path,
    )
    assert look(path, "select count(*) from mine") == [(0,)]


def test_transactions_that_wait_their_turn_do_not_keep_the_process_from_forking(
    path: Path,
) -> None:
    run(
        """
        from headrace.engines.sqlite import forking
        forking._PATIENCE = 2.0  # a fork that finds somebody inside makes children that refuse
        engine = opened(sys.argv[1], transaction_limit=0.3)
        engine.begin().execute("create table mine (n)").wait(PATIENCE)
        waiting = [engine.begin() for _ in range(8)]
        for tx in waiting:
            tx.execute("select 1").wait(PATIENCE)
        replies = [tx.execute("create table more (n)") for tx in waiting]
        ended(in_child(lambda: send(engine, "a")))
        assert ready(engine) == ["a"]
        engine.close().wait(60)
        """,
        path,
    )


def test_an_engine_that_is_not_open_can_be_opened_by_the_child(path: Path) -> None:
    run(
        """
        engine = SQLiteEngine(sys.argv[1], ballast=0)

        def work():
            engine.open().wait(PATIENCE)
            send(engine, "a")
            engine.close().wait(PATIENCE)

        ended(in_child(work))
        engine.open().wait(PATIENCE)
        assert ready(engine) == ["a"]
        engine.close().wait(PATIENCE)
        """,
        path,
    )


def test_a_child_forked_while_the_database_is_in_use_refuses_to_use_it(path: Path) -> None:
    run(
        """
        from headrace.engines.sqlite import forking
        forking._PATIENCE = 0.1
        engine = opened(sys.argv[1])
        held = engine._database.connect()  # somebody who does not leave

        def work():
            try:
                send(engine, "a")
            except EngineError as error:
                assert "forked while its database was in use" in str(error), error
            else:
                raise AssertionError("the child used what it must not use")

        ended(in_child(work))
        held.close()
        send(engine, "b")
        ended(in_child(lambda: send(engine, "c")))
        assert ready(engine) == ["b", "c"]
        engine.close().wait(PATIENCE)
        """,
        path,
    )


def test_a_connection_counts_until_it_is_closed(connection: apsw.Connection, path: Path) -> None:
    before = forking._gate._inside
    one = Connection(str(path))
    with Inside():
        assert forking._gate._inside == before + 2
    one.close()
    one.close()
    with pytest.raises(apsw.CantOpenError):
        Connection(str(path / "no folder"))
    assert forking._gate._inside == before
    assert isinstance(connection, Connection)


def test_who_comes_while_the_process_forks_waits() -> None:
    gate = forking._Gate()
    gate._before()
    thread = threading.Thread(target=gate.enter)
    thread.start()
    thread.join(0.1)
    assert gate._inside == 0
    gate._in_parent()
    thread.join()
    assert gate._inside == 1


def test_a_child_finds_a_lock_free() -> None:
    lock = Lock()
    with lock:
        lock.forget()  # as in the child of somebody who holds it
        with lock:
            pass
        lock._lock.acquire()
