"""What a collector yields: a file of the evidence, or what it could not get."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class File:
    """One file: its path below the evidence's folder, and its text, which need not be redacted yet."""

    path: str
    text: str


@dataclass(frozen=True)
class Missing:
    """Something that should be in the evidence and is not, and the reason."""

    what: str
    why: str


Found = File | Missing
