"""The commands `rules`: the rules of a site, and what they do to a received study."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from builders.clock import FakeClock
from builders.index import build_index, received
from dicom_node.cli.app import app
from dicom_node.cli.failures import exit_code_of
from storage.lifecycle import State

CONFIG = """
[[peers]]
name = "pacs"
ae_title = "PACS"
host = "localhost"
port = 104
receives_results = true

[[rule]]
name = "no heads"
run = false
match = { body_part = "head" }

[[rule]]
name = "from CT1"
priority = "urgent"
results = { pacs = ["sr"] }
match = { calling_ae_title = "CT1" }
"""
CANDIDATE = '[[rule]]\nname = "not ours"\nrun = false\nreason = "goes to the other node"\nmatch = { modality = "CT" }\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The configuration of a node that received a study of CT1."""
    path = tmp_path / "node.toml"
    path.write_text(f'[node]\ndata_dir = "{tmp_path}"\n{CONFIG}')
    build_index(tmp_path, FakeClock()).record_received([received()])
    return path


def run(file: Path, *arguments: str, exit_code: int = 0) -> Result:
    """One command, ended as expected; what is raised counts as `main` counts it."""
    done = CliRunner().invoke(app, ["--config", str(file), "rules", *arguments])
    raised = done.exception if isinstance(done.exception, Exception) else None
    code = exit_code_of(raised) if raised else done.exit_code
    assert code == exit_code, (done.output, done.exception)
    return done


def test_the_rules_are_listed_in_their_order(file: Path) -> None:
    """With what each does and which studies it is for."""
    assert run(file, "list").stdout.splitlines() == [
        "1 no heads: do not run - body_part head",
        "2 from CT1: run, urgent priority; results to pacs (sr) - calling_ae_title CT1",
    ]
    assert [rule["name"] for rule in json.loads(run(file, "list", "--json").stdout)["rules"]] == [
        "no heads",
        "from CT1",
    ]


def test_a_received_study_shows_which_rule_fits_and_why_not_the_others(file: Path) -> None:
    """Before anything is decided about it."""
    assert run(file, "test", "1.2.3").stdout.splitlines() == [
        "rule from CT1: run, urgent priority; results to pacs (sr)",
        "results to pacs (sr)",
        "rule 1 no heads: does not fit",
        "  series 1.2.3.1 (CT, Lung 1.0): body_part asks for head, and it is CHEST",
        "rule 2 from CT1: decides",
        "  series 1.2.3.1 (CT, Lung 1.0): fits",
    ]


@pytest.mark.parametrize("whole", [False, True])
def test_candidate_rules_are_tried_and_change_nothing(file: Path, tmp_path: Path, whole: bool) -> None:
    """Rules alone, or a whole configuration."""
    before = file.read_bytes()
    candidate = tmp_path / "candidate.toml"
    candidate.write_text(("[log]\nlevel = 'INFO'\n" if whole else "") + CANDIDATE)
    report = json.loads(run(file, "test", "1.2.3", "--config", str(candidate), "--json").stdout)
    assert (report["rule"], report["runs"], report["destinations"], report["decided"]) == ("not ours", False, [], None)
    assert report["why"].startswith("not run by rule not ours: goes to the other node")
    assert file.read_bytes() == before
    view = build_index(tmp_path, FakeClock()).study("1.2.3")
    assert view is not None
    assert view.state is State.RECEIVING


def test_mistakes_of_a_candidate_are_named_all_at_once(file: Path, tmp_path: Path) -> None:
    """In the form of every mistake in the configuration, exit code 2."""
    candidate = tmp_path / "candidate.toml"
    candidate.write_text('[[rule]]\nname = "a"\npriority = "high"\nresults = { nobody = ["sr"] }\n')
    done = run(file, "test", "1.2.3", "--config", str(candidate), exit_code=2)
    assert "[rule #1].priority" in str(done.exception)
    assert "[rule #1].results" in str(done.exception)


def test_a_study_that_is_not_here_is_named(file: Path) -> None:
    """Exit code 1."""
    run(file, "test", "9.9", exit_code=1)
