"""Text in tables of Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def cell(text: str) -> str:
    """Text that stays within its cell and is not taken for HTML."""
    return text.replace("|", "\\|").replace("<", "&lt;").replace(">", "&gt;")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of a table, whose first column may have no name; texts that may hold what is no text of ours go through `cell` first."""
    return [f"| {' | '.join(head).lstrip()} |", "|---" * len(head) + "|", *(f"| {' | '.join(row)} |" for row in rows)]
