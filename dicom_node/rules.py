"""Which rule of a site fits a received study, and why the others do not."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, time, tzinfo
from fnmatch import fnmatchcase
from pathlib import Path

from config.rules import WEEKDAYS, MatchSettings, RuleSettings, hours_from
from pipeline.image_kind import ImageKind, image_kind
from pipeline.read import read_headers
from storage.rule_records import RuledSeries, RuledStudy


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFacts:
    """What only an image says, not the index."""

    kernel: str = ""
    """First value of Convolution Kernel (0018,1210); empty where it says none."""
    slice_thickness_mm: float | None = None
    """Slice Thickness (0018,0050); None where it says none, cannot be read, or is a scout: what that says of a thickness,
    often that of a thin slice, is of no slice."""


ImageReader = Callable[[Path], ImageFacts]
"""Reads an image by its path below the data folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Misfit:
    """One line of a rule that does not fit."""

    key: str
    """Of `[rule.match]`."""
    wanted: str
    """What the rule says."""
    found: str
    """What the study or series says; it may be text of the data set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesTrial:
    """A rule tried on a series."""

    series_instance_uid: str
    modality: str
    description: str
    fits: bool
    misfits: tuple[Misfit, ...]
    """Its images are only read where everything else fits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleTrial:
    """A rule tried on a study."""

    number: int
    """From 1, in the order of the file."""
    name: str
    fits: bool
    misfits: tuple[Misfit, ...]
    """Of the study as a whole; its series are then not looked at."""
    series: tuple[SeriesTrial, ...]


def trials(
    rules: Sequence[RuleSettings], study: RuledStudy, *, read: ImageReader, zone: tzinfo | None = None
) -> Iterator[RuleTrial]:
    """The rules tried one after the other; the first that fits decides.

    Args:
        rules: In the order of the file.
        study: What they look at.
        read: Reads what only the images say, where a rule asks for it.
        zone: For hours and days; None is the time zone of this machine.
    """
    for number, rule in enumerate(rules, start=1):
        misfits = tuple(_study_misfits(rule.match, study, study.last_instance_at.astimezone(zone)))
        series = () if misfits else tuple(_tried(rule.match, one, read) for one in study.series)
        fits = not misfits and any(one.fits for one in series)
        yield RuleTrial(number=number, name=rule.name, fits=fits, misfits=misfits, series=series)


def image_reader(data_dir: Path) -> ImageReader:
    """Reads the stored files, each at most once."""
    known: dict[Path, ImageFacts] = {}

    def read(image: Path) -> ImageFacts:
        if image not in known:
            known[image] = _image_facts(data_dir / image)
        return known[image]

    return read


def _image_facts(path: Path) -> ImageFacts:
    images = read_headers([path]).images
    if not images:
        return ImageFacts()
    image = images[0]
    is_scout = image_kind(image) is ImageKind.SCOUT
    return ImageFacts(kernel=image.kernel, slice_thickness_mm=None if is_scout else image.slice_thickness_mm)


def _study_misfits(match: MatchSettings, study: RuledStudy, at: datetime) -> Iterator[Misfit]:
    yield from _unlike("study_description", match.study_description, (study.description,))
    hours = hours_from(match.hours)
    if hours and not _is_within(hours, at):
        yield Misfit(key="hours", wanted=match.hours, found=f"{at:%H:%M}")
    weekday = WEEKDAYS[at.weekday()]
    if match.weekdays and weekday not in match.weekdays:
        yield Misfit(key="weekdays", wanted=", ".join(match.weekdays), found=weekday)


def _is_within(hours: tuple[time, time], at: datetime) -> bool:
    """Whether a time of the day lies in a span, its beginning included, its end not; the span may pass midnight."""
    begin, end = hours
    now = at.time()
    if begin < end:
        return begin <= now < end
    return now >= begin or now < end


def _tried(match: MatchSettings, series: RuledSeries, read: ImageReader) -> SeriesTrial:
    misfits = tuple(_index_misfits(match, series))
    if not misfits and match.reads_images:
        misfits = tuple(_image_misfits(match, read(series.image)))
    return SeriesTrial(
        series_instance_uid=series.series_instance_uid,
        modality=series.modality,
        description=series.description,
        fits=not misfits,
        misfits=misfits,
    )


def _index_misfits(match: MatchSettings, series: RuledSeries) -> Iterator[Misfit]:
    yield from _unlike("calling_ae_title", match.calling_ae_title, series.calling_ae_titles)
    yield from _unlike("called_ae_title", match.called_ae_title, series.called_ae_titles)
    yield from _unlike("modality", match.modality, (series.modality,))
    yield from _unlike("body_part", match.body_part, (series.body_part,))
    yield from _unlike("series_description", match.series_description, (series.description,))


def _image_misfits(match: MatchSettings, image: ImageFacts) -> Iterator[Misfit]:
    yield from _unlike("kernel", match.kernel, (image.kernel,))
    thickness_mm = image.slice_thickness_mm
    found = "not known" if thickness_mm is None else f"{thickness_mm:g} mm"
    if match.thinnest_mm > 0 and (thickness_mm is None or thickness_mm < match.thinnest_mm):
        yield Misfit(key="thinnest_mm", wanted=f"{match.thinnest_mm:g} mm", found=found)
    elif match.has_range and (thickness_mm is None or thickness_mm > match.thickest_mm):
        yield Misfit(key="thickest_mm", wanted=f"{match.thickest_mm:g} mm", found=found)


def _unlike(key: str, patterns: Sequence[str], values: Sequence[str]) -> Iterator[Misfit]:
    """The misfit of values of which none is like a pattern; no pattern fits all."""
    if patterns and not any(is_like(value, pattern) for value in values for pattern in patterns):
        yield Misfit(key=key, wanted=", ".join(patterns), found=", ".join(value for value in values if value))


def is_like(text: str, pattern: str) -> bool:
    """Whether a text is like a pattern with * and ?; capitals do not matter, brackets mean themselves.

    Takes a time that grows with the lengths alone: fnmatch of Python 3.11 tries no * twice.
    """
    return fnmatchcase(text.strip().upper(), pattern.upper().replace("[", "[[]"))
