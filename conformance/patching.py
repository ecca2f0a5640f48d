"""Apply patches to a folder that is no repository."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from conformance.run import Runner

_SECONDS = 60.0


def patched(folder: Path, patches: Iterable[Path], runner: Runner) -> Path:
    """Apply patches, which name files from the folder's top, one after the other, and return the folder.

    Raises `CommandFailed` for a patch that does not fit.
    """
    for patch in patches:
        # With a ceiling git looks for no repository around the folder, to whose top it would apply the patch.
        alone = {"GIT_CEILING_DIRECTORIES": str(folder.resolve().parent), "GIT_CONFIG_NOSYSTEM": "1"}
        words = ("git", "apply", "--whitespace=nowarn", "--", patch.absolute())
        runner.run(*words, cwd=folder, timeout=_SECONDS, env=alone)
    return folder
