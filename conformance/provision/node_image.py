"""The node image: the engine's, pulled, loaded from the cache, or put together from packages."""

from __future__ import annotations

import gzip
import logging
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from conformance.provision.debian import Root, make_root
from conformance.provision.engine import Engine
from conformance.provision.golang import SOURCES, Go
from conformance.provision.oci import PATH, Entry, ImageFile, write_archive, write_layer
from conformance.provision.pins import Kubernetes, pins
from conformance.provision.programs import kubernetes_programs
from conformance.provision.progress import step
from conformance.provision.store import Artefact, Store, file_hash, key
from conformance.provision.upstream import known
from conformance.run import Runner

log = logging.getLogger(__name__)

#: What the names of the images we make begin with, and the label of what is ours in the engine.
NAMESPACE = "agents-conformance"
LABEL = "agents-conformance"
#: Raised when the way of putting the image together changes.
RECIPE = 1
#: Seconds for one step with a gigabyte of image.
COPY_SECONDS = 900.0

#: The packages of the node itself, and those beneath kube-proxy.
ROOTS = {"node": Root("node", "minbase"), "proxy": Root("proxy", "extract")}
FILES = SOURCES / "node"
#: The image as a file: gzip, because engines as old as Debian's do not read zstd; at its fastest, 1 GB in 10 s.
FILE = "image.tar.gz"
#: What a node image has beyond its files.
CHANGES = (
    "--change", 'ENTRYPOINT ["/usr/local/bin/entrypoint", "/sbin/init"]',
    "--change", "CMD []",
    "--change", "ENV container=docker",
    "--change", f"LABEL {LABEL}=node",
)  # fmt: skip
CONTROL_PLANE = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
IPTABLES = [f"{family}tables{what}" for family in ("ip", "ip6") for what in ("", "-save", "-restore")]


@dataclass(frozen=True)
class NodeImage:
    """A node image in the engine. `kubernetes` is its version; `built` says that it is one of ours."""

    reference: str
    kubernetes: str
    built: bool


def artefact(release: Kubernetes) -> Artefact:
    """Return the artefact that is a release's node image as a file."""
    made_from = {
        "programs": [str(program.artefact) for program in kubernetes_programs(release)],
        "roots": [str(root.artefact) for root in ROOTS.values()],
        "files": {file.name: file_hash(file) for file in sorted(FILES.iterdir())},
        "kind": pins().tools["kind"].version,
        "recipe": RECIPE,
    }
    return Artefact.of(f"node-{release.version}", made_from)


def tag(release: Kubernetes) -> str:
    """Return the reference, in the engine, of the image that we build for a release."""
    return f"{NAMESPACE}/node:{release.version}-{artefact(release).key}"


def here(engine: Engine, release: Kubernetes) -> NodeImage | None:
    """Return the node image that is in the engine, pulled or built."""
    for reference in (known(pins().image("node", release.version)), tag(release)):
        said = reference and engine.inspect("image", reference)
        if reference and said:
            built = LABEL in (said["Config"].get("Labels") or {})
            return NodeImage(reference, release.version, built)
    return None


def load(engine: Engine, store: Store, release: Kubernetes) -> bool:
    """Load the image from its file in the cache, after the engine lost its images; return whether it is there."""
    if not store.has(artefact(release)):
        return False
    with step(f"loading the node image {release.version} from the cache"):
        engine.run("load", "--quiet", "--input", store.path(artefact(release)) / FILE, timeout=COPY_SECONDS)
    return True


def roots(runner: Runner, store: Store) -> dict[str, Path]:
    """Return the tars of the root file systems that the image is made on, made first where they are missing."""
    return {name: make_root(runner, store, root) for name, root in ROOTS.items()}


def build(engine: Engine, go: Go, store: Store, release: Kubernetes, roots: Mapping[str, Path]) -> Path:
    """Put the image together in the engine, from programs that are built, and store it as a file.

    Raises `CommandFailed`.
    """
    folders = [store.path(program.artefact) for program in kubernetes_programs(release)]
    programs = {file.name: file for folder in folders for file in folder.iterdir()}
    what = f"the node image {release.version}, put together"
    return store.make(artefact(release), lambda folder: _build(engine, go, release, programs, roots, folder),
                      what=what)  # fmt: skip


def _build(
    engine: Engine,
    go: Go,
    release: Kubernetes,
    programs: Mapping[str, Path],
    roots: Mapping[str, Path],
    folder: Path,
) -> None:
    images = folder / "images.tar"
    write_archive(images, _control_plane(release, programs, roots["proxy"], folder))
    kind = go.source(pins().tools["kind"].module, pins().tools["kind"].version) / "images/base/files"
    files = write_layer(folder / "files.tar", _files(release, programs, kind, images))
    images.unlink()
    # Names that stay the same, so that what a killed build left is found and removed by the next.
    name = key([str(folder.parent), str(artefact(release))])
    base, work = f"{NAMESPACE}/root:{name}", f"agents-conformance-build-{name}"
    _remove(engine, base, work)
    try:
        engine.run("import", roots["node"], base, timeout=COPY_SECONDS)
        engine.run("create", "--name", work, "--label", f"{LABEL}=build", "--security-opt", "seccomp=unconfined",
                   "--network", "none", "--stop-signal", "SIGRTMIN+3", base, "sleep", "infinity")  # fmt: skip
        # From a file, by a shell: the runner would hold a gigabyte in memory.
        engine.runner.run("sh", "-c", 'exec "$0" cp - "$1:/" <"$2"', engine.docker, work, files,
                          timeout=COPY_SECONDS, env=engine.environment)  # fmt: skip
        engine.run("start", work)
        engine.run("exec", work, "sh", "/kind/setup.sh", timeout=COPY_SECONDS)
        engine.run("commit", *CHANGES, work, tag(release), timeout=COPY_SECONDS)
    finally:
        _remove(engine, base, work)
    saved = folder / "image.tar"
    engine.run("save", "--output", saved, tag(release), timeout=COPY_SECONDS)
    with saved.open("rb") as plain, gzip.open(folder / FILE, "wb", compresslevel=1) as packed:
        shutil.copyfileobj(plain, packed, 1 << 20)
    for made in folder.glob("*.tar"):
        made.unlink()


def _remove(engine: Engine, base: str, work: str) -> None:
    engine.run("rm", "--force", work, check=False)
    engine.run("image", "rm", base, check=False)


def _control_plane(
    release: Kubernetes, programs: Mapping[str, Path], proxy: Path, folder: Path
) -> dict[str, ImageFile]:
    """Return the images that kubeadm asks for, by the names and tags it asks for them."""

    def image(path: str, program: Path, base: tuple[Path, ...] = (), more: Iterable[Entry] = ()) -> ImageFile:
        layer = write_layer(folder / f"layer-{program.name}.tar", [Entry(path, program), *more])
        return ImageFile((*base, layer), entrypoint=(path,), environment={"PATH": PATH})

    images = {
        f"registry.k8s.io/{name}:{release.version}": image(f"/usr/local/bin/{name}", programs[name])
        for name in CONTROL_PLANE
    }
    # Its packages are only unpacked, so the names that their scripts would have linked are missing.
    links = [Entry(f"/usr/sbin/{name}", link="xtables-nft-multi", mode=0o777) for name in IPTABLES]
    images[f"registry.k8s.io/kube-proxy:{release.version}"] = image(
        "/usr/local/bin/kube-proxy", programs["kube-proxy"], (proxy,), links
    )
    images[f"registry.k8s.io/etcd:{release.etcd}"] = image("/usr/local/bin/etcd", programs["etcd"])
    images[f"registry.k8s.io/coredns/coredns:{release.coredns}"] = image("/coredns", programs["coredns"])
    images[f"registry.k8s.io/pause:{release.pause}"] = image("/pause", programs["pause"])
    return images


def _files(release: Kubernetes, programs: Mapping[str, Path], kind: Path, images: Path) -> list[Entry]:
    """Return all that the image has beyond its packages: kind's own node files, ours and the programs."""
    entries = []
    for source in sorted(path for path in kind.rglob("*") if path.is_file()):
        place = source.relative_to(kind)
        if place.parts[0] == "LICENSES" or place.name in ("clean-install", "containerd-fuse-overlayfs.service"):
            continue
        content = source.read_bytes()
        if place.name == "config.toml":
            content = _with_pause(content.decode(), release).encode()
        script = place.parts[:2] in (("usr", "local"), ("kind", "bin"))
        entries.append(Entry(str(place), content, mode=0o755 if script else 0o644))
    for folder, names in (
        ("usr/bin", ("kubeadm", "kubelet", "kubectl")),
        ("usr/local/bin", ("containerd", "ctr", "containerd-shim-runc-v2")),
    ):
        entries += [Entry(f"{folder}/{name}", programs[name]) for name in names]
    return [
        *entries,
        Entry("etc/cni/net.d/10-kind.conflist", FILES / "10-kind.conflist", mode=0o644),
        Entry("kind/manifests/default-cni.yaml", FILES / "default-cni.yaml", mode=0o644),
        Entry("kind/version", release.version.encode(), mode=0o644),
        Entry("kind/setup.sh", FILES / "setup.sh"),
        Entry("kind/images.tar", images, mode=0o644),
    ]


def _with_pause(config: str, release: Kubernetes) -> str:
    """Return containerd's configuration with the sandbox image that this kubeadm's pods expect."""
    lines = [
        f'  sandbox_image = "registry.k8s.io/pause:{release.pause}"' if "sandbox_image" in line else line
        for line in config.splitlines()
    ]
    return "\n".join(lines) + "\n"
