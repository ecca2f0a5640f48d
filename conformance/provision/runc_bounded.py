"""An OCI runtime that takes from a container the capabilities this machine does not hold, then runs runc.

Docker asks for every capability there is when a container is privileged, as kind's nodes are; runc cannot grant
one that is missing from the bounding set (CAP_SYS_RESOURCE, where the machine is itself a container or a small
virtual machine) and refuses. This only ever lowers what Docker asked for.

It is copied out of the package and run alone, for every step of every container: it imports little and fast.
"""

from __future__ import annotations

import json
import os
import sys

#: By bit number, as in linux/capability.h.
CAPABILITIES = (
    "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP",
    "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER",
    "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE",
    "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP",
    "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF",
    "CHECKPOINT_RESTORE",
)  # fmt: skip


def bounding_set(status: str) -> set[str]:
    """Return the names of the capabilities in the bounding set that a /proc/<pid>/status shows."""
    mask = int(status.split("CapBnd:")[1].split()[0], 16)
    return {f"CAP_{name}" for bit, name in enumerate(CAPABILITIES) if mask >> bit & 1}


def bound(process: dict[str, dict[str, list[str]]], held: set[str]) -> None:
    """Take from an OCI process what is not held."""
    capabilities = process.get("capabilities") or {}
    for kind, wanted in capabilities.items():
        capabilities[kind] = [name for name in wanted if name in held]


def option(arguments: list[str], *names: str) -> str | None:
    """Return the value of a command line option, written `--name value` or `--name=value`, or None."""
    for place, word in enumerate(arguments):
        name, equals, value = word.partition("=")
        if name in names:
            return value if equals else arguments[place + 1]
    return None


def rewrite(arguments: list[str], held: set[str]) -> None:
    """Lower the capabilities in the file that this runc command will read, if it reads one."""
    if "create" in arguments or "run" in arguments:
        path = f"{option(arguments, '--bundle', '-b') or '.'}/config.json"
    elif "exec" in arguments and (given := option(arguments, "--process", "-p")):
        path = given
    else:
        return
    with open(path) as source:  # noqa: PTH123 - pathlib takes longer to import than all the rest
        asked = json.load(source)
    bound(asked.get("process", asked), held)
    with open(path, "w") as target:  # noqa: PTH123
        json.dump(asked, target)


if __name__ == "__main__":
    with open("/proc/self/status") as own:  # noqa: PTH123
        rewrite(sys.argv[1:], bounding_set(own.read()))
    os.execvp("runc", ["runc", *sys.argv[1:]])  # noqa: S606 - there is no shell to want
