"""States follow every change, whatever happens to the connection."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from observe_server import Server, serving

from conformance.api import Api, ApiRefusal, ApiUnreachable, Resource
from conformance.observe.watch import State, Stop, states

CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap", True, frozenset())


def config_map(name: str, value: str = "", uid: str = "") -> dict[str, object]:
    return {"metadata": {"name": name, "uid": uid or f"uid-{name}"}, "data": {"value": value}}


def follow(api: Api, **options: object) -> Iterator[State]:
    return states(api, CONFIG_MAPS, namespace="ns", seconds=20, **options)


def told(state: State) -> list[tuple[str, str]]:
    return [(change.type, change.object["metadata"]["name"]) for change in state.changes]


def test_first_the_list_then_each_change(served: tuple[Server, Api]) -> None:
    server, api = served
    server.put("configmaps", config_map("a"))
    seen = follow(api)
    assert told(next(seen)) == [("ADDED", "a")]
    server.put("configmaps", config_map("b"))
    assert told(next(seen)) == [("ADDED", "b")]
    server.put("configmaps", config_map("a", "2"))
    state = next(seen)
    assert told(state) == [("MODIFIED", "a")]
    assert state.objects["ns", "a"]["data"] == {"value": "2"}
    server.remove("configmaps", "a")
    state = next(seen)
    assert told(state) == [("DELETED", "a")]
    assert list(state.objects) == [("ns", "b")]


def test_a_broken_connection_resumes_without_listing_again(served: tuple[Server, Api]) -> None:
    server, api = served
    seen = follow(api)
    next(seen)
    server.put("configmaps", config_map("a"))
    next(seen)
    server.hang_up()
    server.put("configmaps", config_map("b"))
    assert told(next(seen)) == [("ADDED", "b")]
    assert len([asked for asked in server.asked if "configmaps" in asked and "watch" not in asked]) == 1


def test_an_expired_watch_lists_again_and_tells_what_changed_meanwhile(served: tuple[Server, Api]) -> None:
    server, api = served
    for name in ("changed", "gone", "same", "new-uid"):
        server.put("configmaps", config_map(name))
    seen = follow(api)
    next(seen)
    server.put("configmaps", config_map("late"))
    next(seen)
    with server.changed:
        server.hang_up()
        server.put("configmaps", config_map("changed", "2"))
        server.remove("configmaps", "gone")
        server.remove("configmaps", "new-uid")
        server.put("configmaps", config_map("new-uid", uid="another"))
        server.put("configmaps", config_map("new"))
        server.compact()
    state = next(seen)
    assert told(state) == [
        ("DELETED", "gone"), ("DELETED", "new-uid"),
        ("MODIFIED", "changed"), ("ADDED", "new-uid"), ("ADDED", "new"),
    ]  # fmt: skip
    assert sorted(name for _, name in state.objects) == ["changed", "late", "new", "new-uid", "same"]


def test_a_bookmark_moves_the_version_and_is_no_change(served: tuple[Server, Api]) -> None:
    server, api = served
    seen = follow(api)
    next(seen)
    server.bookmark("configmaps")
    server.put("configmaps", config_map("a"))
    assert told(next(seen)) == [("ADDED", "a")]
    with server.changed:
        server.hang_up()
        server.bookmark("configmaps")
    server.put("configmaps", config_map("b"))
    assert told(next(seen)) == [("ADDED", "b")]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_server_is_asked_again(served: tuple[Server, Api], status: int) -> None:
    server, api = served
    server.put("configmaps", config_map("a"))
    server.refuse("GET", "configmaps", (status, "starting"), (status, "starting"))
    assert told(next(follow(api))) == [("ADDED", "a")]


def test_what_waiting_does_not_mend_is_raised(served: tuple[Server, Api]) -> None:
    server, api = served
    server.refuse("GET", "configmaps", (403, "no right"))
    with pytest.raises(ApiRefusal, match="no right"):
        next(follow(api))


def test_a_server_that_stays_away_is_unreachable() -> None:
    with serving() as (_, api):
        url = api.url
    with pytest.raises(ApiUnreachable):
        next(follow(Api(url), away=0.1))


def test_another_thread_ends_the_stream_at_once(served: tuple[Server, Api]) -> None:
    _, api = served
    stop, listed = Stop(), threading.Event()

    def read() -> None:
        for _ in follow(api, stop=stop):
            listed.set()

    reader = threading.Thread(target=read)
    reader.start()
    assert listed.wait(10)
    stop.set()
    reader.join(10)
    assert not reader.is_alive()


def test_the_stream_ends_with_its_time(served: tuple[Server, Api]) -> None:
    _, api = served
    assert len(list(states(api, CONFIG_MAPS, namespace="ns", seconds=0))) == 1
