"""The tool that kills a thousand times: what it asks for, what it remembers, what it says."""

from pathlib import Path

from faults.kills import RANDOM_NODE, Journal, Kill, _asked, _report

from builders.faulty_node import LISTEN_POINTS
from builders.master_check import Checked
from storage.failpoints import FAILPOINTS

CHECKED = Checked(objects=20, studies_delivered=1, result_objects=2)


def test_a_thousand_kills_are_asked_for_in_proportion() -> None:
    """24 failpoints 20 times and 520 at random; an early end leaves as many of each kind."""
    asked = _asked(points=20, randomly=520)
    assert len(asked) == len(set(asked)) == 1000
    half = [kill.kind for kill in asked[:500]]
    assert {half.count(name) for name in FAILPOINTS} <= {9, 10, 11}
    assert half.count(RANDOM_NODE) in {51, 52, 53}


def test_a_run_goes_on_where_the_last_one_ended(tmp_path: Path) -> None:
    """Also after a broken promise, which stays on record."""
    path = tmp_path / "kills.jsonl"
    first, second, third = (Kill(kind=LISTEN_POINTS[0], number=number) for number in range(3))
    journal = Journal(path=path)
    journal.note(first, CHECKED)
    journal.note(second, None, "AssertionError: 1.2 is in the index 0 times")
    later = Journal(path=path)
    later.read()
    assert [kill for kill in (first, second, third) if later.lacks(kill)] == [third]
    assert later.record()["objects_acknowledged"] == 20
    assert later.failures == [f"{second.kind} 1: AssertionError: 1.2 is in the index 0 times"]


def test_the_report_names_what_broke(tmp_path: Path) -> None:
    """And says None where nothing did."""
    journal = Journal(path=None)
    journal.note(Kill(kind=FAILPOINTS[5], number=1), CHECKED)
    assert "## Broken promises\n\nNone.\n" in _report(journal, points=20, randomly=520)
    journal.note(Kill(kind=FAILPOINTS[6], number=2), None, "lost")
    told = _report(journal, points=20, randomly=520)
    assert "| **Lost, doubled or otherwise broken** | **1** |" in told
    assert f"- {FAILPOINTS[6]} 2: lost" in told
