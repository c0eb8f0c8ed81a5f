"""Text in tables of Markdown."""

from __future__ import annotations


def cell(text: str) -> str:
    """Text that stays within its cell and is not taken for HTML."""
    return text.replace("|", "\\|").replace("<", "&lt;").replace(">", "&gt;")
