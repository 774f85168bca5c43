"""The study that is analysed, read and with its lungs found."""

from dataclasses import dataclass

from pipeline.orient import LpsVolume
from pipeline.study import BoolArray, SeriesChoice, StudyFiles, UInt8Array, Volume


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CurrentStudy:
    """What the stages after the lungs work on."""

    files: StudyFiles
    choice: SeriesChoice
    volume: Volume
    """On the grid of acquisition."""
    lps: LpsVolume
    """The same in patient order."""
    lung_mask: UInt8Array
    """(z, y, x), the shape of `lps`."""
    imaged: BoolArray
    """Where it shows something, the shape of `lps`; see `pipeline.padding`."""
