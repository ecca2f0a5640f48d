"""An artefact is there whole or not at all, is made once, and several processes share one cache."""

from __future__ import annotations

import functools
import logging
import os
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from conformance.provision import progress
from conformance.provision import store as store_module
from conformance.provision.store import PARTIAL, Artefact, Store, remove_tree


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "cache")


def test_an_artefact_is_made_once(store: Store) -> None:
    artefact = Artefact.of("thing-1", {"version": 1})
    made: list[Path] = []

    def make(folder: Path) -> None:
        made.append(folder)
        (folder / "file").write_text("content")

    assert not store.has(artefact)
    first, second = store.make(artefact, make), store.make(artefact, make)
    assert len(made) == 1
    assert first == second == store.path(artefact)
    assert (first / "file").read_text() == "content"
    assert store.has(artefact)


def test_what_an_artefact_is_made_from_decides_which_it_is() -> None:
    one = Artefact.of("thing", {"version": 1, "flags": "a"})
    assert Artefact.of("thing", {"flags": "a", "version": 1}) == one
    assert Artefact.of("thing", {"version": 2, "flags": "a"}) != one


def test_a_failure_leaves_nothing(store: Store) -> None:
    def make(folder: Path) -> None:
        (folder / "half").write_text("")
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        store.make(Artefact("thing", "1"), make)
    assert list(store.artefacts.iterdir()) == []


def test_what_a_killed_process_left_half_made_goes_when_the_next_takes_the_lock(store: Store) -> None:
    left = store.artefacts / f"{PARTIAL}1-abc" / "deep"
    left.mkdir(parents=True)
    whole = store.make(Artefact("thing", "1"), lambda folder: (folder / "file").touch())
    with store.lock():
        assert list(store.artefacts.iterdir()) == [whole]


def test_another_process_that_was_faster_wins(store: Store) -> None:
    artefact = Artefact("thing", "1")

    def make(folder: Path) -> None:
        (folder / "file").write_text("mine")
        store.path(artefact).mkdir()
        (store.path(artefact) / "file").write_text("its")

    assert (store.make(artefact, make) / "file").read_text() == "its"
    assert [path.name for path in store.artefacts.iterdir()] == [str(artefact)]


def test_the_second_waits_for_the_first_and_says_so(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    entered, order = threading.Event(), []

    def second() -> None:
        entered.set()
        with store.lock():
            order.append("second")

    with store.lock():
        thread = threading.Thread(target=second)
        thread.start()
        entered.wait()
        while "waiting for another run" not in caplog.text:
            thread.join(0.01)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
    assert f"process {os.getpid()}" in caplog.text


def test_read_only_folders_are_removed(tmp_path: Path) -> None:
    deep = tmp_path / "module" / "deep"
    deep.mkdir(parents=True)
    (deep / "file").touch()
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o500)
    (deep / "link").symlink_to(outside)
    deep.chmod(0o500)
    deep.parent.chmod(0o500)
    remove_tree(tmp_path / "module")
    remove_tree(tmp_path / "never there")
    assert [path.name for path in tmp_path.iterdir()] == ["outside"]
    assert outside.stat().st_mode & 0o777 == 0o500


def test_a_step_says_that_it_goes_on_and_how_it_ended(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with progress.step("building", heartbeat=0.001):
        while "building: going on" not in caplog.text:
            pass
    assert "building: done in" in caplog.text
    with pytest.raises(ValueError, match="no"), progress.step("pulling", quiet=True):
        raise ValueError("no")
    assert "pulling: failed after" in caplog.text


def test_work_in_turn_stops_at_the_first_failure() -> None:
    done: list[int] = []

    def fail() -> None:
        raise ValueError("second")

    futures = progress.in_turn(lambda: done.append(1), fail, lambda: done.append(3))
    with pytest.raises(ValueError, match="second"):
        progress.wait(*futures)
    assert [type(future.exception()) for future in futures] == [type(None), ValueError, ValueError]
    assert done == [1]


def test_waiting_ends_at_the_first_failure_though_other_work_goes_on() -> None:
    never = threading.Event()

    def fail() -> None:
        raise ValueError("at once")

    with pytest.raises(ValueError, match="at once"):
        progress.wait(progress.start(never.wait), progress.start(fail))
    never.set()


def test_mounts_are_found_on_a_folder_and_below_it_the_folder_last() -> None:
    found = store_module._mounts_in(Path("/proc"))
    assert found[-1] == Path("/proc")
    assert store_module._mounts_in(Path("/proc/self/fd")) == []


def test_what_is_mounted_below_is_detached_and_not_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "left"
    (folder / "proc").mkdir(parents=True)
    detached: list[bytes] = []
    monkeypatch.setattr(store_module, "_mounts_in", lambda _: [folder / "proc"])

    def umount2(path: bytes, _: int, *, status: int) -> int:
        detached.append(path)
        return status

    monkeypatch.setattr(store_module, "_libc", SimpleNamespace(umount2=functools.partial(umount2, status=-1)))
    with pytest.raises(OSError, match="cannot be unmounted"):
        remove_tree(folder)
    assert folder.exists()
    monkeypatch.setattr(store_module, "_libc", SimpleNamespace(umount2=functools.partial(umount2, status=0)))
    remove_tree(folder)
    assert detached == [os.fsencode(folder / "proc")] * 2
    assert not folder.exists()
