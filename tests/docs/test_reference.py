"""The reference pages name everything that the code has, and nothing else."""

import re
from collections.abc import Iterable

import msgspec
import pytest

import headrace
import headrace.client
import headrace.gateway
import headrace.testing
import headrace.webhooks
from headrace import errors
from headrace.config import Config
from headrace.engine import Engine
from headrace.gateway.handover.options import Wishes
from headrace.gateway.problem import TITLES
from headrace.gateway.settings import Settings
from headrace.job import Job
from headrace.message import Message
from headrace.record import Cause, State
from tests.docs.markdown import ROOT, blocks, links

REFERENCE = ROOT / "docs" / "reference"
_ROW = re.compile(r"^\| (?P<first>`[^|]*) \|", re.MULTILINE)
_RULE = re.compile(r"^\*\*([A-Z]\d)\*\*", re.MULTILINE)


def page(name: str) -> str:
    """Return the text of a reference page."""
    return (REFERENCE / name).read_text(encoding="utf-8")


def section(text: str, heading: str) -> str:
    """Return what stands below a heading, up to the next one."""
    return re.split(r"^#+ ", text.split(f"# {heading}\n")[1], maxsplit=1, flags=re.MULTILINE)[0]


def rows(text: str) -> list[str]:
    """Return the words in code that begin the rows of a text's tables."""
    return [word for row in _ROW.findall(text) for word in re.findall(r"`([^`]*)`", row)]


def named(lines: Iterable[str]) -> set[str]:
    """Return the names of errors in a drawn tree."""
    return {found[0] for line in lines if (found := re.search(r"\b[A-Z][A-Za-z]+\b", line))}


def test_protocol_names_every_field_of_the_envelope() -> None:
    assert rows(section(page("protocol.md"), "The message")) == list(Message.__struct_fields__)


def test_protocol_shows_a_message_that_can_be_read() -> None:
    shown = next(block for block in blocks(page("protocol.md")) if block.language == "json")
    message = msgspec.json.decode(shown.text, type=Message)
    assert message.task == "thumbnail"


def test_protocol_draws_every_state() -> None:
    picture = next(block for block in blocks(page("protocol.md")) if block.language == "text")
    assert {state for state in State if state not in picture.text} == set()


def test_protocol_names_every_cause() -> None:
    words = set(rows(page("protocol.md").split("word for programs:")[1].split("\n#")[0]))
    assert words == set(Cause)


def test_rules_are_named_once_and_in_order() -> None:
    rules = _RULE.findall(page("protocol.md"))
    assert rules
    for letter in {rule[0] for rule in rules}:
        own = [rule for rule in rules if rule[0] == letter]
        assert own == [f"{letter}{number}" for number in range(1, len(own) + 1)]


@pytest.mark.parametrize("source", sorted(path.name for path in REFERENCE.glob("*.md")))
def test_rules_that_are_quoted_exist(source: str) -> None:
    rules = set(_RULE.findall(page("protocol.md")))
    quoted = set(re.findall(r"\(([LOUQPCEMT]\d)\)|see ([LOUQPCEMT]\d)", page(source)))
    assert {name for pair in quoted for name in pair if name} <= rules


def test_configuration_names_every_setting() -> None:
    assert rows(section(page("configuration.md"), "Settings"))[::2] == list(
        Config.__struct_fields__
    )


def test_configuration_names_every_variable() -> None:
    shown = rows(section(page("configuration.md"), "Settings"))[1::2]
    assert shown == [f"HEADRACE_{name.upper()}" for name in Config.__struct_fields__]


def test_errors_are_drawn_as_in_the_code() -> None:
    drawn = (errors.__doc__ or "").split("HeadraceError")[1].split("The messages say")[0]
    shown = next(block for block in blocks(page("errors.md")) if block.language == "text")
    assert named(shown.text.splitlines()) - {"HeadraceError"} == named(drawn.splitlines())


def test_every_error_has_its_remedy() -> None:
    remedies = rows(page("errors.md"))
    leaves = {
        kind.__name__
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, Exception) and not kind.__subclasses__()
    }
    assert leaves <= set(remedies)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("| `a` | b |\n| `c` | d |\n", ["a", "c"]),
        ("| `a`, `b` | c |\n", ["a", "b"]),
        ("| word | `a` |\n|---|---|\n", []),
    ],
)
def test_rows_are_read_from_tables(text: str, found: list[str]) -> None:
    assert rows(text) == found


def test_a_section_ends_at_the_next_heading() -> None:
    assert section("# One\nx\n## Two\ny\n### Three\nz\n", "Two") == "y\n"


def test_architecture_draws_every_module() -> None:
    tree = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8").split("# The tree")[1]
    drawn = re.findall(r"\b([a-z_]+)(?:\.py|/(?= ))", tree.split("```")[1])
    source = ROOT / "src" / "headrace"
    modules = {path.stem for path in source.glob("[!_]*") if path.suffix in {"", ".py"}}
    assert sorted(drawn) == sorted(modules)


def test_every_public_name_is_on_the_page() -> None:
    words = set(re.findall(r"\w+", page("api.md")))
    modules = (headrace, headrace.client, headrace.gateway, headrace.testing, headrace.webhooks)
    assert {name for module in modules for name in module.__all__} <= words


@pytest.mark.parametrize(
    ("prefix", "kind"),
    [
        ("app", headrace.App),
        ("task", headrace.Task),
        ("job", Job),
        ("ctx", headrace.Context),
        ("ctx", headrace.testing.ManualContext),
        ("test", headrace.testing.Harness),
        ("client", headrace.client.Client),
        ("client", headrace.client.AsyncClient),
        ("gateway", headrace.gateway.Gateway),
    ],
)
def test_every_public_method_is_on_the_page(prefix: str, kind: type) -> None:
    shown = set(re.findall(rf"`{prefix}\.(\w+)`", page("api.md")))
    methods = {name for name in vars(kind) if not name.startswith("_")}
    assert methods <= shown


def test_every_method_of_an_engine_is_on_the_page() -> None:
    roles = Engine.__mro__
    methods = {name for role in roles for name in vars(role) if not name.startswith("_")}
    assert methods <= set(re.findall(r"`(\w+)`", section(page("api.md"), "Engines")))


def test_contents_lead_to_every_page() -> None:
    contents = ROOT / "docs" / "README.md"
    linked = {contents.parent / link for link in links(contents.read_text(encoding="utf-8"))}
    assert set((ROOT / "docs").rglob("*.md")) - {contents} <= linked


def test_http_names_every_setting_option_and_kind() -> None:
    text = page("http.md")
    assert rows(section(text, "Limits")) == list(Settings.__struct_fields__)
    assert rows(section(text, "Options")) == list(Wishes.__struct_fields__)
    assert rows(section(text, "Problems")) == list(TITLES)
