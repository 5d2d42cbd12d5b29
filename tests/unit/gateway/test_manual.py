"""The gateway describes itself to whoever may use it, and comes with a module for browsers."""

from __future__ import annotations

import pytest

from headrace.app import App
from headrace.gateway import Caller, Gateway
from tests.unit.gateway.conftest import Client


def test_the_document_is_answered_with_a_tag(client: Client) -> None:
    first = client("GET", "/v1/openapi.json")
    assert first.status_code == 200
    assert "/v1/tasks/add" in first.json()["paths"]
    again = client("GET", "/v1/openapi.json", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_a_caller_reads_of_the_tasks_that_it_may_call(app: App) -> None:
    async def admit(_: object) -> Caller:
        return Caller(name="k", scopes=frozenset({"jobs:submit"}), queues=("boxes",))

    paths = Client(Gateway(app, admit=admit))("GET", "/v1/openapi.json").json()["paths"]
    assert "/v1/tasks/boxes.pack" in paths
    assert "/v1/tasks/add" not in paths


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/v1/docs", "text/html"),
        ("/v1/docs.css", "text/css"),
        ("/v1/docs.js", "text/javascript"),
        ("/v1/headrace.js", "text/javascript"),
    ],
)
def test_files_are_sent_safely_and_once(client: Client, path: str, kind: str) -> None:
    answer = client("GET", path)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == f"{kind}; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    tag = {"If-None-Match": answer.headers["etag"]}
    assert client("GET", path, headers=tag).status_code == 304


def test_the_module_is_small(client: Client) -> None:
    text = client("GET", "/v1/headrace.js").text
    assert text.count("\n") < 300
    assert "import " not in text.replace("//   import ", "").replace("import.meta", "")
