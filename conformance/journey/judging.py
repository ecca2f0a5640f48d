"""What a recorded stage says of the chart's promises: each function yields the findings of one of them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence

from conformance.checks import Finding
from conformance.contract import Contract
from conformance.errors import Incomplete
from conformance.journey.stage import Stage
from conformance.manifests import Manifest, ObjectKey
from conformance.observe import rollout
from conformance.observe.calls import Calls
from conformance.observe.live_state import Deviation, LiveState
from conformance.observe.ownership import descendants
from conformance.rules import LONG_LIVED

_DEFINITION = "CustomResourceDefinition"


def not_ready(stage: Stage) -> Iterator[Finding]:
    """Yield what kept the operation from ending with every workload ready."""
    if stage.failure is not None:
        yield Finding(
            object=f"Release/{stage.chart.name}",
            expected=f"every workload ready after the {stage}",
            observed="\n".join([stage.failure, *_unfinished_hooks(stage)]),
            why=f"the {stage.operation} did not end ready",
            remedy="see the pods' events and logs in the evidence",
        )


def _unfinished_hooks(stage: Stage) -> Iterator[str]:
    """Yield each hook that had not come to its end, which Helm waits for without a word, and why."""
    for hook in stage.hooks:
        body = stage.inventory.get(hook.key)
        if body is not None and (said := rollout.missing(body)):
            yield f"hook {', '.join(hook.hooks)}: {said}"
            made = [body, *descendants(body, stage.inventory.values())]
            yield from rollout.why_not_ready(found for found in made if found["kind"] == "Pod")


def declared_workloads(contract: Contract, stage: Stage) -> Iterator[tuple[Manifest, str]]:
    """Yield each declared workload as the revision declares it, with its container's name."""
    for workload in contract.workloads:
        found = stage.declared.get(contract.key_of(workload))
        if found is not None:
            yield found, workload.container


def other_images(contract: Contract, stage: Stage) -> Iterator[Finding]:
    """Yield each declared workload whose running pods have another image digest than the revision declares.

    Digests are compared, never tags: a tag says what somebody once meant (seed 000, "prior image digests").
    """
    for workload, name in declared_workloads(contract, stage):
        declared = next((box.get("image", "") for box in workload.containers() if box.get("name") == name), "")
        _, at, digest = declared.partition("@")
        if not at:
            continue
        running = rollout.running_images(stage.inventory, workload.key, name)
        others = {pod: image for pod, image in running.items() if not image.endswith(digest)}
        if others or not running:
            yield Finding(
                object=str(workload.key),
                expected=f"container {name} of every running pod has {digest}",
                observed="\n".join(f"{pod} has {image}" for pod, image in others.items()) or "no pod is running",
                why=f"after the {stage.operation} pods do not run the image that {stage.declared_by} pins",
                remedy="let the image be decided by the chart's values alone, pinned by digest",
            )


def missing_environment(contract: Contract, stage: Stage) -> Iterator[Finding]:
    """Yield each environment name that the contract declares and the container does not get."""
    for workload in contract.workloads:
        key = contract.key_of(workload)
        live = stage.inventory.get(key)
        if live is None:
            continue
        given = set(_environment(stage, Manifest(live), workload.container))
        if missing := sorted(set(workload.environment) - given):
            yield Finding(
                object=str(key),
                expected=f"container {workload.container} gets {', '.join(workload.environment)}",
                observed=f"{', '.join(missing)} missing among {', '.join(sorted(given)) or 'none'}",
                why="the process does not get the environment that the contract declares",
                remedy="map the values to the container's env or envFrom again, or correct the contract",
            )


def _environment(stage: Stage, workload: Manifest, container: str) -> Iterator[str]:
    for box in workload.containers():
        if box.get("name") != container:
            continue
        yield from (entry["name"] for entry in box.get("env") or ())
        for source in box.get("envFrom") or ():
            for field, kind in (("secretRef", "Secret"), ("configMapRef", "ConfigMap")):
                if field in source:
                    body = stage.inventory.get(ObjectKey("", kind, workload.namespace, source[field]["name"]))
                    yield from (source.get("prefix", "") + name for name in (body or {}).get("data") or ())


def silent_services(stage: Stage, unanswered: str | None) -> Iterator[Finding]:
    """Yield the declared Services that did not answer a call from inside the cluster, with their last words."""
    if unanswered is not None:
        yield Finding(
            object=f"Release/{stage.chart.name}",
            expected="every declared Service answers from inside the cluster once the workloads are ready",
            observed=unanswered,
            why="a Service does not lead to a process that answers",
            remedy="compare the Service's selector and target port with the pod template, and the probe's path",
        )


def failed_calls(contract: Contract, stage: Stage, made: Iterable[Calls]) -> Iterator[Finding]:
    """Yield each declared Service with more failed calls during the operation than the contract allows.

    Raises `Incomplete` when fewer calls were made than promised: a gap nobody called into proves nothing.
    """
    budgets = {service.target: service.failure_budget for service in contract.services}
    for calls in made:
        if calls.failures > budgets[calls.target]:
            yield Finding(
                object=f"Service/{calls.target}",
                expected=f"at most {budgets[calls.target]} failed calls during the {stage.operation}",
                observed=f"{calls.failures} of {calls.made} failed, the longest gap {calls.longest_gap:.2f} s, "
                f"the last with: {calls.last_error}",
                why=f"callers were turned away during the {stage.operation}",
                remedy="keep a ready pod at all times (RollingUpdate, maxUnavailable 0, readiness probe) and let "
                "pods serve until their endpoint is gone (preStop)",
            )
        elif calls.too_few:
            raise Incomplete(f"Service/{calls.target}: {calls.too_few}; the machine was too busy to tell")


def replaced(before: Stage, after: Stage) -> Iterator[Finding]:
    """Yield each long-lived object that an operation removed, made anew or gave another selector.

    Judged are the objects that both revisions declare, by UID, and those that only the earlier one does.
    """
    for key in sorted(before.declared.keys()):
        if key.kind not in LONG_LIVED:
            continue
        old, new = before.inventory.get(key), after.inventory.get(key)
        if old is None:
            continue
        if new is None:
            yield _replaced(key, after, "the same object", "it is gone", "removes")
        elif old["metadata"]["uid"] != new["metadata"]["uid"]:
            seen = f"uid {new['metadata']['uid']}, made at {new['metadata']['creationTimestamp']}"
            yield _replaced(key, after, f"uid {old['metadata']['uid']}", seen, "makes anew")
        elif (was := Manifest(old).selector) != (now := Manifest(new).selector):
            yield _replaced(key, after, f"selector {was}", f"selector {now}", "gives another selector to")


def _replaced(key: ObjectKey, stage: Stage, expected: str, observed: str, verb: str) -> Finding:
    return Finding(
        object=str(key),
        expected=expected,
        observed=observed,
        why=f"the {stage.operation} {verb} a long-lived object, so what relies on it is cut off meanwhile",
        remedy="keep its name, kind and selector, and change it in place",
    )


def not_restored(before: Stage, after: Stage, deviations: Iterable[Deviation]) -> Iterator[Finding]:
    """Yield each object that a rollback did not bring to what the earlier revision declares.

    Law 4: live objects are held against the revision's manifest as the API server defaults it; hooks, which no
    manifest holds, against their live state after the earlier revision.
    """
    for deviation in deviations:
        if not deviation.left_over:
            yield Finding(
                object=str(deviation.key),
                expected=f"as {before.declared_by} declares it",
                observed=str(deviation),
                why="the rollback did not restore it",
                remedy="let Helm own every field and every object that a version changes, with no hook or kept "
                "object writing to what the earlier version declares",
            )
    for key in sorted(before.hooks.keys() & before.live.keys()):
        changes = before.live.difference(after.live, key)
        if changes:
            yield Finding(
                object=str(key),
                expected=f"as it was after {before.declared_by}",
                observed="\n".join(map(str, changes)),
                why="the rollback did not restore an object that a hook makes",
                remedy="declare the object in a template, or make the hook run on rollback too",
            )


def left_over(before: Stage, after: Stage, deviations: Iterable[Deviation]) -> Iterator[Finding]:
    """Yield each object that lives after a rollback, though the earlier revision neither declared nor had it."""
    for deviation in deviations:
        if not deviation.left_over or deviation.key in before.live:
            continue
        body = after.live.get(deviation.key)
        policy = Manifest(body).annotations.get("helm.sh/resource-policy") if body else None
        hook = ", ".join(Manifest(body).hooks) if body else ""
        how = f", kept by annotation helm.sh/resource-policy: {policy}" if policy else ""
        how += f", made by hook {hook}" if hook else ""
        yield Finding(
            object=str(deviation.key),
            expected=f"absent: {before.declared_by} does not declare it",
            observed=f"it still lives{how}",
            why=f"left over by the rollback to {before.declared_by}",
            remedy="drop the annotation, or declare the object as kept in the contract"
            if policy
            else "give the hook a delete policy, or make the object part of the release"
            if hook
            else "let the release own it, so that a rollback deletes it",
        )


def lost_custom_resources(contract: Contract, lives: Sequence[LiveState]) -> Iterator[Finding]:
    """Yield each CustomResourceDefinition, and each resource of one, that did not outlive the next operation.

    All that the release brought are judged, those that the contract names or not. The UID tells the same object
    from one made again after everything in it was lost. Raises `Incomplete` where nothing was there to lose.
    """
    for (before, after), operation in zip(itertools.pairwise(lives), ("upgrade", "rollback"), strict=True):
        custom = sorted(_custom(before))
        if not any(key.kind != _DEFINITION for key in custom):
            raise Incomplete(f"no custom resource was there before the {operation}: see why in the log of the run")
        if absent := {*(contract.crds.names if contract.crds else ())} - {key.name for key in custom}:
            raise Incomplete(
                f"CustomResourceDefinition {', '.join(sorted(absent))} was not there before the {operation}"
            )
        lost = list(_lost(custom, before, after, operation))
        yield from lost
        if lost:
            return


def _custom(live: LiveState) -> Iterator[ObjectKey]:
    """Yield the definitions that a release brought and all resources of theirs, whoever made those."""
    kinds = set()
    for key, body in live.items():
        if key.kind == _DEFINITION:
            kinds.add((body["spec"]["group"], body["spec"]["names"]["kind"]))
            yield key
    yield from (key for key in live.inventory if (key.group, key.kind) in kinds)


def _lost(custom: Iterable[ObjectKey], before: LiveState, after: LiveState, operation: str) -> Iterator[Finding]:
    for key in custom:
        was, now = before.inventory[key]["metadata"]["uid"], after.inventory.get(key)
        if now is None or now["metadata"]["uid"] != was:
            yield Finding(
                object=str(key),
                expected=f"the same object as before the {operation}, uid {was}",
                observed="it is gone"
                if now is None
                else f"uid {now['metadata']['uid']}: made anew, its content lost",
                why=f"the {operation} deleted it, with everything users had stored in it",
                remedy="keep CustomResourceDefinitions in crds/, which Helm never deletes, or annotate them "
                "helm.sh/resource-policy: keep",
            )


def warnings(contract: Contract, stage: Stage) -> Iterator[Finding]:
    """Yield each restart, and each warning event that the contract does not name as allowed."""
    for restart in stage.seen.restarts():
        yield Finding(
            object=f"Pod/{restart.pod}",
            expected="no container restarts",
            observed=f"container {restart.container} restarted {restart.count} times; last: {restart.reason}",
            why="a process of a fresh install ended and was started again",
            remedy="see the previous log in the evidence",
        )
    for event in stage.seen.warnings():
        if not contract.allows_warning(event.reason, event.object, event.message):
            yield Finding(
                object=event.object,
                expected="no warning event from creation to a minute after ready",
                observed=f"{event.reason} ({event.count} times): {event.message}",
                why="the cluster warns of the chart's objects",
                remedy="mend what the event names, or allow it in the contract's warnings with a reason",
            )


def forbidden(stage: Stage) -> Iterator[Finding]:
    """Yield each log line of the release that tells of a call refused for want of a right."""
    for line in stage.seen.forbidden():
        yield Finding(
            object=f"Pod/{line.pod}",
            expected="no call refused for want of a right",
            observed=line.text,
            why=f"container {line.container} lacks a right that it uses",
            remedy="grant the verb on the resource in the chart's Role",
        )
