"""One API server's client: requests, answers and what they mean."""

from __future__ import annotations

import importlib
import json
import threading
import urllib.parse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import urllib3

from conformance.api.errors import ApiRefusal, ApiUnreachable
from conformance.api.resources import DISCOVERY, Body, Resource, discovered
from conformance.api.stream import Stream, Watch

JSON = "application/json"
#: Seconds a single request may take; the API server answers in milliseconds or is not there.
REQUEST_SECONDS = 30.0
#: A server that is busy for a moment, as with the storage of a kind just defined, is asked again for about 8 s.
_BUSY = urllib3.Retry(
    total=None, connect=0, read=0, redirect=0, other=0, status=20, status_forcelist={429}, allowed_methods=None,
    backoff_factor=0.05, backoff_max=0.5, respect_retry_after_header=False, raise_on_status=False,
)  # fmt: skip


class Api:
    """One API server. Safe to use from several threads; `close` when done."""

    def __init__(
        self, url: str, *, headers: Mapping[str, str] | None = None, **tls: Any,  # noqa: ANN401 - urllib3's
    ) -> None:  # fmt: skip
        self.url = url.rstrip("/")
        self._headers = dict(headers or {})
        self._pool = urllib3.PoolManager(num_pools=2, maxsize=32, retries=_BUSY, **tls)
        self._resources: dict[tuple[str, str], Resource] = {}
        self._discovering = threading.Lock()

    @classmethod
    def from_kubeconfig(cls, path: Path) -> Api:
        """Return the API server of a kubeconfig's current context; proxies in the environment are not used."""
        from kubernetes import client, config  # see `preload`

        settings = client.Configuration()
        # Its key goes to files beside it, which go with its folder even if this process is killed.
        config.load_kube_config(config_file=str(path), client_configuration=settings, persist_config=False,
                                temp_file_path=str(path.parent))  # fmt: skip
        return cls(
            settings.host,
            ca_certs=settings.ssl_ca_cert,
            cert_file=settings.cert_file,
            key_file=settings.key_file,
        )

    def close(self) -> None:
        """Close the connections."""
        self._pool.clear()

    def request(
        self,
        method: str,
        path: str,
        *,
        body: Body | str | None = None,
        content_type: str = JSON,
        query: Mapping[str, Any] | None = None,
        accept: str = JSON,
        timeout: float = REQUEST_SECONDS,
    ) -> Body:
        """Send one request and return the decoded answer.

        Raises `ApiRefusal` on an error status and `ApiUnreachable` when there is no answer within `timeout` s.
        """
        text = self.read(method, path, body=body, content_type=content_type, query=query, accept=accept,
                         timeout=timeout)  # fmt: skip
        answer = json.loads(text)
        return answer if isinstance(answer, dict) else {"items": answer}

    def read(
        self,
        method: str,
        path: str,
        *,
        body: Body | str | None = None,
        content_type: str = JSON,
        query: Mapping[str, Any] | None = None,
        accept: str = "*/*",
        timeout: float = REQUEST_SECONDS,
    ) -> str:
        """Send one request and return the answer as text, for logs and other answers that are no objects."""
        response = self._send(method, path, body, content_type, query, accept, timeout, stream=False)
        text: str = response.data.decode(errors="replace")
        if response.status >= 400:
            raise ApiRefusal(response.status, _error_body(text))
        return text

    def watch(
        self, resource: Resource, *, namespace: str | None = None, since: str, seconds: int = 60, **query: str
    ) -> Watch:
        """Return the changes after resource version `since`, with bookmarks, until the server ends the watch.

        The server ends it after `seconds`. Raises `ApiRefusal` (status 410 when `since` is too old) and
        `ApiUnreachable`, now or, when the connection breaks, as it is read; `conformance.observe` resumes.
        """
        asked = {"watch": "1", "allowWatchBookmarks": "true", "resourceVersion": since,
                 "timeoutSeconds": str(seconds), **query}  # fmt: skip
        return Watch(self.stream(resource.path(namespace), asked, timeout=seconds + REQUEST_SECONDS))

    def stream(self, path: str, query: Mapping[str, Any], *, accept: str = JSON, timeout: float) -> Stream:
        """Open an answer that has no end, to be read line by line; `timeout` is the longest silence, in seconds.

        Raises `ApiRefusal` and `ApiUnreachable`.
        """
        response = self._send("GET", path, None, JSON, query, accept, timeout, stream=True)
        if response.status >= 400:
            text = response.data.decode(errors="replace")
            response.close()
            raise ApiRefusal(response.status, _error_body(text))
        return Stream(response, f"{path} at {self.url}")

    def resources(self, *, refresh: bool = False) -> list[Resource]:
        """Return every resource type the server serves, asked once and again on `refresh`."""
        with self._discovering:
            if refresh or not self._resources:
                self._resources = {
                    (found.group, found.kind): found
                    for path in ("/api", "/apis")
                    for found in discovered(self.request("GET", path, accept=DISCOVERY))
                }
            return list(self._resources.values())

    def resource(self, group: str, kind: str) -> Resource:
        """Return one resource type; a kind that has just been defined is found by asking again.

        Raises `ApiRefusal` with status 404 when the server does not serve it.
        """
        for refresh in (False, True):
            self.resources(refresh=refresh)
            if found := self._resources.get((group, kind)):
                return found
        raise ApiRefusal(404, {"reason": "NotFound", "message": f"the server serves no {kind} in group {group!r}"})

    def list(self, resource: Resource, namespace: str | None = None, **query: str) -> Body:
        """Return the list object of a collection, each item with its `apiVersion` and `kind`."""
        answer = self.request("GET", resource.path(namespace), query=query)
        for item in answer["items"]:
            item.setdefault("apiVersion", resource.api_version)
            item.setdefault("kind", resource.kind)
        return answer

    def get(self, resource: Resource, namespace: str | None, name: str) -> Body | None:
        """Return one object, or None where there is none."""
        try:
            return self.request("GET", resource.path(namespace, name))
        except ApiRefusal as refusal:
            if refusal.status == 404:
                return None
            raise

    def create(self, body: Body, namespace: str | None = None, **query: str) -> Body:
        """Create an object, in its own namespace if it names one, else in `namespace`."""
        resource = self.resource_of(body)
        return self.request("POST", resource.path(body["metadata"].get("namespace") or namespace), body=body,
                            query=query)  # fmt: skip

    def merge(
        self, resource: Resource, namespace: str | None, name: str, patch: Body, subresource: str | None = None
    ) -> Body:
        """Merge a patch into an object (JSON merge patch): what it does not mention stays, null removes."""
        return self.request("PATCH", resource.path(namespace, name, subresource), body=patch,
                            content_type="application/merge-patch+json")  # fmt: skip

    def delete(self, resource: Resource, namespace: str | None, name: str, **query: str) -> None:
        """Delete one object; one that is not there is no error."""
        try:
            self.request("DELETE", resource.path(namespace, name), query=query)
        except ApiRefusal as refusal:
            if refusal.status != 404:
                raise

    def resource_of(self, body: Mapping[str, Any]) -> Resource:
        """Return the resource type of an object, at the version the object itself names.

        Raises `ApiRefusal` with status 404 when the server does not serve the kind.
        """
        group, _, version = str(body["apiVersion"]).rpartition("/")
        known = self.resource(group, str(body["kind"]))
        return Resource(group, version, known.plural, known.kind, known.namespaced, known.verbs)

    def _send(
        self, method: str, path: str, body: Body | str | None, content_type: str,
        query: Mapping[str, Any] | None, accept: str, timeout: float, *, stream: bool,
    ) -> Any:  # noqa: ANN401  # fmt: skip
        url = self.url + path + ("?" + urllib.parse.urlencode(query) if query else "")
        data = json.dumps(body) if isinstance(body, dict) else body
        headers = {**self._headers, "Accept": accept, **({"Content-Type": content_type} if data else {})}
        try:
            return self._pool.request(
                method, url, body=data, headers=headers, preload_content=not stream,
                timeout=urllib3.Timeout(connect=5.0, read=timeout),
            )  # fmt: skip
        except urllib3.exceptions.HTTPError as error:
            raise ApiUnreachable(
                f"no answer from the API server at {self.url} to {method} {path}: {error}"
            ) from error


def preload() -> None:
    """Begin to load what `Api.from_kubeconfig` needs, which takes a quarter of a second, and return at once."""
    threading.Thread(target=importlib.import_module, args=("kubernetes.client",), daemon=True).start()


def _error_body(text: str) -> Mapping[str, Any]:
    try:
        body = json.loads(text)
    except ValueError:
        return {"message": text.strip()}
    return body if isinstance(body, dict) else {"message": text}
