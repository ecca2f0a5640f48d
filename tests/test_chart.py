"""Charts from folders and archives: opened safely, packed reproducibly, refused in one line."""

from __future__ import annotations

import gzip
import io
import os
import socket
import tarfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
import semver

from conformance.chart import Chart, compare_versions, open_chart
from conformance.chart.helmignore import Ignore
from conformance.chart.limits import ENTRIES, LEVELS, MIB, ONE_FILE, PACKED
from conformance.errors import BadInput
from conformance.run import Runner

CHART = "apiVersion: v2\nname: app\nversion: 1.2.3\nappVersion: 1.10\n"
FILES = {"Chart.yaml": CHART, "values.yaml": "a: 1\n", "templates/x.yaml": "kind: X\n", "crds/c.yaml": "kind: C\n"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "source"
    write(made, FILES)
    return made


@pytest.fixture
def opened(tmp_path: Path) -> Callable[..., Chart]:
    runner = Runner(tmp_path)
    return lambda source: open_chart(str(source), into=tmp_path / "charts", runner=runner)


@pytest.fixture
def refusal(tmp_path: Path, opened: Callable[..., Chart]) -> Callable[..., str]:
    """Open what must be refused; return the one line. Nothing may stay."""

    def of(source: Path | str) -> str:
        before = set(tmp_path.rglob("*"))
        with pytest.raises(BadInput) as caught:
            opened(source)
        assert str(caught.value).isprintable()
        assert str(source)[:150] in str(caught.value) or not str(source)
        assert set(tmp_path.rglob("*")) - before <= {tmp_path / "charts"}
        return str(caught.value)

    return of


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def names(chart: Chart) -> set[str]:
    return {file.relative_to(chart.folder).as_posix() for file in chart.folder.rglob("*") if file.is_file()}


def test_a_folder_becomes_a_chart(opened: Callable[..., Chart], folder: Path) -> None:
    chart = opened(folder)
    assert (chart.name, chart.version, chart.app_version) == ("app", semver.Version(1, 2, 3), "1.10")
    assert chart.source == str(folder)
    assert chart.folder.name == "app"
    assert chart.archive.name == "app-1.2.3.tgz"
    assert names(chart) == set(FILES)
    assert chart.digest.startswith("sha256:")
    with tarfile.open(chart.archive) as packed:
        assert packed.getnames() == [f"app/{name}" for name in sorted(FILES)]


def test_the_copy_is_private(opened: Callable[..., Chart], folder: Path) -> None:
    chart = opened(folder)
    (folder / "values.yaml").write_text("changed")
    assert (chart.folder / "values.yaml").read_text() == "a: 1\n"


def test_equal_content_has_one_digest_whatever_its_times_and_modes(
    opened: Callable[..., Chart], folder: Path, tmp_path: Path
) -> None:
    first = opened(folder)
    os.utime(folder / "values.yaml", (1, 1))
    (folder / "values.yaml").chmod(0o755)
    (folder / "empty").mkdir()
    again = opened(folder)
    assert again.digest == first.digest
    assert opened(first.archive).digest == first.digest
    other = tmp_path / "other.tar.gz"
    pack(other, [(f"any/{name}", text.encode()) for name, text in reversed(FILES.items())], mtime=int(time.time()))
    assert opened(other).digest == first.digest
    assert first.archive.read_bytes() == again.archive.read_bytes()
    (folder / "values.yaml").write_text("a: 2\n")
    assert opened(folder).digest != first.digest


def test_a_large_chart_survives_packing(opened: Callable[..., Chart], folder: Path) -> None:
    (folder / "large.bin").write_bytes(os.urandom(200_000))
    (folder / "empty").write_bytes(b"")
    write(folder, {f"{'long' * 40}/{'name' * 40}": "x", "é ü/ß": "y"})
    chart = opened(folder)
    again = opened(chart.archive)
    assert names(again) == names(chart)
    assert (again.folder / "large.bin").read_bytes() == (folder / "large.bin").read_bytes()


@pytest.mark.parametrize(
    ("baseline", "candidate", "says"),
    [
        ("1.2.2", "1.2.3", None),
        ("1.2.3-rc.1", "1.2.3", None),
        ("1.2.3", "1.2.3", "has the same version as the candidate"),
        ("1.2.3+a", "1.2.3+b", "has the same version as the candidate"),
        ("1.10.0", "1.9.0", "is newer than the candidate"),
    ],
)
def test_a_baseline_that_is_not_older_is_said(
    tmp_path: Path, baseline: str, candidate: str, says: str | None
) -> None:
    def chart(version: str) -> Chart:
        return Chart("app", semver.Version.parse(version), None, tmp_path, tmp_path, f"sha256:{version}", version)

    said = compare_versions(chart(baseline), chart(candidate))
    assert said is None if says is None else said and says in said
    assert "the same content" in (compare_versions(chart("1.0.0"), chart("1.0.0")) or "")


# Folders.


def test_helmignore_decides_what_belongs_to_a_chart(opened: Callable[..., Chart], folder: Path) -> None:
    write(folder, {".helmignore": "*.tmp\ndocs/\n/top\n", "a.tmp": "", "docs/x": "", "top": "", "sub/top": "",
                   "sub/b.tmp": "", "templates/.hidden": "", "sub/docs": ""})  # fmt: skip
    assert names(opened(folder)) == {*FILES, ".helmignore", "sub/top", "sub/docs"}


@pytest.mark.parametrize(
    ("rules", "path", "folder", "ignored"),
    [
        ("*.txt", "a/b.txt", False, True),
        ("/*.txt", "a/b.txt", False, False),
        ("/*.txt", "b.txt", False, True),
        ("a/*.txt", "a/b.txt", False, True),
        ("a/*.txt", "x/a/b.txt", False, False),
        ("a/*", "a/b/c", False, False),
        ("a/", "a", False, False),
        ("a/", "x/a", True, True),
        ("[ab]?", "a1", False, True),
        ("[^ab]?", "a1", False, False),
        ("[b-a]", "b", False, False),
        (r"a\*", "a*", False, True),
        (r"a\*", "ab", False, False),
        ("# a", "# a", False, False),
        ("!*.md", "x.txt", False, True),
        ("!*.md\n*.md", "x.md", False, True),
        ("", "templates/.x", False, True),
        ("", "templates/a/.x", False, False),
        ("\ufeffa", "a", False, True),
    ],
)
def test_helmignore_reads_as_helm_does(rules: str, path: str, folder: bool, ignored: bool) -> None:
    assert Ignore(rules).ignores(path, folder=folder) is ignored


@pytest.mark.parametrize("rule", ["**/x", "[a", "[]", "[a-]", "[-a]", "a\\"])
def test_helmignore_that_helm_refuses(refusal: Callable[..., str], folder: Path, rule: str) -> None:
    (folder / ".helmignore").write_text(f"ok\n{rule}\n")
    assert ".helmignore, line 2: expected a pattern" in refusal(folder)


def test_helmignore_may_not_drop_the_chart(refusal: Callable[..., str], folder: Path) -> None:
    (folder / ".helmignore").write_text("*.yaml\n")
    assert "seen a rule that drops it" in refusal(folder)


def test_links_inside_a_chart_become_files(opened: Callable[..., Chart], folder: Path) -> None:
    (folder / "link.yaml").symlink_to("values.yaml")
    (folder / "more").symlink_to("templates")
    chart = opened(folder)
    assert names(chart) == {*FILES, "link.yaml", "more/x.yaml"}
    assert not (chart.folder / "link.yaml").is_symlink()


@pytest.mark.parametrize(
    ("link", "target", "says"),
    [
        ("templates/passwd", "/etc/passwd", "templates/passwd links to a place outside the chart"),
        ("out", "..", "out links to a place outside the chart"),
        ("templates/secret.yaml", "../../secret.yaml", "templates/secret.yaml links to a place outside"),
        ("values.schema.json", "nowhere", "values.schema.json links to nothing"),
        ("templates/up", "..", "templates/up links to a folder that it lies in"),
        ("self", "self", "self"),
        ("proc", "/proc/self/environ", "proc links to a place outside"),
    ],
)
def test_links_out_of_a_chart_are_refused(
    refusal: Callable[..., str], folder: Path, link: str, target: str, says: str
) -> None:
    (folder.parent / "secret.yaml").write_text("secret")
    (folder / link).symlink_to(target)
    assert says in refusal(folder)


def test_a_chart_yaml_out_of_the_chart_is_refused(
    refusal: Callable[..., str], folder: Path, tmp_path: Path
) -> None:
    (folder / "Chart.yaml").rename(tmp_path / "Chart.yaml")
    (folder / "Chart.yaml").symlink_to(tmp_path / "Chart.yaml")
    assert "Chart.yaml links to a place outside the chart" in refusal(folder)


def test_links_that_helm_leaves_out_do_not_matter(opened: Callable[..., Chart], folder: Path) -> None:
    (folder / "out").symlink_to("/etc")
    (folder / ".helmignore").write_text("out\n")
    assert names(opened(folder)) == {*FILES, ".helmignore"}


def test_a_link_to_a_chart_is_a_chart(opened: Callable[..., Chart], folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    assert names(opened(tmp_path / "link")) == set(FILES)


def test_pipes_and_sockets_are_refused(
    refusal: Callable[..., str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(folder / "pipe")
    assert "pipe is a pipe, socket or device" in refusal(folder)
    (folder / "pipe").unlink()
    monkeypatch.chdir(folder)
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind("s")
        assert "s is a pipe, socket or device" in refusal(folder)


def test_a_folder_beyond_all_measure_is_refused(
    refusal: Callable[..., str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (folder / "huge").open("wb") as file:
        file.truncate(ONE_FILE + 1)
    assert "files of at most 5 MiB, as Helm does, seen more in huge" in refusal(folder)
    (folder / "huge").unlink()
    monkeypatch.setattr("conformance.chart.limits.UNPACKED", 2 * ONE_FILE)
    for number in range(3):
        with (folder / f"f{number}").open("wb") as file:
            file.truncate(ONE_FILE)
    assert "at most 10 MiB of files" in refusal(folder)


def test_too_many_files_and_levels_are_refused(
    refusal: Callable[..., str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("conformance.chart.limits.ENTRIES", 3)
    assert "at most 3 files" in refusal(folder)
    monkeypatch.setattr("conformance.chart.limits.ENTRIES", ENTRIES)
    (folder / "/".join(["d"] * (LEVELS + 2))).mkdir(parents=True)
    assert f"at most {LEVELS} levels" in refusal(folder)


def test_names_never_break_the_line(refusal: Callable[..., str], folder: Path) -> None:
    (folder / "a\nb\x1b[31m").symlink_to("/etc")
    assert "a?b?[31m links to" in refusal(folder)


def test_what_is_no_chart(refusal: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    write(tmp_path / "other", {"README.md": "x"})
    write(tmp_path / "folder", {"Chart.yaml/x": "x"})
    (tmp_path / "file.txt").write_text("x")
    (tmp_path / "folder.tgz").mkdir()
    assert "seen nothing there" in refusal(tmp_path / "none")
    assert "seen nothing there" in refusal(tmp_path / "none.tgz")
    assert "seen an empty folder" in refusal(tmp_path / "empty")
    assert "folder with Chart.yaml, seen a folder without one" in refusal(tmp_path / "other")
    assert "folder with Chart.yaml, seen a folder without one" in refusal(tmp_path / "folder")
    assert "seen another kind of file" in refusal(tmp_path / "file.txt")
    assert "seen an empty folder" in refusal(tmp_path / "folder.tgz")
    assert "seen a folder without one" in refusal("/")
    assert "another kind of file" in refusal("/dev/zero")
    assert "File name too long; check the path" in refusal("x" * 5000)


# Archives.

Member = tuple[str, bytes]


def pack(file: Path, members: Iterable[Member | tarfile.TarInfo], *, mtime: int = 0) -> Path:
    with tarfile.open(file, "w:gz", compresslevel=1) as packed:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                packed.addfile(member, io.BytesIO(b"\0" * member.size) if member.isreg() else None)
            else:
                entry = tarfile.TarInfo(member[0])
                entry.size, entry.mtime = len(member[1]), mtime
                packed.addfile(entry, io.BytesIO(member[1]))
    return file


def entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, link
    return made


GOOD = [(f"app/{name}", text.encode()) for name, text in FILES.items()]


def test_an_archive_becomes_a_chart(opened: Callable[..., Chart], tmp_path: Path) -> None:
    chart = opened(pack(tmp_path / "a.tgz", [entry("app", tarfile.DIRTYPE), *GOOD]))
    assert names(chart) == set(FILES)
    assert (chart.folder / "values.yaml").read_text() == "a: 1\n"


def test_helmignore_is_not_applied_to_archives(opened: Callable[..., Chart], tmp_path: Path) -> None:
    chart = opened(pack(tmp_path / "a.tgz", [*GOOD, ("app/.helmignore", b"*.tmp"), ("app/x.tmp", b"")]))
    assert names(chart) == {*FILES, ".helmignore", "x.tmp"}


@pytest.mark.parametrize(
    ("evil", "says"),
    [
        (("app/../../evil", b"x"), "expected names that stay inside"),
        (("../evil", b"x"), "expected names that stay inside"),
        (("app/..", b"x"), "expected names that stay inside"),
        (("/tmp/evil", b"x"), "expected relative names"),
        (("c:/evil", b"x"), "expected relative names"),
        (("app\\..\\evil", b"x"), "expected plain names"),
        (("app/./x", b"x"), "expected plain names"),
        (("app//x", b"x"), "expected plain names"),
        (("./app/x", b"x"), "expected plain names"),
        (("app/a\nb", b"x"), "expected plain names"),
        (("app/\x1b[2J", b"x"), "expected plain names"),
        (("other/x", b"x"), "expected everything in one folder, app/"),
        (("loose", b"x"), "expected everything in one folder, app/"),
        (("app/values.yaml", b"again"), "expected each name once"),
        (("app/values.yaml/x", b"x"), "expected each name once"),
        (("app", b"x"), "expected files in a folder"),
        (entry("app/link", tarfile.SYMTYPE, "/etc/passwd"), "expected no links"),
        (entry("app/link", tarfile.SYMTYPE, "values.yaml"), "expected no links"),
        (entry("app/link", tarfile.LNKTYPE, "app/values.yaml"), "expected no links"),
        (entry("app/link", tarfile.LNKTYPE, "/etc/passwd"), "expected no links"),
        (entry("app/fifo", tarfile.FIFOTYPE), "expected files and folders only"),
        (entry("app/disk", tarfile.BLKTYPE), "expected files and folders only"),
        (entry("app/tty", tarfile.CHRTYPE), "expected files and folders only"),
        (entry("app/odd", b"Z"), "expected"),
    ],
)
@pytest.mark.parametrize("first", [False, True])
def test_archives_that_reach_out_are_refused(
    refusal: Callable[..., str], tmp_path: Path, evil: Member | tarfile.TarInfo, says: str, first: bool
) -> None:
    members = [evil, *GOOD] if first else [*GOOD, evil]
    said = refusal(pack(tmp_path / "a.tgz", members))
    assert says in said or first
    assert not (tmp_path / "evil").exists()
    assert not Path("/tmp/evil").exists()


def test_a_written_through_link_is_refused(refusal: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    evil = entry("app/link", tarfile.SYMTYPE, str(tmp_path / "target"))
    refusal(pack(tmp_path / "a.tgz", [*GOOD, evil, ("app/link/file", b"x")]))
    assert not list((tmp_path / "target").iterdir())


def test_bombs_are_refused(refusal: Callable[..., str], tmp_path: Path) -> None:
    zeros = entry("app/zeros")
    zeros.size = ONE_FILE + 1
    assert "files of at most 5 MiB" in refusal(pack(tmp_path / "one.tgz", [*GOOD, zeros]))
    many = []
    for number in range(25):
        many.append(entry(f"app/zeros{number}"))
        many[-1].size = ONE_FILE
    bomb = pack(tmp_path / "bomb.tgz", [*GOOD, *many])
    assert bomb.stat().st_size < MIB
    assert "at most 100 MiB unpacked" in refusal(bomb)


def test_large_archives_are_refused(refusal: Callable[..., str], tmp_path: Path) -> None:
    with (tmp_path / "large.tgz").open("wb") as file:
        file.truncate(PACKED + 1)
    assert "at most 20 MiB" in refusal(tmp_path / "large.tgz")


def test_a_bomb_in_a_header_is_refused(refusal: Callable[..., str], tmp_path: Path) -> None:
    header = entry("app/x")
    header.pax_headers = {"comment": "9" * MIB}
    assert "a header of more than 16 KiB" in refusal(pack(tmp_path / "a.tgz", [*GOOD, header]))


def test_sparse_members_are_refused(refusal: Callable[..., str], tmp_path: Path) -> None:
    sparse = entry("app/x")
    sparse.pax_headers = {"GNU.sparse.major": "0", "GNU.sparse.minor": "1", "GNU.sparse.map": "0,1",
                          "GNU.sparse.size": "99999999999", "GNU.sparse.name": "app/x"}  # fmt: skip
    assert "expected" in refusal(pack(tmp_path / "a.tgz", [*GOOD, sparse]))


def test_too_many_members_are_refused(
    refusal: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("conformance.chart.limits.ENTRIES", 50)
    assert "at most 50 files" in refusal(pack(tmp_path / "a.tgz", [(f"app/{n}", b"") for n in range(60)]))


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "a broken one"),
        (b"not an archive", "a broken one"),
        (b"apiVersion: v2\n", "a broken one"),
        (gzip.compress(b"", mtime=0), "expected"),
        (gzip.compress(b"not a tar" * 100, mtime=0), "a broken one"),
        (gzip.compress(b"\0" * 10240, mtime=0), "an empty archive"),
        (gzip.compress(b"x", mtime=0)[:-4], "a broken one"),
        (b"\x1f\x8b\x08" + b"\xff" * 50, "a broken one"),
    ],
)
def test_what_is_no_archive(refusal: Callable[..., str], tmp_path: Path, data: bytes, says: str) -> None:
    (tmp_path / "a.tgz").write_bytes(data)
    assert says in refusal(tmp_path / "a.tgz")


def test_damaged_archives_are_refused_and_not_cut_short(refusal: Callable[..., str], tmp_path: Path) -> None:
    good = gzip.decompress(pack(tmp_path / "good.tgz", GOOD).read_bytes())
    second = 2 * tarfile.BLOCKSIZE
    damaged = good[:second] + b"\xff" * tarfile.BLOCKSIZE + good[second + tarfile.BLOCKSIZE :]
    (tmp_path / "a.tgz").write_bytes(gzip.compress(damaged))
    assert "a damaged header" in refusal(tmp_path / "a.tgz")
    (tmp_path / "b.tgz").write_bytes(gzip.compress(good[: second + tarfile.BLOCKSIZE + 3]))
    refusal(tmp_path / "b.tgz")


def test_an_archive_without_a_chart(refusal: Callable[..., str], tmp_path: Path) -> None:
    assert "<name>/Chart.yaml in the archive" in refusal(pack(tmp_path / "a.tgz", [("app/values.yaml", b"")]))
    assert "expected files in a folder" in refusal(pack(tmp_path / "b.tgz", [("Chart.yaml", CHART.encode())]))
    assert "an empty archive" in refusal(pack(tmp_path / "c.tgz", []))


def test_archives_need_a_name_that_says_so(
    opened: Callable[..., Chart], refusal: Callable[..., str], tmp_path: Path
) -> None:
    assert "another kind of file" in refusal(pack(tmp_path / "a.zip", GOOD))
    os.mkfifo(tmp_path / "pipe.tgz")
    assert "seen something else" in refusal(tmp_path / "pipe.tgz")
    assert opened(pack(tmp_path / "a.tar.gz", GOOD)).name == "app"


def test_subcharts_are_opened_as_carefully(
    opened: Callable[..., Chart],
    refusal: Callable[..., str],
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (folder / "charts").mkdir()
    pack(folder / "charts" / "sub-1.0.0.tgz", GOOD)
    assert "charts/sub-1.0.0.tgz" in names(opened(folder))
    pack(folder / "charts" / "sub-1.0.0.tgz", [*GOOD, ("app/../../evil", b"x")])
    assert "subchart sub-1.0.0.tgz: expected names that stay inside" in refusal(folder)
    (folder / "charts" / "sub-1.0.0.tgz").write_bytes(gzip.compress(b"\0" * 23 * MIB, 1))
    with monkeypatch.context() as patch:
        patch.setattr("conformance.chart.archive.UNPACKED", 2 * MIB)
        assert "at most 2 MiB unpacked" in refusal(folder)
    nested = GOOD
    for depth in range(7):
        file = pack(tmp_path / f"nested-{depth}.tgz", nested)
        nested = [*GOOD, (f"app/charts/n{depth}.tgz", file.read_bytes())]
    pack(folder / "charts" / "sub-1.0.0.tgz", nested)
    assert "archives in each other" in refusal(folder)
