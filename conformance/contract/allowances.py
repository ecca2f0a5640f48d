"""The sections of a contract that let something pass: each names what, and why."""

from __future__ import annotations

import datetime
import fnmatch
import re

from conformance.contract.parts import CheckId, Part, Text


class AllowedWarning(Part):
    """A warning event that is no fault of the chart's."""

    reason: Text
    """The event's reason, for example `Unhealthy`."""
    object: Text = "*"
    """The object that it is about, `Kind/name`; `*` and `?` match as in file names."""
    message: Text | None = None
    """A regular expression found in the event's message; any message if left out."""
    why: Text
    """Why it is harmless."""

    def allows(self, reason: str, object_: str, message: str) -> bool:
        """Say whether it covers a warning event about `object_` (`Kind/name`)."""
        told = self.message is None or re.search(self.message, message) is not None
        return reason == self.reason and _matches(object_, self.object) and told


class Kept(Part):
    """An object that stays on purpose when the release no longer declares it."""

    object: Text
    """The object, `Kind/name`, or `Kind/name in namespace`; `*` and `?` match as in file names."""
    why: Text
    """Why it stays."""

    def covers(self, object_: str) -> bool:
        """Say whether it covers an object, written as a finding writes it."""
        return _matches(object_, self.object)


class Absent(Part):
    """A need of some checks that this chart cannot meet; the verdict then says `pass, without: …`."""

    need: Text
    """The need, as `agents-conformance list` shows it."""
    reason: Text
    """Why the chart cannot meet it."""


class Accepted(Part):
    """A finding that is known and accepted for a time."""

    id: CheckId
    """The check's id."""
    object: Text
    """The finding's object, `Kind/name`, or `Kind/name in namespace`; `*` and `?` match as in file names."""
    reason: Text
    """Why it is accepted."""
    owner: Text
    """Who answers for it."""
    expires: datetime.date
    """The last day on which it is accepted, YYYY-MM-DD; from the next day the finding counts again."""

    def covers(self, check_id: str, object_: str, today: datetime.date) -> bool:
        """Say whether it covers a check's finding about an object on this day."""
        return check_id == self.id and today <= self.expires and _matches(object_, self.object)


def _matches(object_: str, pattern: str) -> bool:
    """Match `Kind/name in namespace`; a pattern without a namespace matches in every one."""
    shown = object_ if " in " in pattern else object_.partition(" in ")[0]
    return fnmatch.fnmatchcase(shown, pattern)
