"""What can keep the suite from judging, and the exit status that says so.

A chart's own defects are never exceptions of this kind: they are findings (`conformance.checks`).
"""

from __future__ import annotations


class ConformanceError(Exception):
    """One clear line for the caller: the object, what was expected, what was seen and what to do.

    `exit_status` is what the command line ends with when nothing handles the error.
    """

    exit_status = 3


class BadInput(ConformanceError):
    """The caller's options, contract or chart cannot be used. Exit status 2."""

    exit_status = 2


class MachineLacks(ConformanceError):
    """This machine lacks what the run needs: an engine, disk, a reachable registry. Exit status 3."""


class Incomplete(ConformanceError):
    """A check could not run here; raised inside a rule or scenario. Never a pass, never the chart's fail."""


class CommandFailed(ConformanceError):
    """An external command ended with a status other than 0, or outlived its deadline."""
