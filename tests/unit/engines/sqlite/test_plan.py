"""Plans run on any connection; statements are files, and each of them is used and cheap."""

from __future__ import annotations

import ast
from pathlib import Path

import apsw
import msgspec
import pytest

from headrace.engines.sqlite import plan
from headrace.engines.sqlite.plan import Plan, do, document, run

FOLDER = Path(plan.__file__).parent
FILES = sorted((FOLDER / "sql").glob("*.sql"))

# Full scans, and why they are no harm.
SCANS = {
    ("cancelling_any", "headrace_cancelling"),  # ends at the first row
    ("held", "headrace_cancelling"),  # as above
    ("claim_token", "headrace_engine"),  # has one row
    ("token", "headrace_engine"),  # as above
    ("token_raise", "headrace_engine"),  # as above
    ("depart_live", "headrace_running"),  # what workers hold is little
    ("depart_finished", "finished"),  # ends at the limit
    ("depart_entries", "headrace_entry"),  # as above
    ("depart_entries", "headrace_queue"),  # there are few queues
    ("queue_status", "queue"),  # there are few queues
    ("queue_status", "headrace_scheduled"),  # asked for by people, who want a count
    ("queue_status", "headrace_running"),  # what workers hold is little
    ("running_expired", "running"),  # as above
    ("running_of_holder", "running"),  # as above
    ("ids", "job"),  # as below
    ("records", "job"),  # always continued by a condition, or read backwards to a limit
    ("ids", "job"),  # as above
}


def test_a_plan_is_sent_rows_and_returns_its_answer(connection: apsw.Connection) -> None:
    def add(number: int) -> Plan[int]:
        ((first,),) = yield "select ?", (number,)
        ((second,),) = yield "select ? + 1", (first,)
        return int(second)

    assert run(connection, add(40)) == 41


def test_an_error_ends_the_plan_at_its_statement(connection: apsw.Connection) -> None:
    reached = []

    def fail() -> Plan[None]:
        yield "select * from nowhere", ()
        reached.append("the next statement")

    with pytest.raises(apsw.SQLError, match="nowhere"):
        run(connection, fail())
    assert reached == []


def test_a_document_keeps_raw_json_as_it_is() -> None:
    assert document([(1, msgspec.Raw(b'{"a":1.50}'))]) == '[[1,{"a":1.50}]]'


def test_the_name_of_no_file_is_a_mistake_of_ours() -> None:
    with pytest.raises(FileNotFoundError):
        do("no_such_statement")


def test_every_statement_file_is_used() -> None:
    strings: set[str] = set()
    for source in FOLDER.glob("*.py"):
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                strings.add(node.value)
    assert [file.name for file in FILES if file.stem not in strings] == []


def scans(connection: apsw.Connection, text: str) -> list[str]:
    """Return what a statement goes through from the beginning to the end."""
    for count in range(10):
        try:
            rows = connection.execute(f"explain query plan {text}", (None,) * count).fetchall()
        except apsw.BindingsError:
            continue
        details = [str(row[3]) for row in rows]
        return [d.split()[1] for d in details if d.startswith("SCAN") and "VIRTUAL" not in d]
    raise AssertionError("ten parameters are not enough")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_no_statement_goes_through_a_whole_table(connection: apsw.Connection, file: Path) -> None:
    known = {table for name, table in SCANS if name == file.stem}
    tables = {
        name
        for name in scans(connection, file.read_text(encoding="utf-8"))
        if not name.startswith("(") and name not in {"CONSTANT", "ended", "sent", "fresh"}
    }
    assert tables <= known


def test_a_scan_is_found(connection: apsw.Connection) -> None:
    text = "select seq from headrace_job where task = ?"
    assert scans(connection, text) == ["headrace_job"]
