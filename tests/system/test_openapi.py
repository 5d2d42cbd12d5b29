"""What the OpenAPI document says of the gateway is true, for requests that nobody thought of."""

from __future__ import annotations

from typing import Any

import hypothesis
import pytest
import schemathesis
from schemathesis.specs.openapi.checks import positive_data_acceptance

from headrace import App
from headrace.gateway import Gateway, Settings

EXAMPLES = 12
DESCRIPTION = "/v1/openapi.json"


@pytest.fixture(scope="module")
def description() -> Any:
    """Give the document of a gateway, and the gateway behind it."""
    app = App("memory:")

    @app.task
    def add(left: int, right: int = 0) -> int:
        return left + right

    @app.task(queue="mail")
    def send(to: list[str], text: str, copies: int | None = None) -> None: ...

    settings = Settings(anonymous=True, hosts=("*",), wait_limit=0.2, wait_default=0.1)
    gateway = Gateway(app, settings)
    yield schemathesis.openapi.from_asgi(DESCRIPTION, gateway)
    app.close()


def test_answers_are_as_described(description: Any) -> None:
    operations = [found.ok() for found in description.get_all_operations()]
    assert len(operations) > 20
    for operation in operations:

        @hypothesis.given(case=operation.as_strategy())
        @hypothesis.settings(
            max_examples=EXAMPLES,
            deadline=None,
            derandomize=True,
            phases=[hypothesis.Phase.generate],
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        def try_out(case: Any) -> None:
            # What does not go together, such as delay and run_at, no schema says: 422 may be right.
            case.call_and_validate(excluded_checks=[positive_data_acceptance])

        try_out()
