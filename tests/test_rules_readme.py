"""The rule about the README, on made-up texts."""

from __future__ import annotations

import pytest

from conformance.rules.inputs import Documented
from conformance.rules.readme import readme_says_what_is_safe

TABLE = """# shop

## Going *back*

| version | safe | not safe |
|:--|---|--:|
| 1.0.0 | all | none |
| `1.1.0` and its fixes | all | the new column \\| its rows |

## Else

| version | safe |
|---|---|
| 2.0.0 | all |
"""


def observed(readme: str | None, version: str = "1.1.0", section: str = "Going back") -> list[str]:
    documented = Documented(f"the candidate {version}", version, readme, section)
    return [finding.observed for finding in readme_says_what_is_safe(documented)]


@pytest.mark.parametrize("version", ["1.0.0", "1.1.0"])
def test_a_row_for_the_version_is_enough(version):
    assert observed(TABLE, version) == []


@pytest.mark.parametrize(
    ("readme", "version", "said"),
    [
        (None, "1.1.0", "no README.md"),
        ("# shop\n", "1.1.0", "no such heading"),
        (f"```\n{TABLE}```\n", "1.1.0", "no such heading"),
        (TABLE, "2.0.0", "there are rows for 1.0.0"),
        (TABLE, "1.1.0-rc.1", "no row"),
        (TABLE, "1.1", "no row"),
        (TABLE, "11.1.0", "no row"),
        ("## Going back\n\n1.1.0 is safe.\n", "1.1.0", "rows for no version"),
        (TABLE.replace("| all | none |", "| all | |"), "1.0.0", "nothing under not safe"),
        ("## Going back\n\n| version |\n|---|\n| 1.1.0 |\n", "1.1.0", "nothing under any other heading"),
    ],
)
def test_what_is_missing_is_named(readme, version, said):
    (found,) = observed(readme, version)
    assert said in found


def test_a_deeper_heading_is_part_of_the_section():
    assert observed("# Going back\n## 1.x\n|version|safe|\n|-|-|\n|1.1.0|all|\n") == []
