"""Where charts come from: open them safely, pack them reproducibly, compare their versions."""

from __future__ import annotations

from conformance.chart.address import seen_from
from conformance.chart.chart import Chart, compare_versions, open_chart, reference_chart

__all__ = ["Chart", "compare_versions", "open_chart", "reference_chart", "seen_from"]
