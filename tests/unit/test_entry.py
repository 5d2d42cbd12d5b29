"""Every child begins by reading what it is to be."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from headrace.app import App
from headrace.child import Child
from headrace.errand import ANSWER, NOTE, READY, Answer, Errand, decode_answer
from headrace.errand import encode as encode_errand
from headrace.order import ENTRY, RETIRING, STOP, Serve, Work, encode, farewell
from headrace.signals import STOP_SIGNALS
from tests.unit.waiting import until
from tests.unit.worker.stage import lease

PROGRAM = """
import gc, os, signal, time
from headrace import App, Context

app = App("sqlite:///jobs.db", poll=0.05, grace=5.0)

@app.task
def add(n: int) -> int:
    return n + 1

@app.task(process=True)
def store(ctx: Context, n: int) -> str:
    ctx.progress(n)
    with ctx.transaction() as tx:
        tx.execute("create table if not exists mine (n integer)")
        tx.execute("insert into mine values (?)", (n,))
        tx.done("stored")
    return "not this"

@app.task
def deaf() -> None:
    time.sleep(3600)
"""

Spawn = Callable[[Serve | Work], Child]


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[App]:
    """Give an App on the program's file, with some of its tasks."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "program.py").write_text(PROGRAM)
    app = App("sqlite:///jobs.db", poll=0.05, grace=5.0)

    @app.task
    def add(n: int) -> int:
        return n + 1

    @app.task
    def deaf() -> None: ...

    yield app
    app.close()


@pytest.fixture
def spawn() -> Iterator[Spawn]:
    before = set(psutil.Process().children(recursive=True))  # a server of other tests, perhaps
    children: list[Child] = []

    def start(order: Serve | Work) -> Child:
        children.append(Child(ENTRY))
        children[-1].channel.send(encode(order))
        return children[-1]

    yield start
    for child in children:
        child.close()
    assert set(psutil.Process().children(recursive=True)) <= before


@pytest.mark.usefixtures("app")
def test_a_child_can_serve_calls(spawn: Spawn) -> None:
    child = spawn(Serve("program.py"))
    assert child.channel.receive() == READY
    child.channel.send(encode_errand(Errand(lease(task="add", body=b'{"n": 1}'))))
    message = child.channel.receive()
    assert message is not None
    assert message[:1] == ANSWER
    assert bytes(decode_answer(message[1:]).ending.result) == b"2"


@pytest.mark.usefixtures("app")
def test_signals_do_not_end_a_child_that_serves(spawn: Spawn) -> None:
    child = spawn(Serve("program.py"))
    assert child.channel.receive() == READY
    request = encode_errand(Errand(lease(task="add", body=b'{"n": 1}')))
    child.channel.send(request)
    assert child.channel.receive() is not None
    process = psutil.Process(child.pid)
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGINT)
    child.channel.send(request)
    assert child.channel.receive() is not None


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_a_signal_ends_a_worker_that_has_not_begun(
    app: App, spawn: Spawn, tmp_path: Path, number: signal.Signals
) -> None:
    with (tmp_path / "program.py").open("a") as program:
        program.write(f"signal.raise_signal({int(number)})\n")
        program.write("raise AssertionError('it went on')\n")
    job = app.registry.get("add").submit(4)
    child = spawn(Work(target="program.py", holder=app.ids.nonce()))
    psutil.Process(child.pid).send_signal(number)  # perhaps before its first instruction
    assert child.wait(60) == 0
    assert child.evidence().logs == ()
    assert job.refresh().state == "ready"


@pytest.mark.usefixtures("app")
def test_a_signal_during_its_import_does_not_end_a_child_that_serves(
    spawn: Spawn, tmp_path: Path
) -> None:
    with (tmp_path / "program.py").open("a") as program:
        program.write("signal.raise_signal(signal.SIGTERM)\nsignal.raise_signal(signal.SIGINT)\n")
    child = spawn(Serve("program.py"))
    child.channel.send(encode_errand(Errand(lease(task="add", body=b'{"n": 1}'))))
    assert child.channel.receive() is not None


def test_a_transaction_in_a_child_settles_its_job(app: App, spawn: Spawn) -> None:
    @app.task
    def store(n: int) -> str:
        pytest.fail(f"{n} ran here")

    job = store.submit(5)
    (claimed,) = app.engine.lease(["default"], limit=1, seconds=60, holder="tester").wait(30)
    child = spawn(Serve("program.py"))
    assert child.channel.receive() == READY
    child.channel.send(encode_errand(Errand(claimed)))
    messages = [child.channel.receive() or b"", child.channel.receive() or b""]
    assert messages[0][:1] == NOTE
    answer: Answer = decode_answer(messages[1][1:])
    assert answer.settled, answer
    assert job.result(30) == "stored"


def test_a_child_can_be_a_worker(app: App, spawn: Spawn) -> None:
    child = spawn(Work(target="program.py", holder=app.ids.nonce()))
    add = app.registry.get("add")
    assert add.submit(4).result(60) == 5
    child.channel.send(STOP)
    assert child.channel.receive() == farewell(0)
    assert child.wait(60) == 0


def test_what_a_worker_has_imported_is_not_looked_through_again(app: App, spawn: Spawn) -> None:
    @app.task
    def frozen() -> int:
        return -1

    with Path("program.py").open("a") as program:
        program.write("@app.task\ndef frozen() -> int:\n    return gc.get_freeze_count()\n")
    spawn(Work(target="program.py", holder=app.ids.nonce()))
    assert frozen.submit().result(60) > 10_000


def test_a_worker_ends_in_order_when_its_supervisor_is_gone(app: App, spawn: Spawn) -> None:
    child = spawn(Work(target="program.py", holder=app.ids.nonce()))
    app.registry.get("add").submit(4).result(60)
    child.channel.close()
    assert child.wait(60) == 0


def test_a_worker_says_that_it_retires(app: App, spawn: Spawn) -> None:
    add = app.registry.get("add")
    jobs = app.submit([add.call(n) for n in range(5)])
    child = spawn(Work(target="program.py", holder=app.ids.nonce(), most_jobs=2))
    assert child.channel.receive() == RETIRING
    assert child.channel.receive() == farewell(77)
    assert child.wait(60) == 77
    states = [job.refresh().state.value for job in jobs]
    assert states.count("succeeded") == 2
    assert states.count("ready") == 3


def test_a_worker_ends_although_a_thread_does_not(app: App, spawn: Spawn) -> None:
    settings = {"grace": 0.2}
    child = spawn(Work(target="program.py", holder=app.ids.nonce(), settings=settings))
    job = app.registry.get("deaf").submit()
    until(lambda: job.refresh().state == "running", "it to run")
    child.channel.send(STOP)
    assert child.wait(60) == 0
    assert (job.refresh().state, job.refresh().attempt, job.refresh().lost) == ("ready", 0, 0)


@pytest.mark.usefixtures("app")
def test_a_program_that_is_not_there_is_a_usage_error(spawn: Spawn) -> None:
    for order in (Serve("gone.py"), Work(target="gone.py"), Work()):
        child = spawn(order)
        assert child.channel.receive() == (farewell(2) if isinstance(order, Work) else None)
        assert child.wait(60) == 2
    assert "there is no file gone.py" in "".join(spawn(Serve("gone.py")).evidence().logs)


def test_it_is_no_command_for_people() -> None:
    command = [sys.executable, "-m", ENTRY]
    process = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    assert process.returncode == 2
    assert b"headrace worker" in process.stderr
