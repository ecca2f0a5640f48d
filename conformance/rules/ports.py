"""Ports: what names one finds it, and Services keep theirs from version to version."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from conformance.checks import EXTENDED, Finding, rule
from conformance.kube_yaml import at, mapping, mappings
from conformance.manifests import Manifest, Manifests
from conformance.rules.ingresses import services
from conformance.rules.inputs import Pair, Rendered, Version
from conformance.rules.pods import chosen, containers, port_names, selected

_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_HOOKS = ("postStart", "preStop")


@rule(
    "render/ports-resolve",
    level=EXTENDED,
    seed="000 Validation; Kubernetes: named ports are looked up in each pod",
)
def ports_resolve(rendered: Rendered) -> Iterator[Finding]:
    """Every port that a Service, Ingress, NetworkPolicy, webhook or probe names is one of what it leads to."""
    for manifest in rendered.manifests:
        wrong = list(_unresolved(manifest, rendered.manifests))
        if wrong:
            yield Finding(
                object=str(manifest.key),
                expected=f"ports that exist: {'; '.join(dict.fromkeys(expected for expected, _ in wrong))}",
                observed="; ".join(dict.fromkeys(seen for _, seen in wrong)),
                why="a port of an unknown name leads nowhere (no endpoint, no passing probe, no allowed traffic): "
                "this version never serves, neither after an upgrade nor after a rollback",
                remedy="name a port that is there, or name that port alike in the container or the Service",
            )


def _unresolved(manifest: Manifest, manifests: Manifests) -> Iterator[tuple[str, str]]:
    """Yield what was expected and what is there instead, for each port of an object that leads nowhere."""
    yield from _probes(manifest)
    if manifest.kind == "Service":
        pods = selected(manifest, manifests)
        known = {name for found in pods for name in port_names(found)}
        for port in mappings(at(manifest.body, ("spec", "ports"))):
            target = port.get("targetPort")
            if pods and isinstance(target, str) and not target.isdigit() and target not in known:
                yield f"targetPort {target}", f"the pods of {_said(pods)} name {_listed(known)}"
    elif manifest.kind == "NetworkPolicy":
        yield from _policy(manifest, manifests)
    elif manifest.kind == "Ingress":
        for service in services(manifest):
            port = mapping(service.get("port"))
            number = port.get("name") or port.get("number")
            yield from _service_port(manifest.namespace, str(service.get("name")), number, manifests)
    elif manifest.kind in {"MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"}:
        for webhook in mappings(manifest.body.get("webhooks")):
            yield from _client(mapping(at(webhook, ("clientConfig", "service"))), manifests)
    elif manifest.kind == "CustomResourceDefinition":
        path = ("spec", "conversion", "webhook", "clientConfig", "service")
        yield from _client(mapping(at(manifest.body, path)), manifests)
    elif manifest.kind == "APIService":
        yield from _client(mapping(at(manifest.body, ("spec", "service"))), manifests)


def _probes(manifest: Manifest) -> Iterator[tuple[str, str]]:
    for path, container in containers(manifest):
        known = {str(port["name"]) for port in mappings(container.get("ports")) if port.get("name")}
        asked = [(f"{path}.{name}", mapping(container.get(name))) for name in _PROBES]
        asked += [(f"{path}.lifecycle.{name}", mapping(at(container, ("lifecycle", name)))) for name in _HOOKS]
        for where, handler in asked:
            for way in ("httpGet", "tcpSocket"):
                port = mapping(handler.get(way)).get("port")
                if isinstance(port, str) and not port.isdigit() and port not in known:
                    yield f"{where} on {port}", f"the container names {_listed(known)}"


def _policy(manifest: Manifest, manifests: Manifests) -> Iterator[tuple[str, str]]:
    """Look at ingress only: which pods egress leads to is often decided outside the chart."""
    pods = chosen(at(manifest.body, ("spec", "podSelector")), manifest.namespace, manifests)
    known = {name for found in pods for name in port_names(found)}
    for allowed in mappings(at(manifest.body, ("spec", "ingress"))):
        for port in mappings(allowed.get("ports")):
            name = port.get("port")
            if pods and isinstance(name, str) and not name.isdigit() and name not in known:
                yield f"ingress on {name}", f"the pods of {_said(pods)} name {_listed(known)}"


def _client(service: dict[str, Any], manifests: Manifests) -> Iterator[tuple[str, str]]:
    """Look at the Service behind a webhook, in a namespace that the chart has Services in."""
    namespace = service.get("namespace")
    known = [found for found in manifests.of("Service") if found.namespace == namespace]
    if service and known:
        name = str(service.get("name"))
        if name not in {found.name for found in known}:
            yield f"Service/{name} in {namespace}", f"there are {_listed({found.name for found in known})}"
        yield from _service_port(namespace, name, service.get("port", 443), manifests)


def _service_port(namespace: str | None, name: str, port: Any, manifests: Manifests) -> Iterator[tuple[str, str]]:  # noqa: ANN401
    for service in manifests.of("Service"):
        if (service.namespace, service.name) == (namespace, name):
            ports = mappings(at(service.body, ("spec", "ports")))
            known = {found.get(key) for found in ports for key in ("name", "port")} - {None}
            external = at(service.body, ("spec", "type")) == "ExternalName"
            if port is not None and port not in known and not external:
                yield f"port {port} of {service.key}", f"it has {_listed({str(found) for found in known})}"


@rule(
    "render/stable-ports", level=EXTENDED, seed="000 avoid renaming; additive-only changes", needs=("baseline",),
)  # fmt: skip
def stable_ports(pair: Pair) -> Iterator[Finding]:
    """Services keep their ports by name, number and protocol, and lead to ports that both versions' pods have.

    Ports may be added. A target port given by name may get another number, because it is looked up in each pod.
    """
    for old, new in pair.before.manifests.paired_with(pair.after.manifests, kinds={"Service"}):
        lost = list(_lost(old, new))
        if lost:
            yield Finding(
                object=str(old.key),
                expected=f"the ports of {pair.before.said}: {', '.join(lost)}",
                observed=f"{', '.join(map(_port, _ports(new))) or 'no ports'} in {pair.after.said}",
                why="clients, Ingresses and monitors of one version call a port that the other does not have: "
                "they fail after the upgrade, and again after the rollback",
                remedy="keep the port and add the new one beside it until no version needs the old one",
            )
        for here, service, there in ((pair.before, old, pair.after), (pair.after, new, pair.before)):
            yield from _unserved(here, service, there)


def _lost(old: Manifest, new: Manifest) -> Iterator[str]:
    kept = [(port.get("name"), port.get("port"), _protocol(port), port.get("nodePort")) for port in _ports(new)]
    for port in _ports(old):
        name, number, protocol, node = port.get("name"), port.get("port"), _protocol(port), port.get("nodePort")
        # The name of an only port may come: nobody can have used it before.
        like = [found for found in kept if found[1:3] == (number, protocol) and name in (found[0], None)]
        if not any(node in (None, found[3]) for found in like):
            yield _port(port)


def _unserved(here: Version, service: Manifest, there: Version) -> Iterator[Finding]:
    """Yield a Service whose target the other version's pods lack: they serve on while it has changed already."""
    mine = {found.key for found in selected(service, here.manifests)}
    others = [found for found in selected(service, there.manifests) if found.key in mine]
    other = there.manifests.get(service.key)
    before = {_target(port) for port in _ports(other)} if other else set()
    for port in _ports(service):
        target = _target(port)
        if not others or target in before or not isinstance(target, str | int):
            continue
        lacking = [found for found in others if not _serves(found, target)]
        if len(lacking) == len(others) and any(
            _serves(found, target) for found in selected(service, here.manifests)
        ):
            yield Finding(
                object=str(service.key),
                expected=f"a target that the pods of {there.said} have too, for port {port.get('port')}",
                observed=f"targetPort {target} in {here.said}; the pods of {_said(lacking)} in {there.said} have "
                "no such port",
                why="a Service changes before the pods do: until the last old pod is gone it sends traffic to a "
                "port that nobody listens on, in the upgrade or in the rollback",
                remedy="name the container's port and keep the name in every version; its number may then change",
            )


def _serves(workload: Manifest, target: str | int) -> bool:
    ports = [port for _, container in containers(workload) for port in mappings(container.get("ports"))]
    return any(target in (port.get("name"), port.get("containerPort")) for port in ports)


def _target(port: dict[str, Any]) -> Any:  # noqa: ANN401 - a name or a number
    return port.get("targetPort") or port.get("port")


def _ports(service: Manifest) -> list[dict[str, Any]]:
    return mappings(at(service.body, ("spec", "ports")))


def _protocol(port: dict[str, Any]) -> str:
    return str(port.get("protocol") or "TCP")


def _port(port: dict[str, Any]) -> str:
    node = f" (nodePort {port['nodePort']})" if port.get("nodePort") else ""
    return f"{port.get('name') or 'unnamed'} {port.get('port')}/{_protocol(port)}{node}"


def _said(manifests: list[Manifest]) -> str:
    return ", ".join(str(manifest.key) for manifest in manifests)


def _listed(names: set[str] | set[Any]) -> str:
    return ", ".join(sorted(map(str, names))) or "none"
