"""The one table of deadlines: how long the suite waits, for what, and why that long.

Nothing is slept away: every wait ends with the event that satisfies it. A deadline only says when hope ends. On a
slow machine one factor stretches them all (`Deadlines.of(factor)`).
"""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Deadline:
    """One named wait: its end in `seconds`, what it waits for (as a sentence goes on) and why that long."""

    seconds: float
    waits_for: str
    why: str

    def __str__(self) -> str:
        """Return the wait as an error message says it."""
        return f"{self.seconds:.0f} s for {self.waits_for}"


@dataclass(frozen=True)
class Deadlines:
    """The table. Take a row from an instance, so that the factor of the machine applies."""

    cluster_settled: Deadline = Deadline(
        90, "a new cluster to settle",
        "its node and CoreDNS are ready within 10 s of its making; a busy machine takes several times as long",
    )  # fmt: skip
    cluster_reset: Deadline = Deadline(
        15, "a cluster to become pristine again",
        "it takes 1 to 3 s; after this long a new cluster is there sooner",
    )  # fmt: skip
    workloads_ready: Deadline = Deadline(
        120, "the workloads to become ready",
        "images are at hand, so a pod is ready within seconds; the rest is the application's own start",
    )  # fmt: skip
    helm_operation: Deadline = Deadline(
        120, "each phase of a Helm operation (hooks before, workloads, hooks after)",
        "given to Helm as --timeout; as long as the workloads may take",
    )  # fmt: skip
    helm_answer: Deadline = Deadline(
        60, "Helm to answer, beyond what it was told to wait",
        "a read takes a tenth of a second; rendering and sending a large chart some seconds",
    )  # fmt: skip
    object_gone: Deadline = Deadline(
        60, "objects to be gone",
        "a pod may take its grace period of 30 s; finalizers of the chart's own controllers come on top",
    )  # fmt: skip
    object_there: Deadline = Deadline(
        15, "an object that the control plane makes by itself",
        "controllers act within a second; a busy machine may let them wait",
    )  # fmt: skip
    api_server_back: Deadline = Deadline(
        60, "the API server to answer again",
        "the kubelet restarts a static pod within 20 s, and it needs another 5 s to be ready",
    )  # fmt: skip
    database_ready: Deadline = Deadline(
        120, "the suite's database server to answer",
        "its image is in the node and its data directory in the image: it takes 2 s, far longer on a busy machine",
    )  # fmt: skip
    run_begun: Deadline = Deadline(
        60, "a run's pod to run",
        "the Job is made within a second and its pod starts within 2 s; a busy machine takes far longer",
    )  # fmt: skip
    run_ended: Deadline = Deadline(
        120, "runs to end",
        "the longest goes on for 30 s; an image that is not there is told after a back-off of 10 to 20 s",
    )  # fmt: skip
    argocd_ready: Deadline = Deadline(
        180, "the suite's Argo CD to run",
        "the node pulls 320 MB from the local registry and its processes start, in 12 s on a busy machine; in 7 s "
        "where the images are there already",
    )  # fmt: skip
    application_settled: Deadline = Deadline(
        150, "an Application to be synced to a commit and healthy",
        "Argo CD compares and syncs within 2 s; the workloads take as long as after Helm, and hooks come on top",
    )  # fmt: skip
    application_refreshed: Deadline = Deadline(
        60, "an Application to be compared with git again",
        "it takes a second; a busy repository server some more",
    )  # fmt: skip
    calls_answered: Deadline = Deadline(
        30, "the first answered call to every Service",
        "the pod starts within 2 s, kube-proxy and DNS follow within a second, and an answer is told at once",
    )  # fmt: skip
    calls_counted: Deadline = Deadline(
        10, "the count of calls already made",
        "a second is reported once all its calls have ended: at once where they are answered, else 3 s after it",
    )  # fmt: skip
    logs_read: Deadline = Deadline(
        15, "the logs of one container",
        "they are read from the node's disk and cut at one MiB",
    )  # fmt: skip

    @classmethod
    def of(cls, factor: float = 1.0) -> Deadlines:
        """Return the table for a machine that is `factor` times slower than expected."""
        if factor <= 0:
            raise ValueError(f"a factor of deadlines is above 0, not {factor}")
        rows = {row.name: row.default for row in fields(cls)}
        return cls(**{
            name: Deadline(row.seconds * factor, row.waits_for, row.why)
            for name, row in rows.items() if isinstance(row, Deadline)
        })  # fmt: skip


#: The table as it stands, for a machine of usual speed.
DEADLINES = Deadlines()
