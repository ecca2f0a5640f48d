"""Chart sources: what they mean, what they may not do, and that credentials never show."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance.chart import seen_from
from conformance.chart.address import Address, Credentials, Files, Git, Oci, Reference, parse, shown
from conformance.errors import BadInput
from conformance.redact import Redactor

SECRET = "s3cr3t-" + "canary"
HERE = Path("/here")


@pytest.fixture(autouse=True)
def redactor(monkeypatch: pytest.MonkeyPatch) -> Redactor:
    """A redactor that has learnt nothing from other tests."""
    monkeypatch.setattr("conformance.chart.address.REDACTOR", fresh := Redactor())
    return fresh


@pytest.mark.parametrize(
    ("source", "address"),
    [
        ("charts/app", Files(HERE / "charts/app")),
        ("/abs/app-1.0.0.tgz", Files(Path("/abs/app-1.0.0.tgz"))),
        ("git:/srv/repo@v1.2:charts/app", Git("/srv/repo", "v1.2", "charts/app")),
        ("git:.@HEAD~1:charts/app", Git("/here", "HEAD~1", "charts/app")),
        ("git:../re@po@main:.", Git("/here/../re@po", "main", ".")),
        ("git:https://example.org/r.git@feat/x:c", Git("https://example.org/r.git", "feat/x", "c")),
        ("git:file:///srv/repo@v1:c", Git("file:///srv/repo", "v1", "c")),
        ("git:http://localhost:3000/r@v1:c", Git("http://localhost:3000/r", "v1", "c")),
        ("git:ssh://git@example.org:22/r@v1:c", Git("ssh://git@example.org:22/r", "v1", "c")),
        ("git:git@example.org:team/r@v1:c", Git("git@example.org:team/r", "v1", "c")),
        (f"git:https://u:{SECRET}@example.org/r@v1:c",
         Git("https://example.org/r", "v1", "c", Credentials("u", SECRET))),
        ("oci://example.org/charts/app", Oci("example.org", "charts/app")),
        ("oci://localhost:5000/app:1.2.3-rc.1", Oci("localhost:5000", "app", "1.2.3-rc.1")),
        (f"oci://u:p%40{SECRET}@example.org/app:1.0.0",
         Oci("example.org", "app", "1.0.0", Credentials("u", f"p@{SECRET}"))),
        ("reference:0.9.1", Reference("0.9.1")),
    ],
)  # fmt: skip
def test_sources_are_read(source: str, address: Address) -> None:
    assert parse(source, HERE) == address


@pytest.mark.parametrize(
    ("host", "plain"),
    [("localhost:5000", True), ("127.0.0.1:5000", True), ("[::1]:5000", True), ("example.org", False)],
)
def test_registries_on_this_machine_speak_plain_http(host: str, plain: bool) -> None:
    address = parse(f"oci://{host}/app")
    assert isinstance(address, Oci)
    assert address.plain_http is plain


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("", "seen nothing"),
        ("  ", "seen nothing"),
        ("a\nb", "control characters"),
        ("a\0b", "control characters"),
        ("https://example.org/app.tgz", "the scheme https"),
        ("ext::sh -c id", "the scheme ext"),
        ("git:", "git:<repo>@<ref>:<path>"),
        ("git:repo", "git:<repo>@<ref>:<path>"),
        ("git:repo@v1", "git:<repo>@<ref>:<path>"),
        ("git:repo:path", "git:<repo>@<ref>:<path>"),
        ("git:repo@v1:", "git:<repo>@<ref>:<path>"),
        ("git:repo@--upload-pack=id:path", "a branch, tag or commit"),
        ("git:repo@-x:path", "a branch, tag or commit"),
        ("git:repo@v1;id:path", "a branch, tag or commit"),
        ("git:repo@v1:/etc", "inside the repository"),
        ("git:repo@v1:../other", "inside the repository"),
        ("git:repo@v1:a/../../b", "inside the repository"),
        ("git:ext::sh -c id@v1:c", "another transport"),
        ("git:fd::17@v1:c", "another transport"),
        ("git:ext://x/y@v1:c", "ext://"),
        ("git:git://example.org/r@v1:c", "git://"),
        ("git:http://example.org/r@v1:c", "http://"),
        ("git:ftp://example.org/r@v1:c", "ftp://"),
        ("git:https://example.org@v1:c", "a whole URL"),
        ("git:https://@v1:c", "a whole URL"),
        ("git:ssh://-oProxyCommand=id/x@v1:c", "a whole URL"),
        (f"git:ssh://u:{SECRET}@example.org/r@v1:c", "without a password"),
        ("oci://", "oci://<host>"),
        ("oci://example.org", "oci://<host>"),
        ("oci://example.org/app:", "oci://<host>"),
        ("oci://example.org/app:-x", "oci://<host>"),
        ("oci://example.org/../app", "oci://<host>"),
        ("oci://exa mple.org/app", "oci://<host>"),
        ("oci://-x/app --help", "oci://<host>"),
    ],
)
def test_what_smuggles_or_means_nothing_is_refused(source: str, says: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse(source, HERE)
    assert says in str(caught.value)
    assert str(caught.value).isprintable()
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "source",
    [
        "oci://user:{}@example.org/app:1.0.0",
        "oci://{}@example.org/app:1.0.0",
        "git:https://user:{}@example.org/r@v1:c",
        "git:https://{}:x-oauth-basic@example.org/r@v1:c",
        "git:https://user:{}/with-slash@example.org/r@v1:c",
        "oci://user:{}/with-slash@example.org/app",
        "git:https://user:{}@example.org",
        "https://user:{}@example.org/app.tgz",
        "git:https://user:{}",
    ],
)
def test_credentials_never_show(redactor: Redactor, source: str) -> None:
    said = shown(source.format(SECRET))
    assert SECRET not in said
    try:
        parse(source.format(SECRET))
    except BadInput as error:
        said = str(error)
    assert SECRET not in said
    assert SECRET not in redactor.scrub(f"remote said {SECRET}")


def test_sources_without_credentials_show_as_they_are() -> None:
    for source in (
        "git:https://example.org/r@v1:c",
        "oci://h:5000/a:1.0.0",
        "a@b",
        "git:ssh://git.example.org/r@v1:c",
    ):
        assert shown(source) == source


def test_relative_sources_can_be_seen_from_elsewhere() -> None:
    assert seen_from(HERE, "app.tgz") == "/here/app.tgz"
    assert seen_from(HERE, "git:r@v1:c") == "git:/here/r@v1:c"
    for source in ("oci://h/a", "reference:0.9.0", "git:https://example.org/r@v1:c"):
        assert seen_from(HERE, source) == source
