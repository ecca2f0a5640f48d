"""The search for leaked values finds them wherever they are planted, and nothing else."""

import base64
import bz2
import gzip
import io
import json
import lzma
import tarfile
import zipfile
import zlib

import pytest

from conformance.evidence.canaries import find_canaries
from conformance.evidence.write import write_text
from conformance.redact import REDACTOR

CANARY = "canary/7f3a+£&'x"


def _zip(name, data):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)
    return out.getvalue()


def _tar(data):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        member = tarfile.TarInfo("inner")
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))
    return out.getvalue()


def _helm_release(value):
    """A release as Helm stores it, inside the Secret as the API server says it."""
    secret = {"kind": "Secret", "data": {"password": base64.b64encode(value).decode()}}
    release = {"manifest": f"---\n{json.dumps(secret)}\n", "config": {"image": "x"}}
    payload = base64.b64encode(gzip.compress(json.dumps(release).encode()))
    return json.dumps({"data": {"release": base64.b64encode(payload).decode()}}).encode()


PLANTED = {
    "plain": lambda value: value,
    "gzip": gzip.compress,
    "gzip inside something": lambda value: b"header" * 9 + gzip.compress(value) + b"trailer",
    "gzip cut short": lambda value: gzip.compress(value + bytes(range(256)) * 50, mtime=0)[:-40],
    "zlib": zlib.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zip": lambda value: _zip("name", value),
    "zip name": lambda value: _zip(value.decode(), b""),
    "tar.gz": _tar,
    "zip in tar": lambda value: _tar(_zip("name", value)),
    "base64 in gzip in base64": lambda value: base64.b64encode(gzip.compress(base64.b64encode(b"." + value))),
    "wrapped base64": lambda value: base64.encodebytes(value * 20),
    "Helm release": _helm_release,
}


@pytest.mark.parametrize("form", PLANTED)
def test_a_planted_value_is_found(form, tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "file").write_bytes(PLANTED[form](CANARY.encode()))
    (tmp_path / "other").write_bytes(PLANTED[form](b"an innocent value"))
    assert [hit.path.name for hit in find_canaries(tmp_path, [CANARY, "another-canary"])] == ["file"]


@pytest.mark.parametrize("form", ["zip", "tar.gz", "zip in tar"])
def test_a_damaged_archive_ends_no_search(form, tmp_path):
    whole = PLANTED[form](b"an innocent value " * 40)
    for at in range(0, len(whole), 3):
        for damage in (b"", b"\xff\xff\xff", b"\0" * 8):
            (tmp_path / "file").write_bytes(whole[:at] + damage + whole[at + 3 :])
            assert find_canaries(tmp_path / "file", [CANARY]) == []


def test_a_hit_says_where_without_the_value(tmp_path):
    (tmp_path / "file").write_bytes(gzip.compress(CANARY.encode()))
    (hit,) = find_canaries(tmp_path / "file", [CANARY])
    assert hit.through == ("gzip",)
    assert CANARY not in str(hit)


def test_names_of_files_are_searched(tmp_path):
    (tmp_path / "log-of-canary1").touch()
    assert [hit.through for hit in find_canaries(tmp_path, ["canary1"])] == [("its name",)]


def test_written_text_holds_no_known_value_and_is_never_half_there(tmp_path):
    REDACTOR.add("canary-to-be-written")
    path = tmp_path / "new" / "file.txt"
    write_text(path, "one canary-to-be-written\n")
    write_text(path, "two canary-to-be-written \udcff\n")
    assert path.read_text().startswith("two <secret ")
    assert [found.name for found in path.parent.iterdir()] == ["file.txt"]


def test_a_failed_write_leaves_nothing(tmp_path):
    (tmp_path / "file").mkdir()
    with pytest.raises(OSError, match="file"):
        write_text(tmp_path / "file", "text")
    assert [found.name for found in tmp_path.iterdir()] == ["file"]
