"""How the code reads, measured."""

import ast
import statistics
from collections.abc import Iterator
from pathlib import Path

from storage.lifecycle import diagram

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("dicom_node", "pipeline", "storage", "config")


def modules() -> list[Path]:
    """Every module of the product."""
    found = [path for name in PACKAGES for path in (ROOT / name).rglob("*.py") if "versions" not in path.parts]
    assert len(found) > 50, "the check looked at too few files"
    return found


def function_lengths() -> Iterator[tuple[str, int]]:
    """Each function with its lines, docstring left out."""
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                body = node.body[1:] if ast.get_docstring(node) is not None else node.body
                length = (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0
                yield f"{path.relative_to(ROOT)}:{node.name}", length


def test_functions_fit_a_screen() -> None:
    """Median at most 10 lines, nine in ten at most 25, none over 50."""
    lengths = dict(function_lengths())
    ordered = sorted(lengths.values())
    assert statistics.median(ordered) <= 10
    assert ordered[int(len(ordered) * 0.9)] <= 25
    assert not [name for name, length in lengths.items() if length > 50]


def test_no_file_is_longer_than_350_lines() -> None:
    """A longer file has two subjects."""
    tests = list((ROOT / "tests").rglob("*.py"))
    assert len(tests) > 50, "the check looked at too few files"
    assert not [str(path) for path in (*modules(), *tests) if len(path.read_text().splitlines()) > 350]


def test_extras_are_installed_from_a_clone() -> None:
    """The node is in no package index: `pip install 'dicom-node[...]'` finds nothing there, or a stranger's."""
    texts = [path for folder in (".", "docs") for path in (ROOT / folder).glob("*.md")]
    texts += (ROOT / "dicom_node").rglob("*.py")
    assert len(texts) > 100
    assert [path.name for path in texts if "dicom-node[" in path.read_text(encoding="utf-8")] == []


def test_docs_show_the_life_of_a_study_as_the_table_has_it() -> None:
    """The diagram is printed from the table."""
    page = (ROOT / "docs" / "life-of-a-study.md").read_text()
    shown = page.split("<!-- lifecycle: printed from storage/lifecycle.py -->")[1].split("<!-- /lifecycle -->")[0]
    assert shown.strip() == diagram().strip()
