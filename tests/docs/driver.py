"""Does what one page tells its reader to do, in a process and a folder of its own.

Run as `python -W error -m tests.docs.driver PAGE` with the folder to work in as the current one.
"""

import configparser
import importlib
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

from tests.docs.markdown import ROOT, Block, Command, blocks, commands, first_missing

COMMAND_SECONDS = 100
STOP_SECONDS = 30

# Blocks that hold nothing to run, by the name of what they are.
INERT = {
    "diff": "a change that the prose talks about",
    "mermaid": "a picture",
    "sql": "a statement of ours, quoted; the engine's own tests run it",
    "text": "a picture, a message or an output",
}

# Commands that are shown to the reader but not run here, each with its reason.
NOT_RUN = {
    r"make( [a-z.-]+)*( PYTHON=\S+)?": "these tests run inside make: it would start itself again",
    r"\.ci/run": "as above",
    r"(\S+ -m )?pip install .*": "fetches from a package index; the checkout is what is tested",
    r"git clone .*": "fetches the repository",
    r"cd headrace": "enters the clone that was not made",
}


class PageError(Exception):
    """A page promises what does not happen."""


class Session:
    """One reader at work: a namespace, a folder, and the commands started in the background."""

    def __init__(self) -> None:
        self._main = ModuleType("__main__")
        self._running: list[tuple[Command, subprocess.Popen[bytes]]] = []
        # What tasks and dataclasses look up under their module's name must be found there.
        sys.modules["__main__"] = self._main

    def read(self, page: Path) -> None:
        """Follow a page from its first block to its last.

        Raises:
            PageError: a block does not do what the page says; the message names page and line.
        """
        try:
            for block in blocks(page.read_text(encoding="utf-8")):
                self._follow(page, block)
        finally:
            ended = self._stop()
        for command, code in ended:
            self._judge(page, command, code, output="")

    def _follow(self, page: Path, block: Block) -> None:
        for word in block.words:
            if not word.startswith("title=") and word != "background":
                raise PageError(f"{page}:{block.line}: '{word}' means nothing here")
        if block.title:
            Path(block.title).write_text(block.text, encoding="utf-8")
        if block.language == "python":
            self._run_python(page, block)
            return
        try:
            shown = commands(block) if block.language in {"console", "sh"} else _parse(block)
        except ValueError as error:
            raise PageError(f"{page}:{block.line}: {error}") from error
        for command in shown:
            self._run_command(page, command)

    def _run_python(self, page: Path, block: Block) -> None:
        if block.title:
            name = Path(block.title).stem
            sys.modules.pop(name, None)
            importlib.invalidate_caches()
            importlib.import_module(name)
            return
        # Padded, so that a traceback names the line of the page.
        code = compile("\n" * (block.line - 1) + block.text, str(page), "exec")
        exec(code, self._main.__dict__)  # noqa: S102 - running the page is what this is for

    def _run_command(self, page: Path, command: Command) -> None:
        if any(re.fullmatch(pattern, command.text) for pattern in NOT_RUN):
            return
        if command.background:
            process = subprocess.Popen(["/bin/sh", "-c", f"exec {command.text}"])
            self._running.append((command, process))
            return
        done = subprocess.run(
            ["/bin/sh", "-c", command.text],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=COMMAND_SECONDS,
            check=False,
        )
        self._judge(page, command, done.returncode, done.stdout)

    def _judge(self, page: Path, command: Command, code: int, output: str) -> None:
        place = f"{page}:{command.line}: $ {command.text}"
        if code != command.exits:
            raise PageError(f"{place}\nexits {code}, not {command.exits}, and prints:\n{output}")
        if (line := first_missing(command.expected, output)) is not None:
            raise PageError(f"{place}\nprints no line like '{line}', but:\n{output}")

    def _stop(self) -> list[tuple[Command, int]]:
        """End what still runs as its user would, with SIGTERM, and tell how it ended."""
        for _, process in self._running:
            process.terminate()
        return [(command, _exit_code(process)) for command, process in self._running]


def _exit_code(process: subprocess.Popen[bytes]) -> int:
    """Wait for a process that was asked to end, and count its exit as a shell does."""
    try:
        code = process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        code = process.wait()
    return code if code >= 0 else 128 - code


def _parse(block: Block) -> list[Command]:
    """Check a block of data by parsing it; it shows no commands.

    Raises:
        ValueError: it does not parse, or nothing here knows its language.
    """
    match block.language:
        case "toml":
            tomllib.loads(block.text)
        case "json":
            json.loads(block.text)
        case "ini":
            configparser.ConfigParser(strict=False, interpolation=None).read_string(block.text)
        case language if language not in INERT:
            raise ValueError(f"cannot check a '{language}' block")
    return []


def _as_a_reader() -> None:
    """Forget what only the tests know: the checkout on the path, and Headrace's settings."""
    os.environ.pop("PYTHONPATH", None)
    here = [entry for entry in sys.path if entry and Path(entry).resolve() != ROOT]
    sys.path[:] = [str(Path.cwd()), *here]
    for name in [name for name in os.environ if name.startswith("HEADRACE_")]:
        del os.environ[name]
    own = str(Path(sys.executable).parent)
    os.environ["PATH"] = os.pathsep.join([own, os.environ.get("PATH", os.defpath)])
    os.environ |= {"COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb"}


if __name__ == "__main__":
    _as_a_reader()
    try:
        Session().read(Path(sys.argv[1]))
    except PageError as error:
        sys.exit(str(error))
