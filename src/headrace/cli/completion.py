"""Completion: `headrace completion bash | zsh | fish`."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script of a shell.

    For bash, put `eval "$(headrace completion bash)"` into ~/.bashrc.
    """
    made_for = get_completion_class(shell)
    assert made_for is not None  # noqa: S101 - click has all three
    program = ctx.find_root()
    click.echo(made_for(program.command, {}, "headrace", "_HEADRACE_COMPLETE").source())
