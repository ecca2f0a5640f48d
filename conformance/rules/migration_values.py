"""Every way to write the migrations' mode into values, and what the application reads it as."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from conformance.contract import Migrations
from conformance.rules.trials import Settings
from conformance.values import as_text


@dataclass(frozen=True)
class Spelling:
    """One value for the variable where the values take it for the controllers, and whether it means `skip`.

    `text` is what the container gets if the chart hands it on, None where no text can say it. Helm removes what is
    null before the templates see it, unless the chart has no such key: `removable`.
    """

    value: Any
    text: str | None
    skips: bool

    @property
    def removable(self) -> bool:
        """Say whether the templates may never see it."""
        return self.value is None

    @property
    def plain(self) -> bool:
        """Say whether it is text; a chart may well refuse everything else."""
        return isinstance(self.value, str)


def spellings(migrations: Migrations) -> list[Spelling]:
    """Return spellings of both modes: as listed, in other case, with space around, misspelt, of other types."""
    found = [Spelling(text, text, migrations.skips(text)) for text in dict.fromkeys(_texts(migrations))]
    scalars: tuple[Any, ...] = (True, False, 0, 1, 2, 0.5)
    found += [Spelling(value, as_text(value), migrations.skips(as_text(value))) for value in scalars]
    first = migrations.skip[0]
    return [*found, *(Spelling(value, None, False) for value in (None, [], [first], {}, {first: True}))]


def settings(migrations: Migrations, spelling: Spelling) -> Settings:
    """Return the values that try a spelling; where both share a value, that says `auto` as it usually does."""
    shared = {migrations.at(migrations.shared): migrations.auto[0]} if migrations.shared else {}
    return {**shared, migrations.at(migrations.controllers): spelling.value}


def elsewhere(migrations: Migrations) -> list[Settings]:
    """Return the values that say `auto` in every place but the controllers' own, and nothing there."""
    places = [place for place in (migrations.shared, *migrations.sources) if place]
    said: tuple[Any, ...] = (migrations.auto[0], True)
    return [{migrations.at(place): value} for place in places for value in said]


def _texts(migrations: Migrations) -> Iterator[str]:
    first, *_ = migrations.skip
    yield from migrations.skip
    for word in migrations.skip:
        yield f" {word.swapcase()}\t"
    yield f"{first}\n"
    yield from (text for text in migrations.auto if not migrations.skips(text))
    # A guard that searches for the words, in either direction, takes these for one of them.
    yield from ("", "  ", first[1:], f"{first[0]} {first[1:]}", f" {migrations.auto[0].swapcase()} ")
    for number, word in enumerate(migrations.skip):
        yield f"{word}x" if number % 2 else f"no-{word}"
