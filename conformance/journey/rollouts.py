"""The journey on which watched objects are rotated: one release, its checksums turned on, and off at the end."""

from __future__ import annotations

import dataclasses
import functools
import secrets
from collections.abc import Callable, Iterator, Sequence

from conformance.errors import Incomplete
from conformance.helm import Deployed
from conformance.journey.driving import ByHelm
from conformance.journey.journeys import Journey, needed
from conformance.journey.rotating import Rotator
from conformance.journey.rotation import Rotated, Step, Undone
from conformance.journey.rows import Row, rows
from conformance.journey.setting import Setting
from conformance.journey.showing import Showing, Shown
from conformance.journey.watched import Watched
from conformance.manifests import ObjectKey
from conformance.observe.calls import Calls

#: How often the same values are applied again (issue: five times).
AGAIN = 5
#: How many rotations are quick (issue: ten).
BURST = 10
#: A Secret of the suite's own that nobody watches.
_UNWATCHED = "conformance-unwatched"


class Rollouts(Journey):
    """The candidate without checksums, then with them; everything watched is rotated, alone and among others."""

    def __init__(self, setting: Setting, showing: Showing) -> None:
        super().__init__(setting)
        self._showing = showing

    @functools.cached_property
    def rotator(self) -> Rotator:
        """Return what rotates. Raises `Incomplete` where the contract does not say how."""
        return self._setting.rotator()

    def installed(self) -> Step:
        """Return the install without checksums. Raises `Incomplete` when it did not become ready."""
        return needed(self._once("installed", self.rotator.install))

    def enabled(self) -> Step:
        """Return the upgrade that turns the checksums on, each workload rolled for what it uses."""
        return self._once("enabled", self._enable)

    def require_switch(self) -> None:
        """Raise `Incomplete` where the contract does not say how checksums are turned off: they are always on."""
        if not self.rotator.values.turned_off:
            raise Incomplete("the contract names nothing that turns checksums off: `checksums.values.disabled`")

    def rotations(self) -> Sequence[Step]:
        """Return a step for each watched object that a workload uses, and one for an object that is looked up.

        They end with the first that failed.
        """
        needed(self.enabled())
        return self._once("rotations", lambda: list(self._rotate_all()))

    def serving(self, steps: Sequence[Step]) -> tuple[Calls, ...]:
        """Return the calls made to the declared Services from the first step to the last."""
        return self._setting.calls(steps[0].begun, steps[-1].ended)

    def beside(self) -> Sequence[Step]:
        """Return a step for each change that is none of what is watched, and for each repetition."""
        needed(self.enabled())
        return self._once("beside", lambda: list(self._all_beside()))

    def barred(self) -> Step:
        """Return the rotation of an object that one of the workloads using it is not to be rolled for.

        Raises `Incomplete` where the contract does not say where the values take that.
        """
        needed(self.enabled())
        return self._once("barred", self._bar)

    def undone(self) -> Undone:
        """Return a rotation of what the chart makes and of what it does not, with the rollback after it."""
        needed(self.enabled())
        return self._once("undone", self._undo)

    def burst(self) -> Step:
        """Return rotations of one object in quick succession: none waits for the pods of the one before."""
        needed(self.enabled())
        return self._once("burst", self._rotate_quickly)

    def rows(self) -> Sequence[Row]:
        """Return a row for each unusual input."""
        needed(self.enabled())
        return self._once("rows", lambda: list(rows(self.rotator, self.used())))

    def shown(self) -> Sequence[Shown]:
        """Return what each tool makes of the values with which the checksums were turned on, one looked up."""
        needed(self.enabled())
        self._look_up()
        if not isinstance(drive := self.rotator.drive, ByHelm):
            raise TypeError("this journey is driven by Helm")
        return list(self._showing.all(self.rotator, drive))

    def disabled(self) -> Step:
        """Return the upgrade that turns the checksums off; nothing else of this journey is done after it."""
        needed(self.enabled())
        return self._once("disabled", self._disable)

    def rotated_unwatched(self) -> Step:
        """Return the rotation of everything with the checksums turned off."""
        needed(self.disabled())
        return self._once("rotated unwatched", self._rotate_unwatched)

    def lists(self) -> dict[ObjectKey, frozenset[str]]:
        """Return the names that each workload is rolled for, where the values list them."""
        only = self.rotator.asked.only
        return {key: frozenset(only[key.name]) for key in self.rotator.declared if key.name in only}

    def used(self) -> list[Watched]:
        """Return the watched objects that a declared workload uses. Raises `Incomplete` where there are none."""
        self.installed()
        return in_use(self.rotator)

    def _enable(self) -> Step:
        used, rotator = self.used(), self.rotator
        only = {
            workload: tuple(
                one.name for one in used if any(key.name == workload for key in rotator.consumers(one))
            )
            for workload in rotator.values.only
        }
        # An empty list may mean all names: nothing is asked for that workload then.
        rotator.ask(on=True, only={name: names for name, names in only.items() if names})
        return rotator.upgrade("turning checksums on")

    def _rotate_all(self) -> Iterator[Step]:
        for one in self.used():
            yield (step := self._rotate(one))
            if step.failure:
                return
        if (outside := self._outside()) is not None:
            first = self._looked_up(outside)
            yield first if first is not None and first.failure else self._rotate(outside)

    def _rotate(self, of: Watched) -> Step:
        rotated = self.rotator.rotate(of)
        return self.rotator.upgrade(f"rotation of {of}, {rotated.how}", rotated=[rotated])

    def _outside(self) -> Watched | None:
        """Return an object to be looked up: one that the chart does not make, where it can look up at all."""
        found = next((one for one in self.used() if one.data is None), None)
        return found if self.rotator.values.lookup else None

    def _looked_up(self, outside: Watched) -> Step | None:
        """Let the cluster's data decide for an object; return the upgrade to that, None where it does already."""
        if str(outside) in self.rotator.asked.looked_up:
            return None
        self.rotator.ask(looked_up=frozenset({str(outside)}))
        return self.rotator.upgrade(f"looking up {outside}")

    def _look_up(self) -> None:
        if (outside := self._outside()) is not None and (step := self._looked_up(outside)) is not None:
            needed(step)

    def _all_beside(self) -> Iterator[Step]:
        self._look_up()
        yield self._after("a Secret that nobody watches is made", lambda: self.rotator.held.put_secret(_UNWATCHED))
        yield self._after("that Secret is changed", lambda: self.rotator.held.put_secret(_UNWATCHED))
        yield self._after("labels and annotations of what is watched are changed", self._relabel)
        yield self.rotator.upgrade("upgrade to the same chart with another version", self.rotator.renumbered())
        for number in range(1, AGAIN + 1):
            yield self.rotator.upgrade(f"upgrade with the same values ({number} of {AGAIN})")

    def _after(self, what: str, change: Callable[[], None]) -> Step:
        change()
        return self.rotator.upgrade(f"upgrade after {what}")

    def _relabel(self) -> None:
        for one in self.used():
            if one.data is None:
                marks = {"conformance": secrets.token_hex(4)}
                self.rotator.held.patch(one, {"metadata": {"labels": marks, "annotations": marks}})

    def _bar(self) -> Step:
        used, rotator = self.used(), self.rotator
        several = [
            (one, key.name)
            for one in sorted(used, key=lambda one: one.data is not None)
            for key in rotator.consumers(one)
            if len(rotator.asked.only.get(key.name, ())) > 1
        ]
        if not several:
            raise Incomplete(
                "the contract names no `checksums.values.only` of a workload that uses two watched objects"
            )
        one, workload = several[0]
        before = rotator.asked
        rotator.asked = before.without(one.name, workload)
        step = rotator.upgrade(f"taking {one} from the list of {workload}")
        if step.failure:
            return step
        step = self._rotate(one)
        # The checks that follow stand on the whole lists.
        rotator.ask(only=before.only)
        needed(rotator.upgrade(f"putting {one} back into the list of {workload}"))
        return step

    def _undo(self) -> Undone:
        rotator = self.rotator
        rotator.ask(several=True)
        first = needed(rotator.upgrade("upgrade to several replicas"))
        before = rotator.asked
        rotated = [rotator.rotate(one) for one in of_each_origin(self.used())]
        said = " and ".join(str(one.of) for one in rotated)
        needed(rotator.upgrade(f"rotation of {said} together", rotated=rotated))
        step = rotator.roll_back(first.revision)
        held = {one.of: rotator.held.hashes(one.of) for one in rotated}
        rotator.asked = before
        if (
            step.failure is None
        ):  # what is looked up is other data than at that revision, which the next upgrade sees
            rotator.upgrade("upgrade after the rollback")
        return Undone(step, rotated, held)

    def _rotate_quickly(self) -> Step:
        used, rotator = self.used(), self.rotator
        given = [one for one in used if one.data is None and str(one) not in rotator.asked.looked_up]
        one = next(iter(given or used))
        rotated: list[Rotated] = []

        def rotate() -> Deployed:
            rotated.append(rotator.rotate(one))
            return rotator.upgrade_unwatched()

        step = rotator.step(f"{BURST} rotations of {one}", lambda _: [rotate() for _ in range(BURST)][-1])
        return dataclasses.replace(step, rotated=rotated[-1:])

    def _disable(self) -> Step:
        self.rotator.ask(on=False)
        return self.rotator.upgrade("turning checksums off")

    def _rotate_unwatched(self) -> Step:
        rotated = [self.rotator.rotate(one) for one in self.used()]
        return self.rotator.upgrade("rotation of everything that is watched", rotated=rotated)


def in_use(rotator: Rotator) -> list[Watched]:
    """Return the watched objects that a declared workload uses. Raises `Incomplete` where there are none."""
    if not (found := [one for one in rotator.watched if rotator.consumers(one)]):
        raise Incomplete("no declared workload uses any of the contract's `checksums`: nothing is to be rolled")
    return found


def of_each_origin(found: Sequence[Watched]) -> list[Watched]:
    """Return one that the chart makes and one that it does not, as far as there are, Secrets if there are any."""
    secret = [one for one in found if one.kind == "Secret"]
    return list({one.data is None: one for one in reversed(secret or found)}.values())
