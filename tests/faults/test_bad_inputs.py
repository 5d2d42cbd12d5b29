"""A gateway that is sent what nobody should send answers, says what is wrong, and lives on."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import psutil
import pytest

from tests.faults.bad_inputs import INPUTS, MEBIBYTE, Input, request

GROWTH = 50 * MEBIBYTE
SECONDS = 30.0


@dataclass(frozen=True)
class Answer:
    """What came back over a socket."""

    status: int
    fields: dict[str, str]
    content: bytes
    closed: bool


@dataclass(frozen=True)
class Server:
    """A gateway in a process of its own."""

    process: subprocess.Popen[bytes]
    port: int

    @property
    def memory(self) -> int:
        """Bytes that it has in memory."""
        return int(psutil.Process(self.process.pid).memory_info().rss)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    command = [sys.executable, "-m", "tests.faults.doorstep"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield Server(process, int(process.stdout.readline()))
        process.terminate()


def ask(server: Server, sent: Input) -> Answer:
    """Send an input, whatever the server says meanwhile, and return what it says."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=SECONDS) as talk:
        answered = threading.Event()
        speaker = threading.Thread(target=_speak, args=(talk, sent, answered))
        speaker.start()
        try:
            return _listen(talk)
        finally:
            answered.set()
            with suppress(OSError):  # the server has closed it
                talk.shutdown(socket.SHUT_RDWR)
            speaker.join()


def _speak(talk: socket.socket, sent: Input, answered: threading.Event) -> None:
    with suppress(OSError):  # the server does not listen any more, as it may
        for part in sent.sent:
            if isinstance(part, bytes):
                talk.sendall(part)
            elif answered.wait(part):
                return


def _listen(talk: socket.socket) -> Answer:
    received = b""
    while b"\r\n\r\n" not in received:
        received += _more(talk) or pytest.fail(f"no answer but {received[:200]!r}")
    head, content = received.split(b"\r\n\r\n", 1)
    status, *lines = head.decode("latin-1").split("\r\n")
    fields = {name.lower(): text for name, _, text in (line.partition(": ") for line in lines)}
    while len(content) < int(fields["content-length"]):
        content += _more(talk) or pytest.fail(f"half an answer: {received[:200]!r}")
    closed = fields.get("connection") == "close"
    return Answer(int(status.split()[1]), fields, content, closed)


def _more(talk: socket.socket) -> bytes:
    try:
        return talk.recv(65536)
    except ConnectionResetError:
        return b""


def complaints(bad: Input, answer: Answer) -> Iterator[str]:
    """Yield what is not as it should be."""
    if answer.status != bad.status:
        yield f"{answer.status} instead of {bad.status}: {answer.content!r:.500}"
    if bad.closed and not answer.closed:
        yield "the connection is not closed"
    if not bad.kind:
        return
    if answer.fields["content-type"] != "application/problem+json":
        yield f"no problem, but {answer.fields['content-type']}"
        return
    problem = json.loads(answer.content)
    if not problem["type"].endswith(f"/{bad.kind}") or problem["status"] != answer.status:
        yield f"another problem: {problem}"


@pytest.mark.parametrize(
    "bad", INPUTS, ids=lambda bad: f"{bad.number}-{bad.title}".replace(" ", "-")
)
def test_it_says_what_is_wrong(server: Server, bad: Input) -> None:
    assert list(complaints(bad, ask(server, bad))) == []


def test_it_lives_on(server: Server) -> None:
    before = server.memory
    for bad in INPUTS:
        if all(isinstance(part, bytes) for part in bad.sent):
            assert ask(server, bad).status < 500
    assert server.memory - before < GROWTH
    assert ask(server, Input(0, "nothing", (request(),), 202, "")).status == 202
    assert server.process.poll() is None


@pytest.mark.parametrize(
    ("status", "kind", "content"),
    [
        (
            500,
            "application/problem+json",
            b'{"type": "/v1/problems/internal-error", "status": 500}',
        ),
        (400, "text/plain", b"Invalid HTTP request received."),
        (400, "application/problem+json", b'{"type": "/v1/problems/forbidden", "status": 400}'),
        (400, "application/problem+json", b'{"type": "/malformed-request", "status": 500}'),
    ],
)
def test_a_planted_answer_is_found(status: int, kind: str, content: bytes) -> None:
    bad = Input(0, "planted", (), 400, "malformed-request")
    answer = Answer(status, {"content-type": kind}, content, closed=False)
    assert list(complaints(bad, answer))


def test_every_number_is_there_once() -> None:
    numbers = [bad.number for bad in INPUTS]
    assert len(set(numbers)) == len(numbers)
