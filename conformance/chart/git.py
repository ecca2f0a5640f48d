"""Take a chart's folder out of a git repository, without running anything that the repository asks for.

No hooks, no submodules, no configuration of the caller's or the machine's, no prompts, and only the transports
that were asked for. Credentials reach git through its environment, never its arguments.
"""

from __future__ import annotations

import base64
import re
import urllib.parse
from pathlib import Path

from conformance.chart.address import Credentials, Git
from conformance.errors import BadInput, CommandFailed, MachineLacks
from conformance.git_settings import as_environment
from conformance.redact import REDACTOR
from conformance.run import Result, Runner
from conformance.wording import printable

#: Seconds for one conversation with a repository.
FETCH_SECONDS = 300.0
_SECONDS = 60.0

_NO_REF = re.compile(r"couldn't find remote ref|not our ref|unadvertised object|invalid refspec", re.IGNORECASE)
_NO_REPOSITORY = re.compile(
    r"does not appear to be a git repository|repository '[^']*' not found|not found: |returned error: 404",
    re.IGNORECASE,
)
_REFUSED = re.compile(
    r"authentication failed|could not read (username|password)|permission denied|returned error: 40[13]",
    re.IGNORECASE,
)


def fetch(address: Git, into: Path, runner: Runner, shown: str) -> Path:
    """Check out the address's path below the new folder `into` and return the chart's folder there.

    Raises `BadInput` for an unknown repository, ref or path and for refused credentials, `MachineLacks` where
    the repository cannot be reached; `shown` names the chart.
    """
    into.mkdir()
    if address.is_local and not Path(address.repo).is_dir():
        raise BadInput(
            f"chart {shown}: expected a git repository, seen no folder at {address.repo}; check the path"
        )
    store, tree = into / "git", into / "tree"
    tree.mkdir()
    git = _Repository(runner, store, tree, into / "gitconfig", address)
    git.init()
    commit = _commit(git, address, shown)
    found = git.run("checkout", "--quiet", "--force", commit, "--", address.path, check=False)
    if found.status:
        if "did not match" in found.stderr:
            raise BadInput(
                f"chart {shown}: expected the path {address.path} at {address.ref}, seen none; check it"
            )
        raise MachineLacks(f"chart {shown}: git could not check out: {_told(found)}")
    folder = (tree / address.path).resolve()
    if not folder.is_relative_to(tree.resolve()):
        raise BadInput(
            f"chart {shown}: {address.path} links to a place outside the repository; name the chart's folder"
        )
    return folder


def _commit(git: _Repository, address: Git, shown: str) -> str:
    """Fetch the ref, alone where the server knows it by that name, and return its commit."""
    found = git.fetch("--depth=1", address.ref)
    commit = "FETCH_HEAD^{commit}"
    if found.status and (_NO_REF.search(found.stderr) or not _is_plain(address.ref)):
        # Not a branch, tag or whole commit id: perhaps `v1~2`, or a short id; those need the history.
        found = git.fetch("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*", "+HEAD:refs/conformance/head")
        ref = re.sub(r"^(HEAD|@)(?![\w./-])", "refs/conformance/head", address.ref)
        commit = f"{ref}^{{commit}}"
    if found.status:
        raise _unreachable(found, address, shown)
    resolved = git.run("rev-parse", "--verify", "--quiet", "--end-of-options", commit, check=False)
    if resolved.status:
        raise BadInput(f"chart {shown}: expected a branch, tag or commit, seen no {address.ref} in the repository")
    return resolved.stdout.strip()


def _is_plain(ref: str) -> bool:
    return re.search(r"[~^@{}]", ref) is None


def _unreachable(result: Result, address: Git, shown: str) -> BadInput | MachineLacks:
    told = _told(result)
    if _REFUSED.search(result.stderr):
        return BadInput(
            f"chart {shown}: expected leave to read the repository, seen: {told}; give other credentials"
        )
    if _NO_REPOSITORY.search(result.stderr) or address.is_local or address.repo.startswith("file:"):
        return BadInput(f"chart {shown}: expected a git repository, seen: {told}; check the repository")
    return MachineLacks(f"chart {shown}: the repository cannot be reached: {told}; check network and address")


def _told(result: Result) -> str:
    said = " ".join(result.stderr.split()) or f"git ended with status {result.status}"
    return printable(REDACTOR.scrub(said))[:300]


class _Repository:
    """A bare repository of the suite's own that fetches from one address."""

    def __init__(self, runner: Runner, store: Path, tree: Path, config: Path, address: Git) -> None:
        self._address, self._store = address, store
        self._prefix = ("git", f"--git-dir={store}", f"--work-tree={tree}", "--literal-pathspecs")
        # The caller named this repository: git may read it also where another user owns it, as in containers.
        repo = Path(urllib.parse.urlsplit(address.repo).path if "://" in address.repo else address.repo)
        quoted = [str(path).replace("\\", "\\\\").replace('"', '\\"') for path in (repo, repo / ".git")]
        config.write_text("[safe]\n" + "".join(f'\tdirectory = "{path}"\n' for path in quoted))
        settings = {
            "core.hooksPath": "/dev/null",
            "core.fsmonitor": "false",
            "core.autocrlf": "false",
            "credential.helper": "",
            "fetch.recurseSubmodules": "no",
            "gc.auto": "0",
            "protocol.ext.allow": "never",
            "submodule.recurse": "false",
        }
        if address.credentials:
            settings[f"http.{_origin(address.repo)}.extraHeader"] = _header(address.credentials)
        self._runner = runner.with_environment(
            **as_environment(settings),
            GIT_CONFIG_GLOBAL=str(config),
            GIT_CONFIG_NOSYSTEM="1",
            GIT_ALLOW_PROTOCOL="file:http:https:ssh",
            GIT_TERMINAL_PROMPT="0",
            GIT_ASKPASS="true",
            GIT_SSH_COMMAND="ssh -o BatchMode=yes -o ConnectTimeout=20",
            GIT_ADVICE="0",
        )

    def init(self) -> None:
        """Make the repository, empty."""
        self._runner.run("git", "init", "--quiet", "--bare", "--template=", self._store, timeout=_SECONDS)

    def run(self, *words: str, check: bool = True) -> Result:
        return self._runner.run(*self._prefix, *words, timeout=_SECONDS, check=check)

    def fetch(self, *words: str) -> Result:
        """Fetch; options first, then refs. A failure is returned, a deadline passed raises `MachineLacks`."""
        options = [word for word in words if word.startswith("--")]
        refs = [word for word in words if not word.startswith("--")]
        try:
            return self._runner.run(
                *self._prefix, "fetch", "--quiet", "--no-tags", "--no-recurse-submodules", *options, "--",
                self._address.repo, *refs, timeout=FETCH_SECONDS, check=False,
            )  # fmt: skip
        except CommandFailed as error:
            raise MachineLacks(f"{error}; check network and address") from None


def _origin(url: str) -> str:
    split = urllib.parse.urlsplit(url)
    return f"{split.scheme}://{split.netloc}/"


def _header(credentials: Credentials) -> str:
    pair = f"{credentials.user}:{credentials.password}".encode()
    header = f"Authorization: Basic {base64.b64encode(pair).decode()}"
    REDACTOR.add(header, base64.b64encode(pair))
    return header
