"""Checks of one journey stay together."""

from conformance import catalogue
from conformance.scheduling import group, together


def test_a_group_stays_where_its_first_check_was() -> None:
    assert together(["a", "b", None, "a", "c", "b", None]) == [0, 3, 1, 5, 2, 4, 6]


def test_checks_are_grouped_by_their_journey_and_rules_are_one_group() -> None:
    catalogue.load()
    assert group("install/no-warnings") == group("migrations/startup-refuses-auto") == "installed"
    assert group("rollback/schema-ahead") == "lifecycle"
    assert group("render/stable-names") == group("render/schema-valid") == "rules"
    assert group(None) is None
