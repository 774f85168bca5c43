"""What was written into the audit trail is found again."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from builders.audit import EVENTS, build_trail
from builders.clock import FakeClock
from dicom_node.audit.listing import AuditFilter, list_trail
from dicom_node.cli.app import app

NOON = FakeClock().now()


@pytest.fixture
def trail(tmp_path: Path) -> Path:
    """One event of each kind, a minute apart, in files of a few lines each."""
    clock = FakeClock()
    written = build_trail(tmp_path / "audit", maximum_file_bytes=3000, clock=clock)
    for event in EVENTS:
        written.record(event)
        clock.advance(60)
    assert len(list((tmp_path / "audit").glob("*.jsonl"))) > 1
    return tmp_path / "audit"


def numbers(trail: Path, wanted: AuditFilter, *, limit: int = 100) -> list[int]:
    """Of the lines that fit."""
    return [entry.number for entry in list_trail(trail, wanted, limit=limit).entries]


def test_without_a_filter_everything_is_there_in_order(trail: Path) -> None:
    """Of more than the limit the newest."""
    everything = list(range(1, len(EVENTS) + 1))
    assert numbers(trail, AuditFilter()) == everything
    assert numbers(trail, AuditFilter(), limit=2) == everything[-2:]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (AuditFilter(event="DELETED"), [7]),
        (AuditFilter(event="110105"), [7]),
        (AuditFilter(event="application start"), [1]),
        (AuditFilter(user="roe"), [3, 5, 8, 10, 12, 13]),
        (AuditFilter(study="1.2.3"), [4, 5, 6, 7]),
        (AuditFilter(study="1.2"), []),
        (AuditFilter(study="1.2.3", user="jane"), [5]),
        (AuditFilter(since=NOON + timedelta(minutes=3), until=NOON + timedelta(minutes=5)), [4, 5]),
    ],
)
def test_each_filter_narrows_it_down(trail: Path, wanted: AuditFilter, found: list[int]) -> None:
    """Together all of them must hold."""
    assert numbers(trail, wanted) == found


def test_a_damaged_line_is_counted_and_hides_no_other(trail: Path) -> None:
    """The others are shown still."""
    path = trail / "audit.jsonl"
    path.write_text(path.read_text().replace("<AuditMessage", "<AuditMessag", 1))
    found = list_trail(trail, AuditFilter(), limit=100)
    assert (len(found.entries), found.unreadable) == (len(EVENTS) - 1, 1)


def test_the_command_shows_it_and_leaves_a_trace(trail: Path, tmp_path: Path) -> None:
    """Reading the trail is an event of the trail (PS3.15 A.5.3.2)."""
    config = tmp_path / "node.toml"
    config.write_text(f'[node]\ndata_dir = "{tmp_path}"\n')
    command = ["--config", str(config), "audit", "list"]
    shown = CliRunner().invoke(app, [*command, "--where", "event=deleted", "--json"])
    (entry,) = json.loads(shown.stdout)["entries"]
    assert (entry["number"], entry["studies"]) == (7, ["1.2.3"])
    again = CliRunner().invoke(app, [*command, "--where", "event=audit log", "--since", "2026-01-03"])
    assert "Audit Log Used" in again.stdout
    assert CliRunner().invoke(app, [*command, "--where", "patient=Doe"]).exit_code == 2
