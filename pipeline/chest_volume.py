"""A study in patient order, with its lungs."""

from collections.abc import Callable
from dataclasses import dataclass

from pipeline.findings import KnownLesions
from pipeline.heap import trim_heap
from pipeline.lung_checks import check_is_chest
from pipeline.orient import LpsVolume
from pipeline.padding import imaged_part
from pipeline.study import BoolArray, SeriesChoice, StudyFiles, UInt8Array, Volume

FindLungs = Callable[[LpsVolume], UInt8Array]
"""The lung mask of a volume, the same shape; it may go on where nothing was imaged."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ChestVolume:
    """What alignment needs of a study at full resolution, arrays (z, y, x)."""

    lps: LpsVolume
    lung_mask: UInt8Array
    """Of what was imaged."""
    imaged: BoolArray
    """Where the study shows something; see `pipeline.padding`."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CurrentStudy:
    """The study that is analysed: what the stages after the lungs work on."""

    files: StudyFiles
    choice: SeriesChoice
    volume: Volume
    """On the grid of acquisition."""
    chest: ChestVolume
    """The same in patient order."""
    reported: KnownLesions | None = None
    """What an earlier run reported of this very study: its lesions keep their names."""


def chest_volume(lps: LpsVolume, lung_mask: UInt8Array) -> ChestVolume:
    """A volume with lungs that are known, as far as they were imaged."""
    imaged = imaged_part(lps)
    return ChestVolume(lps=lps, lung_mask=lung_mask * imaged, imaged=imaged)


def found_chest(lps: LpsVolume, find_lungs: FindLungs) -> ChestVolume:
    """A volume with the lungs that are found in it.

    Raises:
        NotAChestError: There are no lungs, or what was found cannot be lungs.
    """
    lung_mask = find_lungs(lps)
    trim_heap()
    chest = chest_volume(lps, lung_mask)
    check_is_chest(lps.volume_hu, chest.lung_mask, lps.spacing_mm)
    return chest
