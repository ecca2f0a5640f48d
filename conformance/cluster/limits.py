"""Limits of the machine's kernel that many clusters meet, and that no tool names when they are met."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

#: Instances that one more cluster needs at most: kubelet, containerd, systemd and the control plane watch files.
_A_CLUSTER = 25

_LIMIT = Path("/proc/sys/fs/inotify/max_user_instances")


def inotify_exhausted(limit: Path = _LIMIT, processes: Path = Path("/proc")) -> str | None:
    """Return what to do when the kernel has no more inotify instances for another cluster, else None.

    kind's list of known issues calls it "Pod errors due to too many open files".
    """
    try:
        most = int(limit.read_text())
    except (OSError, ValueError):
        return None
    used = 0
    for process in processes.iterdir():
        with contextlib.suppress(OSError):  # it has ended
            if process.name.isdecimal() and process.stat().st_uid == os.getuid():  # the limit is a user's
                used += sum("inotify" in str(file.readlink()) for file in (process / "fd").iterdir())
    if used + _A_CLUSTER <= most:
        return None
    return (
        f"{used} of {most} inotify instances are in use (fs.inotify.max_user_instances), a cluster needs up to "
        f"{_A_CLUSTER}; end other clusters, or raise it: sysctl fs.inotify.max_user_instances=512"
    )
