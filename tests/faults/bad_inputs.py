"""What nobody should send to a gateway, and what it is told: a row for each, with a number.

Whoever adds a way in adds rows: `INPUTS` is all that `test_bad_inputs.py` drives, each over a
socket of its own. A number is given once; there are gaps.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import repeat
from typing import Any

MEBIBYTE = 1024 * 1024

Part = bytes | float
"""What is sent, or for how many seconds nothing is."""


@dataclass(frozen=True)
class Input:
    """One request that is not right.

    Attributes:
        number: names it.
        title: what is wrong with it.
        sent: the bytes of the request, with pauses.
        status: the status it is answered with.
        kind: the kind of problem, or "" where it is no problem after all.
        closed: whether the connection is closed though the client would go on.
    """

    number: int
    title: str
    sent: tuple[Part, ...]
    status: int
    kind: str
    closed: bool = False


def request(
    body: bytes | str = b"{}",
    path: str = "/v1/tasks/echo",
    *,
    method: str = "POST",
    **fields: str | None,
) -> bytes:
    """Return a request; a field that is None is left out, `content_type` is `Content-Type`."""
    content = body.encode() if isinstance(body, str) else body
    all_fields = {
        "host": "localhost",
        "content_type": "application/json",
        "content_length": str(len(content)),
    } | fields
    head = f"{method} {path} HTTP/1.1\r\n" + "".join(
        f"{name.replace('_', '-')}: {text}\r\n" for name, text in all_fields.items() if text
    )
    return head.encode("latin-1") + b"\r\n" + content


def _json(number: int, title: str, body: bytes | str, status: int, kind: str) -> Input:
    return Input(number, title, (request(body),), status, kind)


def _arguments(value: str) -> str:
    return f'{{"value": {value}}}'


def _option(number: int, title: str, query: str) -> Input:
    sent = request("{}", f"/v1/tasks/echo?{query}")
    return Input(number, title, (sent,), 422, "validation-failed")


def _order(number: int, title: str, body: str, kind: str = "validation-failed") -> Input:
    return Input(number, title, (request(body, "/v1/jobs"),), 422, kind)


def _batch(
    number: int, title: str, jobs: list[str], status: int = 422, kind: str = "validation-failed"
) -> Input:
    body = f'{{"jobs": [{",".join(jobs)}]}}'
    return Input(number, title, (request(body, "/v1/jobs/batch"),), status, kind)


def _lines(number: int, title: str, line: str, times: int, status: int, kind: str) -> Input:
    sent = request(line * times, "/v1/jobs/batch", content_type="application/jsonl")
    return Input(number, title, (sent,), status, kind)


def _with_headers(size: int) -> str:
    return f'{{"task": "echo", "options": {{"headers": {{"x": "{"y" * size}"}}}}}}'


def _wire(number: int, title: str, sent: bytes, status: int = 400) -> Input:
    kind = {400: "malformed-request", 413: "payload-too-large", 431: "headers-too-large"}[status]
    return Input(number, title, (sent,), status, kind, closed=True)


_DEEP = 100_000
_ORDER = '{"task": "echo"}'
_CHUNKED: dict[str, Any] = {"transfer_encoding": "chunked", "content_length": None}

JSON = [
    _json(1, "no body", "", 400, "malformed-request"),
    _json(2, "half an object", "{", 400, "malformed-request"),
    _json(3, "only white space", " \r\n\t", 400, "malformed-request"),
    _json(4, "something after the object", "{} x", 400, "malformed-request"),
    _json(5, "two documents", "{}{}", 400, "malformed-request"),
    _json(6, "a byte order mark", b"\xef\xbb\xbf{}", 400, "malformed-request"),
    _json(7, "UTF-16", "{}".encode("utf-16"), 400, "malformed-request"),
    _json(8, "no UTF-8", b'{"value": "\xff"}', 400, "malformed-request"),
    _json(
        9, "half a surrogate pair, as bytes", b'{"value": "\xed\xa0\x80"}', 400, "malformed-request"
    ),
    _json(10, "half a surrogate pair", _arguments(r'"\ud800"'), 422, "validation-failed"),
    _json(11, "U+0000 is plain data", _arguments(r'"\u0000"'), 202, ""),
    _json(12, "NaN", _arguments("NaN"), 400, "malformed-request"),
    _json(13, "-Infinity", _arguments("-Infinity"), 400, "malformed-request"),
    _json(14, "1e400", _arguments("1e400"), 400, "malformed-request"),
    _json(15, "a number with a leading zero", _arguments("012"), 400, "malformed-request"),
    _json(16, "5,000 digits", _arguments("9" * 5000), 400, "malformed-request"),
    _json(17, "-0 and 1.0 are plain data", _arguments("[-0, 1.0, 1]"), 202, ""),
    _json(18, "a name twice", '{"value": 1, "value": 2}', 400, "malformed-request"),
    _json(
        19, "a name twice, once escaped", r'{"value": 1, "val\u0075e": 2}', 400, "malformed-request"
    ),
    _json(20, "__proto__ is plain data", _arguments('{"__proto__": {"__class__": 1}}'), 202, ""),
    _json(21, "a list of arguments", "[1]", 422, "validation-failed"),
    _json(22, "100,000 levels", "[" * _DEEP, 400, "malformed-request"),
    _json(23, "65 levels", _arguments("[" * 64 + "]" * 64), 400, "malformed-request"),
    _json(
        24,
        "10,001 members",
        _arguments("{" + ",".join(f'"{n}":0' for n in range(10_000)) + "}"),
        413,
        "payload-too-large",
    ),
    _json(25, "a text of a mebibyte", _arguments(f'"{"x" * MEBIBYTE}"'), 413, "payload-too-large"),
    Input(
        26,
        "a length over the limit, and no body",
        (request(b"", content_length=str(MEBIBYTE + 1)),),
        413,
        "payload-too-large",
        closed=True,
    ),
    _json(
        27,
        "arguments over the limit of tasks",
        _arguments(f'"{"x" * 300_000}"'),
        413,
        "payload-too-large",
    ),
    Input(
        28,
        "less than its length says, and silence",
        (request(b"{", content_length="100"), 3.0),
        408,
        "request-timeout",
        closed=True,
    ),
    Input(
        29,
        "a body byte by byte",
        (
            request(b"", content_length="100"),
            *[part for pair in zip(repeat(b"x", 40), repeat(0.1)) for part in pair],
        ),
        408,
        "request-timeout",
        closed=True,
    ),
    Input(30, "gzip", (request(content_encoding="gzip"),), 415, "unsupported-media-type"),
    Input(31, "br in gzip", (request(content_encoding="gzip, br"),), 415, "unsupported-media-type"),
    Input(32, "text/plain", (request(content_type="text/plain"),), 415, "unsupported-media-type"),
    Input(33, "no Content-Type", (request(content_type=None),), 415, "unsupported-media-type"),
    Input(
        34,
        "10,000 parts of a form",
        (request("--x\r\n\r\n" * 10_000, content_type="multipart/form-data; boundary=x"),),
        415,
        "unsupported-media-type",
    ),
    Input(
        200,
        "latin1",
        (request(content_type="application/json; charset=latin1"),),
        415,
        "unsupported-media-type",
    ),
    Input(
        201,
        "JSON-like",
        (request(content_type="application/json-patch+json"),),
        415,
        "unsupported-media-type",
    ),
]


def _chunks(count: int) -> bytes:
    return b"1\r\n \r\n" * count


HTTP = [
    Input(35, "17 KiB of header fields", (request(x="y" * 17 * 1024),), 431, "headers-too-large"),
    _wire(36, "header fields without end", request(x="y" * MEBIBYTE)[:-100], 431),
    _wire(37, "NUL in a field", request(x="a\0b")),
    _wire(38, "a folded field", request(x="a\r\n b")),
    _wire(39, "white space before a colon", request(x=None).replace(b"host:", b"host :")),
    _wire(40, "two lengths", request(content_type="application/json\r\nContent-Length: 3")),
    _wire(41, "a foreign coding", request(b"", transfer_encoding="xchunked", content_length=None)),
    _wire(42, "a length and chunks", request(b"0\r\n\r\n", transfer_encoding="chunked")),
    Input(
        43,
        "a million chunks of a byte",
        (request(b"", **_CHUNKED) + _chunks(1000), *repeat(_chunks(10_000), 100)),
        400,
        "malformed-request",
        closed=True,
    ),
    Input(
        44,
        "trailers of a mebibyte",
        (request(b"2\r\n{}\r\n0\r\n", **_CHUNKED), b"x: " + b"y" * MEBIBYTE),
        400,
        "malformed-request",
        closed=True,
    ),
    Input(46, "up the path", (request(path="/v1/tasks/%2e%2e%2f%2e%2e%2fetc"),), 404, "not-found"),
    Input(47, "no UTF-8 in the path", (request(path="/v1/tasks/%ff"),), 400, "malformed-request"),
    Input(
        48,
        "no UTF-8 in the query",
        (request(path="/v1/tasks/echo?queue=%ff"),),
        400,
        "malformed-request",
    ),
    Input(49, "two hosts", (request(host="localhost\r\nHost: evil"),), 400, "malformed-request"),
    Input(51, "a command as of 1991", (b"GET /\r\n\r\n",), 400, "malformed-request", closed=True),
    Input(
        52,
        "a length over the limit, expecting 100",
        (request(b"", content_length="99999999", expect="100-continue"),),
        413,
        "payload-too-large",
        closed=True,
    ),
    Input(202, "NUL in the path", (request(path="/v1/tasks/%00"),), 400, "malformed-request"),
    Input(203, "a path of 9 KiB", (request(path="/" + "x" * 9 * 1024),), 414, "uri-too-long"),
    Input(204, "no host", (request(host=None),), 400, "malformed-request"),
    Input(
        205,
        "HTTP/1.0 without a host",
        (b"POST /v1/tasks/echo HTTP/1.0\r\n\r\n",),
        400,
        "malformed-request",
        closed=True,
    ),
    Input(
        206,
        "silence in the head",
        (b"POST /v1/tasks/echo HTTP/1.1\r\nHost:", 3.0),
        408,
        "request-timeout",
        closed=True,
    ),
    Input(207, "a method that is not there", (request(method="PUT"),), 405, "method-not-allowed"),
    Input(
        208,
        "TLS where there is none",
        (bytes.fromhex("1603010200010001fc0303"),),
        400,
        "malformed-request",
        closed=True,
    ),
    Input(
        209,
        "a line feed alone",
        (request().replace(b"\r\n", b"\n"),),
        400,
        "malformed-request",
        closed=True,
    ),
]

NAMES = [
    _option(53, "a queue that is a path", "queue=../../etc/passwd"),
    _option(54, "a queue of 129 characters", "queue=" + "q" * 129),
    _option(55, "a queue that is SQL", "queue=a';%20drop%20table%20jobs;--"),
    _option(56, "a queue that is a page", "queue=%3Cscript%3E"),
    _order(57, "a task that is a path", '{"task": "../../bin/sh"}', "unknown-task"),
    _order(58, "a task that is code", '{"task": "builtins.eval"}', "unknown-task"),
    _option(59, "a priority of 2^31", "priority=2147483648"),
    _option(60, "a priority in words", "priority=high"),
    _option(61, "a moment of no year", "run_at=0000-00-00T00:00:00Z"),
    _option(62, "no attempts", "retry.attempts=0"),
    _option(63, "too many attempts", "retry.attempts=1000000000"),
    _option(64, "a factor of 1e308", "retry.factor=1e308"),
    _option(65, "an option that is not there", "prioritty=5"),
    _order(66, "a member that is not there", '{"task": "echo", "prioritty": 5}'),
    _option(67, "1,000 tags", "tags=" + ",".join(map(str, range(1000)))),
    _batch(68, "1,001 jobs", [_ORDER] * 1001, 413, "payload-too-large"),
    _batch(
        69, "a batch with one job that does not fit", [_ORDER, '{"task": "echo", "arguments": []}']
    ),
    _batch(70, "an empty batch", []),
    _lines(71, "1,001 lines", _ORDER + "\n", 1001, 413, "payload-too-large"),
    _lines(72, "a line that is no JSON", _ORDER + "\n{\n", 1, 400, "malformed-request"),
    _lines(
        73,
        "a line without end",
        _ORDER.replace("echo", "x" * MEBIBYTE),
        1,
        413,
        "payload-too-large",
    ),
    _lines(74, "no lines", "\n", 10, 422, "validation-failed"),
    _json(220, "SQL is plain data", _arguments('"\'; drop table jobs;--"'), 202, ""),
    Input(221, "a task that is code", (request(path="/v1/tasks/os.system"),), 422, "unknown-task"),
    _option(222, "a priority of 1.5", "priority=1.5"),
    _option(223, "a priority that is true", "priority=true"),
    _option(224, "a moment in 9999", "run_at=9999-12-31T23:59:59Z"),
    _option(225, "a moment in 10000", "run_at=10000-01-01T00:00:00Z"),
    _option(226, "a moment without a time zone", "run_at=2030-01-01T00:00:00"),
    _option(227, "a leap second", "run_at=2030-06-30T23:59:60Z"),
    _option(228, "a delay and a moment", "delay=1&run_at=2030-01-01T00:00:00Z"),
    _option(229, "an option twice", "priority=1&priority=2"),
    _option(230, "a delay of NaN", "delay=nan"),
    _option(231, "a delay of 1e400", "delay=1e400"),
    _option(232, "a delay before now", "delay=-1"),
    _option(233, "a tag of the gateway's own", "tags=tenant:acme"),
    _option(234, "a key with a control character", "unique_key=%07"),
    _option(235, "a transaction", "tx=1"),
    _order(236, "no task", "{}"),
    _order(237, "arguments that are no object", '{"task": "echo", "arguments": null}'),
    _order(238, "an argument that is not there", '{"task": "resize", "arguments": {"paht": ""}}'),
    _order(239, "options that are no object", '{"task": "echo", "options": [1]}'),
    _order(240, "headers that are numbers", '{"task": "echo", "options": {"headers": {"a": 1}}}'),
    _order(241, "17 KiB of headers", _with_headers(17 * 1024)),
    _order(
        242,
        "kept for a million years",
        '{"task": "echo", "options": {"retention": {"dead": 1e14}}}',
    ),
]

KEYS = [
    Input(75, "an empty key", (request(idempotency_key='""'),), 400, "malformed-request"),
    Input(
        76,
        "a key of 256 characters",
        (request(idempotency_key="k" * 256),),
        400,
        "malformed-request",
    ),
    Input(
        77, "a key that is a list", (request(idempotency_key='"a", "b"'),), 400, "malformed-request"
    ),
    Input(
        78, "a key in Cyrillic", (request(idempotency_key="\xd0\xba"),), 400, "malformed-request"
    ),
    Input(
        79,
        "two keys",
        (request(idempotency_key="a\r\nIdempotency-Key: b"),),
        400,
        "malformed-request",
    ),
    Input(
        83,
        "an id that is a path",
        (request(b"", "/v1/jobs/..%2f", method="GET"),),
        404,
        "not-found",
    ),
    Input(
        84,
        "an id that is SQL",
        (request(b"", "/v1/jobs/1%20OR%201=1", method="GET"),),
        404,
        "not-found",
    ),
    Input(243, "a wish that makes no sense", (request(prefer="wait=soon; ,=;wait"),), 202, ""),
]

INPUTS = (*JSON, *HTTP, *NAMES, *KEYS)
