"""How findings and messages show what is too long to be shown whole."""

from __future__ import annotations

from collections.abc import Sequence


def short(text: str, most: int) -> str:
    """Return a text, cut after `most` characters."""
    return text if len(text) <= most else f"{text[:most]}…"


def printable(text: str, instead: str = "?") -> str:
    """Return a text on one line, whatever the input put into it: `instead` stands for what cannot be printed."""
    return "".join(c if c.isprintable() else instead for c in text)


def several(said: Sequence[str], most: int, what: str = "more") -> str:
    """Return the first `most` of several sayings as one, and how many more there are."""
    further = len(said) - most
    return "; ".join(said[:most]) + (f"; and {further} {what}" if further > 0 else "")
