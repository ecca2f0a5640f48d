"""Where a chart comes from, as the caller writes it: parsed, guarded and safe to show.

Nothing is contacted here. Credentials in a URL are made known to the redactor before anything else happens.
"""

from __future__ import annotations

import re
import urllib.parse
from dataclasses import dataclass
from pathlib import Path

from conformance.errors import BadInput
from conformance.redact import REDACTOR
from conformance.wording import printable

FORMS = "a folder, a .tgz, git:<repo>@<ref>:<path>, oci://<host>/<path>[:<version>] or reference:<version>"

_GIT = re.compile(r"git:(?P<repo>.+)@(?P<ref>[^@:\s]+):(?P<path>[^:]+)", re.DOTALL)
#: ssh's short form, `user@host:path`.
_SCP = re.compile(r"(?:\w[\w.-]*@)?\w[\w.-]*:(?!//)[^:]*")
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


@dataclass(frozen=True)
class Credentials:
    """A user name and password that stood in a URL, percent-decoded."""

    user: str
    password: str


@dataclass(frozen=True)
class Files:
    """A chart's folder or archive on this machine."""

    path: Path


@dataclass(frozen=True)
class Git:
    """A folder of a git repository at a ref. `repo` is an absolute path or a URL without credentials."""

    repo: str
    ref: str
    path: str
    credentials: Credentials | None = None

    @property
    def is_local(self) -> bool:
        """Say whether the repository is a folder of this machine, written as a path."""
        return self.repo.startswith("/")


@dataclass(frozen=True)
class Oci:
    """A chart in a registry: `host[:port]`, the path below it, and a version, where one was given."""

    host: str
    path: str
    version: str | None = None
    credentials: Credentials | None = None

    @property
    def plain_http(self) -> bool:
        """Say whether the registry is on this machine, where registries speak plain HTTP."""
        return (urllib.parse.urlsplit(f"//{self.host}").hostname or "") in _LOOPBACK

    @property
    def url(self) -> str:
        """Return the reference without version and credentials."""
        return f"oci://{self.host}/{self.path}"


@dataclass(frozen=True)
class Reference:
    """A version of the reference chart."""

    version: str


Address = Files | Git | Oci | Reference


def parse(source: str, folder: Path | None = None) -> Address:
    """Return the address that a source means; relative paths start from `folder`, else the current one.

    Raises `BadInput` for what is no source, and for one that smuggles options or transports into git or Helm.
    """
    _credentials(source)
    if not source.strip():
        raise BadInput(f"chart source: expected {FORMS}, seen nothing; name one")
    if not source.isprintable():
        raise _wrong(source, "printable text", "control characters")
    if source.startswith("git:"):
        return _git(source, folder or Path())
    if source.startswith("oci://"):
        return _oci(source)
    if source.startswith("reference:"):
        return Reference(source.removeprefix("reference:"))
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:(//|:)", source):
        raise _wrong(source, FORMS, f"the scheme {source.partition(':')[0]}")
    try:
        return Files(((folder or Path()) / source).absolute())
    except (OSError, ValueError) as error:
        raise _wrong(source, FORMS, str(error)) from None


def seen_from(folder: Path, source: str) -> str:
    """Return a source whose relative paths start from a folder in a form that means the same from anywhere."""
    address = parse(source, folder)
    if isinstance(address, Files):
        return str(address.path)
    if isinstance(address, Git) and address.is_local:
        return f"git:{address.repo}@{address.ref}:{address.path}"
    return source


def shown(source: str) -> str:
    """Return a source for messages and reports: credentials hidden, printable, not too long."""
    url = _URL.search(source)
    if url and (url["user"] is not None or _half_parsed(url)):
        start, end = url.span("user") if url["user"] is not None else (url.end("scheme"), len(source))
        source = f"{source[:start]}***{source[end:]}"
    return REDACTOR.scrub(printable(source))[:200]


_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)(?:(?P<user>[^/\s]*)@)?(?P<host>[^/\s]*)")


def _half_parsed(url: re.Match[str]) -> bool:
    """Say whether what looks like a port is none: then it may be a password with a slash in it."""
    port = re.sub(r"^\[.*\]", "", url["host"]).partition(":")[2]
    return port != "" and not port.isdecimal()


def _credentials(source: str) -> Credentials | None:
    """Return the credentials in a URL, and make what is secret of them known to the redactor."""
    url = _URL.search(source)
    if url is None:
        return None
    if url["user"] is None:
        if _half_parsed(url):
            after = source[url.end("scheme") :].partition(":")[2]
            REDACTOR.add(url["host"].partition(":")[2], after.partition("@")[0])
        return None
    user, _, password = url["user"].partition(":")
    secret = [password] if password not in ("", "x-oauth-basic") else [] if "ssh://" in source else [user]
    REDACTOR.add(*secret, *map(urllib.parse.unquote, secret))
    return Credentials(urllib.parse.unquote(user), urllib.parse.unquote(password))


def _git(source: str, folder: Path) -> Git:
    found = _GIT.fullmatch(source)
    form = "git:<repo>@<ref>:<path>"
    if found is None:
        raise _wrong(source, form, "another form")
    repo, ref, path = found["repo"], found["ref"], found["path"]
    if ref.startswith("-") or not re.fullmatch(r"[\w./@{}^~+#%=,-]+", ref):
        raise _wrong(source, "a branch, tag or commit as <ref>", ref)
    if Path(path).is_absolute() or ".." in Path(path).parts:
        raise _wrong(source, "a <path> inside the repository", path)
    url = _URL.match(repo)
    if url is None and "::" in repo.split("/")[0]:
        raise _wrong(source, "a path or an https, ssh or file URL as <repo>", "another transport")
    if url is None:
        if _SCP.fullmatch(repo) and not (folder / repo).exists():
            return Git(repo, ref, path)
        return Git(str((folder / repo).absolute()), ref, path)
    credentials = _credentials(repo)
    scheme, rest = url["scheme"], repo[url.end() :]
    host = urllib.parse.urlsplit(f"//{url['host']}").hostname or ""
    allowed = scheme in ("https://", "ssh://", "file://") or (scheme == "http://" and host in _LOOPBACK)
    if not allowed:
        raise _wrong(source, "a path or an https, ssh or file URL as <repo>", scheme)
    if _half_parsed(url) or not rest.startswith("/") or host.startswith("-") or (not host and scheme != "file://"):
        raise _wrong(source, f"{form} with a whole URL as <repo>", "a URL without host or path")
    if scheme == "ssh://" and credentials:
        if credentials.password:
            raise _wrong(source, "an ssh URL without a password", "one with it")
        return Git(f"{scheme}{url['user']}@{url['host']}{rest}", ref, path)
    return Git(f"{scheme}{url['host']}{rest}", ref, path, credentials)


def _oci(source: str) -> Oci:
    credentials = _credentials(source)
    url = _URL.match(source)
    rest = source[url.end() :] if url else ""
    found = re.fullmatch(r"/(?P<path>[a-z0-9][a-z0-9._/-]*)(?::(?P<version>[A-Za-z0-9][\w.+-]*))?", rest, re.ASCII)
    if (
        url is None
        or found is None
        or not re.fullmatch(r"[\w.-]+(:[0-9]+)?|\[[0-9a-f:]+\](:[0-9]+)?", url["host"])
    ):
        raise _wrong(source, "oci://<host>/<path>[:<version>]", "another form")
    return Oci(url["host"], found["path"], found["version"], credentials)


def _wrong(source: str, expected: str, seen: str) -> BadInput:
    return BadInput(f"chart source {shown(source)}: expected {expected}, seen {REDACTOR.scrub(seen)}; correct it")
