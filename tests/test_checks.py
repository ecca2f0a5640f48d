import inspect
from collections.abc import Iterator

import pytest

from conformance import checks
from conformance.checks import CORE, Finding


def declare(id_: str, **more: object) -> None:
    @checks.scenario(id_, **{"level": CORE, "seed": "s", **more})
    def test_it() -> Iterator[Finding]:
        """It."""
        yield from ()


def test_a_scenario_is_a_plain_function_for_pytest_and_keeps_its_fixtures(registry, finding):
    declared = registry["rollback/c"]
    assert not inspect.isgeneratorfunction(declared.function)
    assert list(inspect.signature(declared.function).parameters) == ["found"]
    assert declared.function([finding]) == [finding]
    assert declared.about == "C does what it says."
    assert declared.function.check_id == "rollback/c"


@pytest.mark.parametrize("id_", ["nowhere/x", "render", "render/", "render/With-Capitals", "render/a_b"])
def test_an_id_names_a_known_area_and_what_it_proves(registry, id_):
    with pytest.raises(ValueError, match="a check id is"):
        declare(id_)


def test_a_check_states_its_seed(registry):
    with pytest.raises(ValueError, match="its seed"):
        declare("render/x", seed="")


def test_needs_are_known(registry):
    with pytest.raises(ValueError, match="unknown needs"):
        declare("render/x", needs=("luck",))


def test_an_id_cannot_be_declared_in_two_files(registry):
    source = 'def f():\n    """F."""\n    yield from ()\n'
    for file in ("one.py", "two.py"):
        scope: dict[str, object] = {}
        exec(compile(source, file, "exec"), scope)  # noqa: S102 - a function from another file
        if file == "one.py":
            checks.rule("render/x", level=CORE, seed="s")(scope["f"])
        else:
            with pytest.raises(ValueError, match="declared twice"):
                checks.rule("render/x", level=CORE, seed="s")(scope["f"])
