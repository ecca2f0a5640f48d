"""A tiny API server in this process: discovery, list, watch with history, dry-run replace, pod logs.

It keeps the log of all changes, so that a watch can resume, expire (`compact`) and break (`hang_up`) as it does
in a real one.
"""

from __future__ import annotations

import copy
import json
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from conformance.api import Api

Body = dict[str, Any]

TYPES = (
    ("", "v1", "configmaps", "ConfigMap"), ("", "v1", "pods", "Pod"), ("", "v1", "events", "Event"),
    ("", "v1", "secrets", "Secret"), ("", "v1", "serviceaccounts", "ServiceAccount"),
    ("apps", "v1", "deployments", "Deployment"), ("apps", "v1", "statefulsets", "StatefulSet"),
    ("apps", "v1", "daemonsets", "DaemonSet"), ("apps", "v1", "replicasets", "ReplicaSet"),
    ("batch", "v1", "jobs", "Job"),
)  # fmt: skip


class Server:
    """The state of the server; every method may be called while it is asked."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.version = 100
        self.compacted = 0
        self.connection = 0
        self.objects: dict[tuple[str, str, str], Body] = {}
        self.log: list[tuple[int, str, str, Body]] = []
        self.watched_from: list[str] = []
        self.refusals: dict[tuple[str, str], list[tuple[int, str]]] = {}
        self.replace: Callable[[Body], Body] = lambda body: body
        self.pod_logs: dict[tuple[str, str, bool], list[str]] = {}
        self.asked: list[str] = []
        self.closing = False
        self.everywhere = False

    def put(self, plural: str, body: Body) -> Body:
        """Store an object and tell the watches."""
        with self.changed:
            metadata = body.setdefault("metadata", {})
            metadata.setdefault("namespace", "ns")
            key = (plural, metadata["namespace"], metadata["name"])
            self.version += 1
            metadata.setdefault("uid", f"uid-{plural}-{metadata['name']}")
            metadata["resourceVersion"] = str(self.version)
            kind = "MODIFIED" if key in self.objects else "ADDED"
            self.objects[key] = copy.deepcopy(body)
            self.log.append((self.version, kind, plural, copy.deepcopy(body)))
            self.changed.notify_all()
            return body

    def remove(self, plural: str, name: str, namespace: str = "ns") -> None:
        with self.changed:
            body = self.objects.pop((plural, namespace, name))
            self.version += 1
            body["metadata"]["resourceVersion"] = str(self.version)
            self.log.append((self.version, "DELETED", plural, body))
            self.changed.notify_all()

    def bookmark(self, plural: str) -> None:
        with self.changed:
            self.version += 1
            body = {"metadata": {"resourceVersion": str(self.version)}}
            self.log.append((self.version, "BOOKMARK", plural, body))
            self.changed.notify_all()

    def compact(self) -> None:
        """Forget the log: a watch from before now is too old."""
        with self.changed:
            self.compacted = self.version

    def hang_up(self) -> None:
        """Break every watch in the middle of its answer."""
        with self.changed:
            self.connection += 1
            self.changed.notify_all()

    def refuse(self, method: str, plural: str, *answers: tuple[int, str]) -> None:
        """Answer the next requests to a collection with these statuses and messages."""
        self.refusals[method, plural] = list(answers)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Http

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        state = self.server.state
        path, _, text = self.path.partition("?")
        query = dict(urllib.parse.parse_qsl(text))
        state.asked.append(f"GET {self.path}")
        if path in ("/api", "/apis"):
            return self._answer(200, _discovery(core=path == "/api"))
        plural, namespace, name, sub = _parse(path)
        if state.refusals.get(("GET", plural)):
            return self._refuse(*state.refusals["GET", plural].pop(0))
        if sub == "log":
            return self._log(name, query)
        if name:
            body = state.objects.get((plural, namespace, name))
            return self._answer(200, body) if body else self._refuse(404, "not found")
        if "watch" in query:
            return self._watch(plural, namespace, query)
        with state.changed:
            any_namespace = state.everywhere and not namespace
            items = [
                body
                for (kind, ns, _), body in state.objects.items()
                if kind == plural and (ns == namespace or any_namespace)
            ]
            if wanted := query.get("fieldSelector", ""):
                field, _, value = wanted.partition("=")
                items = [one for one in items if field != "metadata.name" or one["metadata"]["name"] == value]
            return self._answer(200, {"metadata": {"resourceVersion": str(state.version)}, "items": items})

    def do_PUT(self) -> None:
        self._write("PUT")

    def do_POST(self) -> None:
        self._write("POST")

    def do_DELETE(self) -> None:
        state = self.server.state
        plural, namespace, name, _ = _parse(self.path.partition("?")[0])
        state.asked.append(f"DELETE {self.path}")
        if (plural, namespace, name) in state.objects:
            state.remove(plural, name, namespace)
        self._answer(200, {"kind": "Status"})

    def _write(self, method: str) -> None:
        state = self.server.state
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        state.asked.append(f"{method} {self.path}")
        plural, namespace, _, _ = _parse(self.path.partition("?")[0])
        if state.refusals.get((method, plural)):
            return self._refuse(*state.refusals[method, plural].pop(0))
        if method == "PUT":
            return self._answer(200, state.replace(body))
        metadata = body["metadata"]
        if "generateName" in metadata:
            metadata["name"] = metadata.pop("generateName") + "abcde"
        metadata["namespace"] = namespace
        return self._answer(201, state.put(plural, body))

    def _watch(self, plural: str, namespace: str, query: dict[str, str]) -> None:
        state = self.server.state
        since = int(query["resourceVersion"])
        state.watched_from.append(query["resourceVersion"])
        connection = state.connection
        self._begin()
        if since < state.compacted:
            self._line({"type": "ERROR", "object": {"code": 410, "reason": "Expired", "message": "too old"}})
            return self._end()
        while True:
            with state.changed:
                timed_out = not state.changed.wait_for(
                    lambda seen=since: state.version > seen or state.connection != connection or state.closing,
                    timeout=float(query["timeoutSeconds"]),
                )
                if state.connection != connection or state.closing:
                    self.close_connection = True
                    return None
                if timed_out:
                    return self._end()
                news = [row for row in state.log if row[0] > since and row[2] == plural]
                since = state.version
            for _, kind, _, body in news:
                if kind == "BOOKMARK" or body["metadata"]["namespace"] == namespace:
                    self._line({"type": kind, "object": body})

    def _log(self, name: str, query: dict[str, str]) -> None:
        state = self.server.state
        lines = state.pod_logs.get((name, query["container"], query.get("previous") == "true"))
        if lines is None:
            return self._refuse(400, "container is waiting to start")
        self._begin()
        sent, connection = 0, state.connection
        while True:
            with state.changed:
                if query.get("follow") == "true":
                    state.changed.wait_for(
                        lambda told=sent: len(lines) > told or state.connection != connection or state.closing, 10
                    )
                if state.connection != connection or state.closing:
                    self.close_connection = True
                    return None
            for line in lines[sent:]:
                self._chunk(line.encode() + b"\n")
            sent = len(lines)
            if query.get("follow") != "true":
                return self._end()

    def _begin(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def _line(self, value: Body) -> None:
        self._chunk(json.dumps(value).encode() + b"\n")

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()

    def _end(self) -> None:
        self.wfile.write(b"0\r\n\r\n")

    def _answer(self, status: int, body: Body | None) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _refuse(self, status: int, message: str) -> None:
        reasons = {404: "NotFound", 409: "Conflict", 410: "Expired", 422: "Invalid"}
        self._answer(status, {"kind": "Status", "reason": reasons.get(status, ""), "message": message})


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, state: Server) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.state = state

    def handle_error(self, *_: object) -> None:
        """A client that hangs up is no news."""


def _parse(path: str) -> tuple[str, str, str, str]:
    parts = [urllib.parse.unquote(part) for part in path.strip("/").split("/")]
    parts = parts[2:] if parts[0] == "api" else parts[3:]
    namespace = ""
    if parts[0] == "namespaces" and len(parts) > 2:
        namespace, parts = parts[1], parts[2:]
    plural, name, sub = [*parts, "", ""][:3]
    return plural, namespace, name, sub


def _discovery(*, core: bool) -> Body:
    groups: dict[str, list[Body]] = {}
    for group, version, plural, kind in (*TYPES, ("", "v1", "namespaces", "Namespace")):
        if (group == "") == core:
            groups.setdefault(group, []).append({
                "resource": plural, "scope": "Cluster" if plural == "namespaces" else "Namespaced",
                "responseKind": {"group": group, "version": version, "kind": kind},
                "verbs": ["list", "watch", "get", "create", "update"],
            })  # fmt: skip
    return {
        "items": [
            {"metadata": {"name": group}, "versions": [{"version": "v1", "resources": resources}]}
            for group, resources in groups.items()
        ]
    }


@contextmanager
def serving() -> Iterator[tuple[Server, Api]]:
    """Serve until left; yields the state and a client."""
    state = Server()
    http = _Http(state)
    thread = threading.Thread(target=lambda: http.serve_forever(poll_interval=0.01))
    thread.start()
    api = Api(f"http://127.0.0.1:{http.server_address[1]}")
    try:
        yield state, api
    finally:
        api.close()
        with state.changed:
            state.closing = True
            state.changed.notify_all()
        http.shutdown()
        http.server_close()
        thread.join()
