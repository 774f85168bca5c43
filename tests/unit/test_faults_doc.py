"""The table of faults and the list of foreign software are whole, and name nothing that is not there."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

from storage.failpoints import FAILPOINTS

ROOT = Path(__file__).resolve().parents[2]
FAULTS = (ROOT / "docs" / "faults.md").read_text()
ROWS = re.findall(r"^\| (F\d\d) \| (.+?) \| (.+) \|$", FAULTS, flags=re.MULTILINE)
TEST = re.compile(r"`([a-z_/]+\.py)::(\w+)`")
SOUP = re.findall(
    r"^\| `([^`]+)` \| `([^`]+)` \| (.+) \|$", (ROOT / "docs" / "soup.md").read_text(), flags=re.MULTILINE
)
DEPENDENCIES = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]


def test_each_of_the_64_scenarios_has_one_row() -> None:
    """In order."""
    assert [row[0] for row in ROWS] == [f"F{number:02}" for number in range(1, 65)]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_what_a_row_names_exists(row: tuple[str, str, str]) -> None:
    """Each test as a function of its file; a row without one says why."""
    named = TEST.findall(row[2])
    assert named or row[2].startswith("not tested: ")
    assert row[2].count("::") == len(named)
    assert [(path, name) for path, name in named if name not in functions_of(ROOT / "tests" / path)] == []


def functions_of(path: Path) -> set[str]:
    """Names of the functions of a module."""
    return {node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)}


def test_every_failpoint_is_listed_once_and_in_order() -> None:
    """In its table, by its name."""
    table = FAULTS.partition("| part of the node |")[2].partition("\n\n")[0]
    assert tuple(re.findall(r"`([a-z_]+\.[a-z_]+)`", table)) == FAILPOINTS


def test_every_runtime_dependency_is_listed_with_its_range() -> None:
    """As pyproject.toml has them, and nothing else."""
    pairs = [re.fullmatch(r"([A-Za-z0-9-]+)(.+)", dependency) for dependency in DEPENDENCIES]
    assert [(name, versions) for name, versions, _ in SOUP] == [pair.groups() for pair in pairs if pair]
    assert len(SOUP) == len(DEPENDENCIES)


def test_the_list_of_software_names_faults_of_the_table() -> None:
    """F numbers lead somewhere; each row has licence, anomalies and mitigation."""
    assert {cells.count(" | ") for _, _, cells in SOUP} == {2}
    named = {fault for _, _, cells in SOUP for fault in re.findall(r"\bF\d\d\b", cells)}
    assert named
    assert named <= {row[0] for row in ROWS}
