"""The same chart as its next release would be, if nothing but the version changed."""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
from pathlib import Path
from typing import Any

import semver

from conformance.kube_yaml import mapping, read

_lock = threading.Lock()


def bumped(chart: Path, folder: Path, *, application: bool = True) -> Path:
    """Return a copy of a chart folder, below `folder`, with the next minor version and appVersion.

    Minor and patch number both change, so that a label made of either changes too; a pre-release goes. The
    appVersion stays unless it is the `application` that is released. Subcharts keep their versions.
    """
    name = hashlib.sha256(str(chart.absolute()).encode()).hexdigest()[:16]
    copy = folder / ("bumped" if application else "bumped-alone") / name / chart.name
    with _lock:
        if not copy.exists():
            # Written under another name first: whoever finds the folder finds it whole.
            beginning = copy.with_name(f".{chart.name}")
            shutil.copytree(chart, beginning)
            file = beginning / "Chart.yaml"
            metadata = mapping(read(file.read_text()))
            metadata["version"] = _next(metadata.get("version"))
            if application and "appVersion" in metadata:
                metadata["appVersion"] = _next(metadata["appVersion"])
            file.chmod(0o600)
            file.write_text(json.dumps(metadata))  # JSON is YAML
            beginning.rename(copy)
    return copy


def _next(version: Any) -> str:  # noqa: ANN401 - whatever Chart.yaml says
    text = str(version)
    try:
        known = semver.Version.parse(text.removeprefix("v"), optional_minor_and_patch=True)
    except (ValueError, TypeError):
        return f"{text}-next"
    return ("v" if text.startswith("v") else "") + str(
        semver.Version(known.major, known.minor + 1, known.patch + 1)
    )
