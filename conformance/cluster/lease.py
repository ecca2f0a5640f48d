"""One cluster for one worker: pristine whenever it is asked for."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from types import TracebackType

from conformance.cluster.cluster import Cluster
from conformance.cluster.journal import Journal
from conformance.errors import BadInput, ConformanceError, MachineLacks
from conformance.provision import Machine
from conformance.run import Runner

log = logging.getLogger(__name__)


class Lease:
    """The cluster of one pytest-xdist worker (`worker` is its name), made when it is first needed.

    `images` are those that a chart's life in it will need, by reference: they are in the node from its making on.
    Nothing is shared with other workers but the journal, the engine and the registry.
    """

    def __init__(
        self,
        machine: Machine,
        runner: Runner,
        journal: Journal,
        worker: str = "main",
        images: Sequence[str] = (),
    ) -> None:
        self.cluster: Cluster | None = None
        self._machine, self._runner, self._journal, self._worker = machine, runner, journal, worker
        self._images = tuple(images)
        self._failure: ConformanceError | None = None
        self._made = 0

    def __enter__(self) -> Lease:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def pristine_cluster(self) -> Cluster:
        """Return a cluster that is verified to be pristine: reset where that succeeds, else a new one.

        Raises what `Cluster.create` raises, and the same at once when asked again: the machine cannot do it.
        """
        if self._failure is not None:
            raise self._failure
        if self.cluster is not None:
            try:
                self.cluster.reset()
            except ConformanceError as error:
                log.info("cluster %s is replaced: %s", self.cluster.name, error)
                self.close()
        return self.cluster or self._new()

    def keep(self) -> str | None:
        """Leave the cluster for a person; return how to look inside, None where there is no cluster."""
        cluster, self.cluster = self.cluster, None
        return cluster.keep() if cluster else None

    def close(self) -> None:
        """Remove the cluster, if there is one."""
        cluster, self.cluster = self.cluster, None
        if cluster is not None:
            cluster.delete()

    def _new(self) -> Cluster:
        for attempt in (1, 2):
            try:
                return self._created()
            except ConformanceError as error:
                if attempt == 2 or isinstance(error, BadInput | MachineLacks):
                    self._failure = error
                    raise
                # A busy machine may be late once; what is wrong with it is so again.
                log.warning("making a cluster failed and is tried once more: %s", error)
                self.close()
        raise AssertionError("unreachable")

    def _created(self) -> Cluster:
        self._made += 1
        name = self._journal.name(self._worker, str(self._made))
        # Held from the beginning, so that evidence can be taken of one that was not finished.
        self.cluster = Cluster(name, self._machine, self._runner, self._journal, images=self._images)
        self.cluster.create()
        return self.cluster
