"""Pull a chart from an OCI registry with Helm, using credentials of the source's own and none of the caller's."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path

from conformance.chart.address import Oci
from conformance.errors import BadInput, CommandFailed, MachineLacks
from conformance.redact import REDACTOR
from conformance.run import Runner

#: Seconds for one pull.
PULL_SECONDS = 300.0

_UNKNOWN = re.compile(
    r"not found|name_unknown|manifest_unknown|manifest unknown|name unknown|404|unable to locate any tags"
    r"|could not locate a version|improper constraint|invalid reference",
    re.IGNORECASE,
)
_REFUSED = re.compile(r"unauthorized|denied|forbidden|\b40[13]\b|basic credential", re.IGNORECASE)
_UNREACHABLE = re.compile(
    r"no such host|connection refused|timeout|timed out|unreachable|connection reset|EOF", re.IGNORECASE
)


def pull(address: Oci, into: Path, runner: Runner, helm: Path | None, shown: str) -> Path:
    """Pull the chart into the new folder `into` and return its archive.

    A registry on this machine speaks plain HTTP. `shown` names the chart. Raises `BadInput` for a chart or version
    that is not there and for refused credentials, `MachineLacks` where the registry cannot be reached or Helm is
    missing.
    """
    if helm is None:
        raise MachineLacks(f"chart {shown}: Helm is needed to pull it; `agents-conformance provision` brings it")
    into.mkdir()
    login = into / "registry.json"
    login.touch(mode=0o600)
    login.write_text(_logins(address))
    own = runner.with_environment(
        HELM_REGISTRY_CONFIG=str(login),
        HELM_CONFIG_HOME=str(into / "config"),
        HELM_CACHE_HOME=str(into / "cache"),
        HELM_DATA_HOME=str(into / "data"),
    )
    words = ["pull", f"--destination={into}"]
    words += [f"--version={address.version}"] if address.version else []
    words += ["--plain-http"] if address.plain_http else []
    try:
        result = own.run(helm, *words, "--", address.url, timeout=PULL_SECONDS, check=False)
    except CommandFailed as error:
        raise MachineLacks(f"chart {shown}: {error}; check network and address") from None
    finally:
        login.unlink()
    if result.status:
        raise _failed(result.stderr, shown)
    archives = sorted(into.glob("*.tgz"))
    if len(archives) != 1:
        raise BadInput(f"chart {shown}: expected one chart archive, seen {len(archives)}; is it a chart?")
    return archives[0]


def _logins(address: Oci) -> str:
    """Return a registry login file; `helm registry login` would take the user name in its arguments."""
    if address.credentials is None:
        return "{}"
    pair = base64.b64encode(f"{address.credentials.user}:{address.credentials.password}".encode()).decode()
    REDACTOR.add(pair)
    return json.dumps({"auths": {address.host: {"auth": pair}}})


def _failed(stderr: str, shown: str) -> BadInput | MachineLacks:
    said = REDACTOR.scrub(" ".join(stderr.split()))[:300] or "nothing"
    if _UNREACHABLE.search(stderr):
        return MachineLacks(f"chart {shown}: the registry cannot be reached: {said}; check network and address")
    if _REFUSED.search(stderr):
        return BadInput(f"chart {shown}: expected leave to pull it, seen: {said}; give other credentials")
    if _UNKNOWN.search(stderr):
        return BadInput(f"chart {shown}: expected a chart in the registry, seen: {said}; check path and version")
    return MachineLacks(f"chart {shown}: Helm could not pull it: {said}; check network and address")
