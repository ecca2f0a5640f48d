"""What rules look at: renderings, alone, repeated, in pairs, or with the judge's word on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from conformance.contract.allowances import Kept
from conformance.judge import Verdict
from conformance.manifests import Manifests
from conformance.render import Rendering
from conformance.replacing import Replacement


@dataclass(frozen=True)
class Given:
    """What the contract says of the surroundings: what exists before the install, what is pinned.

    `secrets` and `config_maps` hold the keys of each object in the release's namespace by its name; `pinned`
    names the workloads whose image the contract pins by digest, `kept` what outlives the release on purpose,
    `rollback_section` the README's section about rollbacks.
    """

    namespace: str = ""
    secrets: Mapping[str, frozenset[str]] = field(default_factory=dict, hash=False)
    config_maps: Mapping[str, frozenset[str]] = field(default_factory=dict, hash=False)
    pinned: frozenset[str] = frozenset()
    kept: tuple[Kept, ...] = ()
    rollback_section: str = ""


@dataclass(frozen=True)
class Version:
    """One version of a chart as it renders; `said` names it in findings, as `the candidate 0.9.2`."""

    said: str
    rendering: Rendering

    @property
    def manifests(self) -> Manifests:
        """Return its objects."""
        return self.rendering.manifests


@dataclass(frozen=True)
class Pair:
    """Two versions with the same values: an upgrade in one direction, a rollback in the other.

    With `only_version` nothing differs but the version in Chart.yaml: what changes then changes at every release.
    `where` names the values, unless they are the run's own.
    """

    before: Version
    after: Version
    only_version: bool = False
    where: str = ""
    given: Given = Given()


@dataclass(frozen=True)
class Repeats:
    """One chart and values rendered again and again in surroundings that must not matter; the first is plain."""

    renderings: tuple[Rendering, ...]
    where: str = ""


@dataclass(frozen=True)
class Judged:
    """One rendering and the judge's word on each object; `kubernetes` is the version it judged for."""

    version: Version
    verdicts: tuple[Verdict, ...]
    kubernetes: str
    where: str = ""


@dataclass(frozen=True)
class Rendered:
    """One version by itself, with what exists beside it."""

    version: Version
    given: Given = Given()
    where: str = ""

    @property
    def manifests(self) -> Manifests:
        """Return its objects."""
        return self.version.manifests


@dataclass(frozen=True)
class Grown:
    """Baseline and candidate, both with values that a user of the baseline can have written.

    Values of which only the candidate knows are left out, so that what is new came without being asked for.
    """

    before: Version
    after: Version
    where: str = ""


@dataclass(frozen=True)
class Defaults:
    """Baseline and candidate, and the candidate with the baseline's defaults beneath everybody's own values.

    `after` has values that a user of the baseline can have; `reused` is what `--reuse-values` makes of them.
    """

    before: Version
    after: Version
    reused: Version
    where: str = ""


@dataclass(frozen=True)
class Linted:
    """The candidate, and what `helm lint --strict` complains of."""

    version: Version
    problems: tuple[str, ...]
    where: str = ""


@dataclass(frozen=True)
class Documented:
    """The text of the candidate's README, None where it has none, and the section that the contract asks for.

    `version` is the candidate's, `said` names it in findings.
    """

    said: str
    version: str
    readme: str | None
    section: str
    where: str = ""


@dataclass(frozen=True)
class Built:
    """One version as the overlay's kustomization inflates it, and as Helm renders it with the overlay's values.

    `wanted` is Helm's rendering, without the hooks that the overlay leaves out; `bumped` the build that the same
    folder held before, as a working copy does. Where there is no build, `refusal` says why.
    """

    version: Version
    wanted: Manifests
    manifests: Manifests
    refusal: str = ""
    bumped: Built | None = None
    where: str = ""


@dataclass(frozen=True)
class Replaced:
    """A pair, and the judge's word on each object of one version in the place of the other's."""

    pair: Pair
    replacements: tuple[Replacement, ...]

    @property
    def where(self) -> str:
        """Return what names the values, unless they are the run's own."""
        return self.pair.where
