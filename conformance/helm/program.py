"""The Helm program: its generation, how the two generations' flags differ, and a home of its own."""

from __future__ import annotations

import functools
import hashlib
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from conformance.errors import MachineLacks
from conformance.redact import REDACTOR
from conformance.run import Result, Runner


@dataclass(frozen=True)
class Flags:
    """What one Helm generation calls the same thing. Flags that both share are written where they are used."""

    wait: tuple[str, ...]
    """Wait for the workloads. Helm 4 waits for hooks only where the flag is missing; bare it is `watcher`."""
    no_wait: tuple[str, ...]
    """Return once hooks are done."""
    undo_on_failure: tuple[str, ...]
    """Roll a failed upgrade back, uninstall a failed install."""
    replace: tuple[str, ...]
    """Replace objects instead of patching them."""
    take_over: tuple[str, ...]
    """Write fields that somebody else has written since. Helm 3 always does; Helm 4 refuses without it."""


#: The one table of differences between the generations.
FLAGS: Mapping[int, Flags] = {
    3: Flags(wait=("--wait",), no_wait=(), undo_on_failure=("--atomic",), replace=("--force",), take_over=()),
    4: Flags(
        wait=("--wait=watcher",),
        no_wait=("--wait=hookOnly",),
        undo_on_failure=("--rollback-on-failure",),
        replace=("--force-replace",),
        take_over=("--force-conflicts",),
    ),
}

#: Seconds for `helm version`, which asks nobody.
_VERSION_SECONDS = 30.0


@dataclass(frozen=True)
class Helm:
    """One Helm program, of either generation, speaking to one cluster.

    Its settings, plugins, caches and registry logins are private to the runner's home.
    """

    program: Path
    runner: Runner
    kubeconfig: Path
    known: int | None = None
    """The generation, where that is known already."""

    @functools.cached_property
    def major(self) -> int:
        """Return the generation, 3 or 4. Raises `MachineLacks` for any other."""
        if self.known is not None:
            return self.known
        said = self.runner.run(
            self.program, "version", "--template", "{{.Version}}", timeout=_VERSION_SECONDS, env=self._environment
        ).stdout.strip()
        found = re.match(r"v?(\d+)\.", said)
        if not found or int(found.group(1)) not in FLAGS:
            raise MachineLacks(f"{self.program.name}: expected Helm 3 or 4, seen version {said or 'nothing'}")
        return int(found.group(1))

    @property
    def flags(self) -> Flags:
        """Return what this generation calls its flags."""
        return FLAGS[self.major]

    def run(
        self, *argv: str | Path, timeout: float, namespace: str, check: bool = True, hide_output: bool = False
    ) -> Result:
        """Run one Helm command in a namespace. Raises as `Runner.run` does."""
        return self.runner.run(
            self.program, *argv, "--namespace", namespace, timeout=timeout, env=self._environment,
            check=check, hide_output=hide_output,
        )  # fmt: skip

    def shown(self, argv: Sequence[str | Path]) -> str:
        """Return a command as a person would repeat it, secrets redacted."""
        words = shlex.join([str(self.program), *map(str, argv)])
        return REDACTOR.scrub(f"KUBECONFIG={shlex.quote(str(self.kubeconfig))} {words}")

    @functools.cached_property
    def _environment(self) -> Mapping[str, str]:
        home = self.runner.home / "helm"
        # What a cluster serves is cached by address alone, and another cluster may get the same one.
        cluster = hashlib.sha256(self.kubeconfig.read_bytes()).hexdigest()[:12]
        return {
            "KUBECONFIG": str(self.kubeconfig),
            "KUBECACHEDIR": str(home / "kube-cache" / cluster),
            "HELM_CACHE_HOME": str(home / "cache"),
            "HELM_CONFIG_HOME": str(home / "config"),
            "HELM_DATA_HOME": str(home / "data"),
            "HELM_PLUGINS": str(home / "plugins"),
            "HELM_REGISTRY_CONFIG": str(home / "config" / "registry.json"),
            "HELM_REPOSITORY_CONFIG": str(home / "config" / "repositories.yaml"),
            "HELM_REPOSITORY_CACHE": str(home / "cache" / "repository"),
        }
