"""The reference platform's images: one file system under a name for each component, in the local registry.

Three layers: a Python, pulled where it can be, else Debian's; the wheels, with everything compiled; the source.
The first two are an artefact, made once; the third is small, so that a broken source is an image within a second.
"""

from __future__ import annotations

import os
import platform as host
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from conformance import paths
from conformance.errors import MachineLacks
from conformance.provision.debian import Root, make_root
from conformance.provision.golang import registries
from conformance.provision.images import USER, Image
from conformance.provision.oci import PATH, Entry, ImageFile, push, write_layer
from conformance.provision.pins import pins
from conformance.provision.pull import Puller
from conformance.provision.registry import Registry
from conformance.provision.store import Artefact, Store, file_hash, remove_tree
from conformance.run import Runner
from conformance.temporary import private_folder

#: What the platform consists of; each is the first argument of its one program.
COMPONENTS = ("control-plane", "controllers", "runner")
#: The folders of the source that a version has, a later one over an earlier one.
VERSIONS: Mapping[str, tuple[str, ...]] = {"1.0": ("src",), "1.1": ("src", "next")}
ROOT = Root("platform", "extract")
#: Where the wheels and the source are in an image.
PACKAGES, SOURCE = "/opt/packages", "/opt/platform"
#: Raised when the way of putting the layers together changes.
RECIPE = 1
#: Seconds for fetching 20 MB of wheels, and for compiling everything.
FETCH_SECONDS, COMPILE_SECONDS = 600.0, 300.0
#: The newest C library of a wheel's tag that the root file system's own is sure to be as new as.
GLIBC = range(17, 37)


def base_artefact() -> Artefact:
    """Return the artefact that is the two layers beneath the source."""
    made_from = {
        "image": str(pins().image("python")),
        "root": str(ROOT.artefact),
        "wheels": pins().requirements,
        "recipe": RECIPE,
    }
    return Artefact.of("platform", made_from)


def base_path(store: Store) -> Path:
    """Return the folder of the layers, or where it will be."""
    return store.path(base_artefact())


def build_base(runner: Runner, store: Store, puller: Puller) -> Path:
    """Return the folder of the two layers beneath the source, made first where they are missing.

    Raises `MachineLacks` where neither the image nor Debian's packages can be had, or no pip; `CommandFailed`.
    """

    def make(folder: Path) -> None:
        root = folder / "root.tar"
        if image := puller.pull(pins().image("python")):
            puller.export(image, root)
        else:
            os.link(make_root(runner, store, ROOT), root)
        tree, packages = folder / "tree", folder / "tree" / PACKAGES.lstrip("/")
        tree.mkdir()
        runner.run("tar", "--extract", "--file", root, "--directory", tree, timeout=COMPILE_SECONDS)
        library = next(
            path for prefix in ("usr/local", "usr") for path in (tree / prefix / "lib").glob("python3.*")
        )
        version, program = library.name.removeprefix("python"), library.parent.parent / "bin/python3"
        _fetch_wheels(runner, version, packages, folder / "requirements.txt")
        # Unchecked: the layers carry no times that a check could go by, and nothing in them ever changes.
        chroot = ("chroot",) if os.geteuid() == 0 else ("unshare", "--map-root-user", "chroot")
        inside = [f"/{path.relative_to(tree)}" for path in (program, library)]
        runner.run(*chroot, tree, inside[0], "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash",
                   inside[1], PACKAGES, timeout=COMPILE_SECONDS)  # fmt: skip
        write_layer(folder / "packages.tar", _packages(tree))
        remove_tree(tree)

    return store.make(base_artefact(), make, what="the reference platform's file system")


def push_platform(base: Path, registry: Registry, version: str, source: Path | None = None) -> dict[str, Image]:
    """Push a version of the platform and return its image of each component, by the component's name.

    `source` is the folder of its source, the suite's own by default. The same input gives the same digests. Raises
    `MachineLacks` when the registry does not answer.
    """
    source = source or own_source()
    images = {}
    with private_folder() as folder:
        layer = write_layer(folder / "source.tar", _source(source, version))
        for component in COMPONENTS:
            image = ImageFile(
                (base / "root.tar", base / "packages.tar", layer),
                entrypoint=("python3", "-m", "reference_platform", component),
                environment={
                    "PATH": PATH,
                    "PYTHONPATH": f"{SOURCE}:{PACKAGES}",
                    "PYTHONDONTWRITEBYTECODE": "1",
                    "PYTHONUNBUFFERED": "1",
                    "PLATFORM_VERSION": version,
                },
                labels={"org.opencontainers.image.version": version},
                user=USER,
            )
            name, tag = f"platform/{component}", f"{version}-{file_hash(layer)[:12]}"
            images[component] = Image(f"{registry.pull}/{name}", tag, push(registry.push, name, tag, image))
    return images


def own_source() -> Path:
    """Return the folder of the reference platform."""
    return paths.bundle("fixtures") / "platform"


def _source(folder: Path, version: str) -> Iterator[Entry]:
    files: dict[Path, Path] = {}
    for part in VERSIONS[version]:
        files |= {file.relative_to(folder / part): file for file in _files(folder / part)}
    return (Entry(f"{SOURCE}/{path}", files[path], mode=0o644) for path in sorted(files))


def _packages(tree: Path) -> Iterator[Entry]:
    """Yield what the second layer adds to the first: the wheels, and what was compiled of both."""
    yield Entry("etc/passwd", b"platform:x:65532:65532::/tmp:/sbin/nologin\n", mode=0o644)
    for file in sorted(tree.rglob("*.pyc")):
        yield Entry(str(file.relative_to(tree)), file, mode=0o644)
    for file in _files(tree / PACKAGES.lstrip("/")):
        yield Entry(str(file.relative_to(tree)), file, mode=0o644)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc")


def _fetch_wheels(runner: Runner, python: str, into: Path, requirements: Path) -> None:
    requirements.write_text(pins().requirements)
    machine = host.machine()
    if runner.run(sys.executable, "-m", "pip", "--version", timeout=60, check=False).status == 0:
        installer = [sys.executable, "-m", "pip"]
    elif shutil.which("uv") or shutil.which("pip3"):
        installer = ["uv", "pip"] if shutil.which("uv") else ["pip3"]
    else:
        raise MachineLacks("no pip to fetch the reference platform's wheels with; install pip or uv")
    platforms = [f"--platform=manylinux_2_{minor}_{machine}" for minor in GLIBC]
    here = (
        ["--python-version", python, "--python-platform", f"{machine}-manylinux_2_36"]
        if installer[0] == "uv"
        else ["--python-version", python, "--implementation=cp", f"--platform=manylinux2014_{machine}", *platforms]
    )
    runner.run(*installer, "install", "--require-hashes", "--no-deps", "--only-binary=:all:", *here,
               "--target", into, "-r", requirements, timeout=FETCH_SECONDS, env=registries())  # fmt: skip
