"""What the commands that train have in common."""

from __future__ import annotations

from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Iterator
from contextlib import contextmanager

from relaxlib.deep.nets import NETWORKS


def parser(prog: str, text: str | None) -> ArgumentParser:
    """A command line that names a network."""
    found = ArgumentParser(prog, description=text, formatter_class=RawDescriptionHelpFormatter)
    found.add_argument("--model", required=True, help=", ".join(NETWORKS))
    return found


@contextmanager
def in_words() -> Iterator[None]:
    """End the command with what an error says, not with where it was raised."""
    try:
        yield
    except (ValueError, ArithmeticError, ConnectionError) as error:
        raise SystemExit(f"error: {error}") from error
