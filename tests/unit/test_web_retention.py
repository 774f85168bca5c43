"""What the page Health says of retention."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from builders.index import received
from builders.site import Pages, pages_in
from config.retention import RetentionSettings
from dicom_node.audit.events import Party
from dicom_node.audit.trail import audit_trail
from dicom_node.retention import Retention
from dicom_node.settings_file import SettingsFile
from storage.lifecycle import Event


@pytest.fixture
def pages(tmp_path: Path) -> Iterator[Pages]:
    """Pages that ask for no login."""
    with pages_in(tmp_path) as made:
        yield made


def with_rules(pages: Pages, **rules: float) -> None:
    """The node has these rules from now on."""
    settings = pages.site.settings.model_copy(update={"retention": RetentionSettings.model_validate(rules)})
    pages.site = replace(pages.site, file=SettingsFile(None, settings))


def run(pages: Pages) -> int:
    """What the worker does now and then."""
    settings, clock = pages.site.settings, pages.clock
    trail = audit_trail(settings, clock=clock)
    return Retention(settings, pages.site.engine, clock=clock, trail=trail, by=Party(user_id="WORK")).run()


def study(pages: Pages, uid: str) -> None:
    """A study that nobody wants analysed."""
    instances = [received(uid, number) for number in (1, 2)]
    pages.index.record_received([replace(one, received_at=pages.clock.now()) for one in instances])
    pages.index.apply(uid, Event.DISCARDED, why="for the test")


def shown(pages: Pages) -> str:
    """The section, as people read it."""
    text = pages.browser().get("/components").text
    section = text.split('<h2 id="retention">')[1].split("</section>")[0]
    return " ".join(re.sub(r"<[^>]+>", " ", section).split())


def test_without_rules_it_says_that_nothing_is_deleted(pages: Pages) -> None:
    """And where they are set."""
    said = shown(pages)
    assert "Nothing: every study is kept for ever." in said
    assert "docs/retention.md" in said and "Due now" not in said


def test_before_the_worker_looked_the_rules_alone_are_shown(pages: Pages) -> None:
    """In words, with what is never deleted."""
    with_rules(pages, days=90, failed_days=1, free_below_bytes=2**30, free_until_bytes=2**31)
    said = shown(pages)
    assert "Finished studies after 90 days" in said
    assert "Failed studies after 1 day" in said and "that were fetched never" in said
    assert "with less than 1 GiB free, until 2 GiB are free" in said
    assert "The worker has not looked yet; it looks every 10 min." in said


def test_what_went_last_and_what_goes_next_is_shown_with_the_oldest(pages: Pages) -> None:
    """Counts, sizes, a link to the oldest; what is off later still says what went."""
    study(pages, "1.2.1")
    pages.clock.advance(timedelta(days=8).total_seconds())
    study(pages, "1.2.2")
    pages.clock.advance(timedelta(days=4).total_seconds())
    with_rules(pages, days=9)
    assert run(pages) == 1
    said = shown(pages)
    assert "Last, 2026-01-14 12:00 1 1.953 KiB gone" in said
    assert "Due now none Within 7 days, by age 1 1.953 KiB 2026-01-10 12:00:00" in said
    assert '<a href="/studies/1.2.2">2026-01-10 12:00:00</a>' in pages.browser().get("/components").text
    with_rules(pages)
    assert "Nothing: every study is kept for ever. When Studies Size Oldest of them Last, 2026-01-14" in shown(pages)


def test_a_report_that_cannot_be_read_is_none(pages: Pages) -> None:
    """Half of one, or of another version."""
    with_rules(pages, days=9)
    (pages.folder / "retention.json").write_text("{")
    assert "has not looked yet" in shown(pages)
