"""What the page Health says of retention: the rules, what went last, what goes next."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from config.retention import RetentionSettings
from dicom_node.retention_report import RetentionReport, ToRemove, read_report
from dicom_node.web.site import Site
from dicom_node.wording import readable_size


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionRule:
    """One rule in words."""

    what: str
    """Which studies."""
    when: str
    """When they are deleted."""
    key: str
    """Of the configuration."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionStep:
    """One row: what was deleted, or is to be."""

    when: str
    studies: int
    size_bytes: int
    oldest_at: datetime | None
    study_instance_uid: str = ""
    """Of the oldest; empty where it is gone, or there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionView:
    """Everything that is shown."""

    is_on: bool
    rules: tuple[RetentionRule, ...]
    steps: tuple[RetentionStep, ...]
    """Empty before the worker has looked."""
    looked_at: datetime | None
    interval: timedelta
    """Between two looks."""
    kept: int
    """Studies that are old enough and stay."""
    missing: str
    """How much room is missing; empty for none."""


def retention_of(site: Site) -> RetentionView:
    """As the configuration has it now, and as the worker saw it last."""
    rules = site.settings.retention
    report = read_report(site.settings.data_dir)
    outlook = report.outlook if report and rules.is_on else None
    return RetentionView(
        is_on=rules.is_on,
        rules=tuple(_rules(rules)),
        steps=tuple(_steps(report, is_on=rules.is_on)) if report else (),
        looked_at=outlook.at if outlook else None,
        interval=timedelta(seconds=rules.sweep_interval_s),
        kept=outlook.kept if outlook else 0,
        missing=readable_size(outlook.missing_bytes) if outlook and outlook.missing_bytes else "",
    )


def _rules(rules: RetentionSettings) -> Iterator[RetentionRule]:
    for key, what in (
        ("days", "Finished studies"),
        ("fetched_days", "Earlier studies that were fetched"),
        ("failed_days", "Failed studies"),
    ):
        days = getattr(rules, key)
        when = f"after {days:g} {'day' if days == 1 else 'days'}" if days else "never"
        yield RetentionRule(what=what, when=when, key=key)
    when = "never"
    if rules.free_below_bytes:
        below, until = readable_size(rules.free_below_bytes), readable_size(rules.free_until_bytes)
        when = f"with less than {below} free, until {until} are free"
    yield RetentionRule(what="The oldest, when space is short", when=when, key="free_below_bytes")
    yield RetentionRule(
        what="Nothing younger than",
        when=f"{rules.keep_at_least_hours:g} hours",
        key="keep_at_least_hours",
    )


def _steps(report: RetentionReport, *, is_on: bool) -> Iterator[RetentionStep]:
    if report.last:
        last = report.last
        when = f"Last, {last.at.astimezone():%Y-%m-%d %H:%M}"
        yield RetentionStep(when=when, studies=last.studies, size_bytes=last.size_bytes, oldest_at=None)
    if is_on:
        outlook = report.outlook
        yield _next("Due now", outlook.due)
        yield _next(f"Within {outlook.soon_days:g} days, by age", outlook.soon)


def _next(when: str, removed: ToRemove) -> RetentionStep:
    return RetentionStep(
        when=when,
        studies=removed.studies,
        size_bytes=removed.size_bytes,
        oldest_at=removed.oldest_at,
        study_instance_uid=removed.first_study_instance_uid,
    )
