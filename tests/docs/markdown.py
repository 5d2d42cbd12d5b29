"""What a documentation page promises: its code blocks, their commands, its links."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

_FENCE = re.compile(r"^(?P<indent> *)(?P<marks>`{3,}|~{3,})(?P<info>[^`]*)$")
_EXITS = re.compile(r"^(?P<text>.*?)\s+# exits (?P<code>\d+)$")
_LINK = re.compile(r"\[[^\]]*\]\(\s*<?([^)\s>]+)>?[^)]*\)")
_HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*#*$")


@dataclass(frozen=True)
class Block:
    """A fenced block: where its first line of text stands, its info string and its text."""

    line: int
    language: str
    words: tuple[str, ...]
    text: str

    @property
    def title(self) -> str | None:
        """The file that the reader is told to save it as, from `title="app.py"`."""
        for word in self.words:
            if word.startswith("title="):
                return word.removeprefix("title=").strip('"')
        return None


@dataclass(frozen=True)
class Command:
    """A `$ ` line of a console block, how it must end, and what it is shown to print."""

    line: int
    text: str
    exits: int
    background: bool
    expected: tuple[str, ...]


def pages() -> list[Path]:
    """Name every page: those at the root and all below docs."""
    return sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def blocks(text: str) -> Iterator[Block]:
    """Yield the fenced blocks of a page, in order."""
    lines = enumerate(text.splitlines(), 1)
    for number, line in lines:
        if opened := _FENCE.match(line):
            inside = []
            for _, following in lines:
                if following.strip() == opened["marks"]:
                    break
                inside.append(following.removeprefix(opened["indent"]))
            language, *words = opened["info"].split() or [""]
            yield Block(number + 1, language, tuple(words), "\n".join(inside) + "\n")


def commands(block: Block) -> list[Command]:
    """Read the commands of a console block, each with the output shown beneath it.

    A command continues after a backslash at its end. `# exits 2` at its end says how it must
    end; ` &`, or the word `background` in the info string, that it runs until the page ends.

    Raises:
        ValueError: the block shows no command, or shows output before the first.
    """
    found: list[Command] = []
    lines = enumerate(block.text.splitlines(), block.line)
    for number, line in lines:
        if line.startswith("$ "):
            text = line.removeprefix("$ ")
            while text.endswith("\\"):
                text = text.removesuffix("\\") + next(lines)[1].strip().removeprefix("> ")
            found.append(_command(number, text.strip(), everywhere="background" in block.words))
        elif found:
            shown = (*found[-1].expected, *([line] if line.strip() else []))
            found[-1] = _expecting(found[-1], shown)
        elif line.strip() and not line.startswith("#"):
            raise ValueError(f"line {number}: output before the first '$ ' line")
    if not found:
        raise ValueError(f"line {block.line}: a console block without a '$ ' line runs nothing")
    return found


def _command(line: int, text: str, *, everywhere: bool) -> Command:
    exits = _EXITS.match(text)
    if exits:
        text = exits["text"]
    background = everywhere or text.endswith(" &")
    return Command(
        line, text.removesuffix(" &"), int(exits["code"]) if exits else 0, background, expected=()
    )


def _expecting(command: Command, expected: tuple[str, ...]) -> Command:
    return Command(command.line, command.text, command.exits, command.background, expected)


def first_missing(expected: tuple[str, ...], output: str) -> str | None:
    """Return the first expected line that the output does not hold, in order; None if it holds all.

    Spaces count once and `…` stands for anything, so that widths and figures may differ.
    """
    remaining = [_squeezed(line) for line in output.splitlines()]
    for line in expected:
        pattern = re.compile(".*".join(re.escape(part) for part in _squeezed(line).split("…")))
        for index, candidate in enumerate(remaining):
            if pattern.search(candidate):
                remaining = remaining[index + 1 :]
                break
        else:
            return line
    return None


def _squeezed(line: str) -> str:
    return " ".join(line.split())


def prose(text: str) -> str:
    """Return a page without its fenced blocks and inline code."""
    for block in blocks(text):
        text = text.replace(block.text, "\n")
    return re.sub(r"`[^`\n]*`", "", text)


def links(text: str) -> list[str]:
    """Return the targets of a page's links."""
    return _LINK.findall(prose(text))


def anchors(text: str) -> set[str]:
    """Return the fragments under which a page's headings can be reached."""
    for block in blocks(text):
        text = text.replace(block.text, "\n")
    headings = [found[1] for line in text.splitlines() if (found := _HEADING.match(line))]
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
