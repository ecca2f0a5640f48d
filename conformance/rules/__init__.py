"""Rules: what can be said of a chart from its renderings and a judge's word, without a cluster.

A rule is a function declared with `conformance.checks.rule`; the type of its one parameter says what it looks at
(`conformance.rules.inputs`). A new family is a module here, named in `conformance.rules.running`.
"""

from __future__ import annotations

from conformance.rules.guard import guard
from conformance.rules.names import LONG_LIVED
from conformance.rules.opening import opened, require_usable, usable
from conformance.rules.running import Rules, builds_overlay, chooses_values, load

__all__ = [
    "LONG_LIVED",
    "Rules",
    "builds_overlay",
    "chooses_values",
    "guard",
    "load",
    "opened",
    "require_usable",
    "usable",
]
