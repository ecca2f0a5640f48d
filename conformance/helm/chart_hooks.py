"""Whether a chart may run hooks after its workloads are ready: read from its files, without rendering it."""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path

#: Hooks that Helm runs after it has waited for the workloads, in any file: helpers and values may name them.
_POST = re.compile(rb"post-(?:install|upgrade|rollback)")


def mentions_post_hooks(chart: Path) -> bool:
    """Return whether any file of a chart, a folder or an archive, or of its subcharts names such a hook.

    It may say yes for a hook that is switched off, or only written about; never no for one that runs.
    """
    return any(_POST.search(content) for content in _contents(chart))


def _contents(chart: Path) -> Iterator[bytes]:
    for file in [chart] if chart.is_file() else sorted(chart.rglob("*")):
        if file.is_file():
            yield from _unpacked(file.name, file.read_bytes())


def _unpacked(name: str, content: bytes) -> Iterator[bytes]:
    if not name.endswith((".tgz", ".tar.gz")):
        yield content
        return
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        for member in archive:
            if member.isfile() and (file := archive.extractfile(member)) is not None:
                yield from _unpacked(member.name, file.read())
