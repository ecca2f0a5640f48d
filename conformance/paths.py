"""Where things are: the suite's own files, its cache and its state."""

from __future__ import annotations

from pathlib import Path

import platformdirs

APP = "agents-conformance"


def bundle(name: str) -> Path:
    """Return the folder `scenarios` or `fixtures`, in a checkout or in an installed wheel.

    The wheel maps both below `conformance/_bundle/`, because their names would clash on a Python path.
    """
    package = Path(__file__).parent
    installed = package / "_bundle" / name
    return installed if installed.is_dir() else package.parent / name


def cache() -> Path:
    """Return the folder of what is expensive to make and safe to lose (`$XDG_CACHE_HOME/agents-conformance`)."""
    return Path(platformdirs.user_cache_dir(APP))


def state() -> Path:
    """Return the folder of run journals and locks (`$XDG_STATE_HOME/agents-conformance`)."""
    return Path(platformdirs.user_state_dir(APP))
