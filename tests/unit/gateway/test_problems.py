"""Each kind of problem is explained where its type points to."""

from __future__ import annotations

import pytest

from headrace import App
from headrace.gateway import Gateway
from headrace.gateway.problem import TITLES
from headrace.gateway.problems import REMEDIES
from tests.unit.gateway.asking import Asker


@pytest.mark.parametrize("kind", TITLES)
def test_a_kind_says_what_to_do(kind: str) -> None:
    assert REMEDIES[kind].endswith(".")


def test_there_are_no_others() -> None:
    assert REMEDIES.keys() == TITLES.keys()


def test_a_type_leads_to_its_explanation(app: App) -> None:
    stranger = Asker(Gateway(app))
    problem = stranger("GET", "/v1/jobs/x").json()
    told = stranger("GET", problem["type"])
    assert told.status_code == 200
    assert told.json() == {
        "type": problem["type"],
        "title": problem["title"],
        "status": 401,
        "remedy": REMEDIES["unauthenticated"],
    }


def test_all_of_them(ask: Asker) -> None:
    assert len(ask("GET", "/v1/problems").json()["problems"]) == len(TITLES)
    assert ask("GET", "/v1/problems/unheard-of").status_code == 404
