"""Training cases on disk: the studies of one patient on one grid, with their truth."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.study import BoolArray, Int8Array, Int16Array, UInt8Array

DESCRIPTION = "case.json"

_WHOLE = "complete"
"""In a folder of cases that `whole_or_not_at_all` put in place."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CaseStudy:
    """One study; arrays may lie on disk until they are read."""

    day: float
    volume_hu: Int16Array
    """(Z, Y, X) on the model grid."""
    truth: UInt8Array
    """(3, Z, Y, X): lung side as found, which is what a network is shown; lesion number, also where a lesion was drawn
    beside the lungs; lesion kind (1 ground-glass, 2 consolidation, 255 not known)."""
    slice_labels: Int8Array | None = None
    """(Z,): what a reader said of each whole slice, 1 it shows a lesion, 0 it does not, -1 nothing; None: of no slice."""

    @property
    def lungs(self) -> BoolArray:
        """(Z, Y, X): the lungs as found, in which answers count."""
        found: BoolArray = self.truth[0] > 0
        return found

    @property
    def lungs_with_lesions(self) -> BoolArray:
        """(Z, Y, X): the lungs as found with what was drawn as lesion beside them, of which the truth speaks."""
        region: BoolArray = self.lungs | (self.truth[1] > 0)
        return region


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Case:
    """The studies of one patient, oldest first, all on one grid in one position."""

    name: str
    source: str
    """"phantom", "real" (painted lesions in a real chest) or "site" (a site's own truth)."""
    diseased: bool
    slice_spacing_mm: float
    pixel_mm: float
    studies: tuple[CaseStudy, ...]
    patient: str = ""
    """Whose studies these are, where one patient may have several cases; empty: nobody else's case is of this patient."""
    course: str = ""
    """Of the disease, where it is known."""
    look_alikes: tuple[str, ...] = ()
    """Kinds of what is there and is no lesion, where they are known."""
    rendering: int = 0
    """Number of the rendering that a phantom came from, see `pipeline.training.phantom_cases`; 0 where it is not known."""


def save_case(folder: Path, case: Case) -> None:
    """A folder that `load_case` reads; it counts as complete once its description is there."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / DESCRIPTION).unlink(missing_ok=True)
    for number, study in enumerate(case.studies):
        np.save(folder / f"{number}-hu.npy", study.volume_hu)
        np.save(folder / f"{number}-truth.npy", study.truth)
        if study.slice_labels is not None:
            np.save(folder / _slice_labels_name(number), study.slice_labels)
    description = {
        "name": case.name,
        "source": case.source,
        "patient": case.patient,
        "diseased": case.diseased,
        "slice_spacing_mm": case.slice_spacing_mm,
        "pixel_mm": case.pixel_mm,
        "days": [study.day for study in case.studies],
        "course": case.course,
        "look_alikes": list(case.look_alikes),
        "rendering": case.rendering,
    }
    (folder / DESCRIPTION).write_text(json.dumps(description), encoding="utf-8")


def load_case(folder: Path) -> Case:
    """A case whose arrays are mapped, not read."""
    description = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
    days = description.pop("days")
    look_alikes = tuple(description.pop("look_alikes", ()))
    studies = tuple(
        CaseStudy(
            day=float(day),
            volume_hu=np.load(folder / f"{number}-hu.npy", mmap_mode="r"),
            truth=np.load(folder / f"{number}-truth.npy", mmap_mode="r"),
            slice_labels=_slice_labels(folder / _slice_labels_name(number)),
        )
        for number, day in enumerate(days)
    )
    return Case(**description, look_alikes=look_alikes, studies=studies)


def rendering_of(folder: Path) -> int | None:
    """`Case.rendering` of the case in a folder; None where there is no whole case."""
    try:
        description = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return int(description.get("rendering", 0))


def _slice_labels_name(number: int) -> str:
    return f"{number}-slice-labels.npy"


def _slice_labels(path: Path) -> Int8Array | None:
    return np.load(path) if path.exists() else None


def load_cases(folder: Path) -> list[Case]:
    """All complete cases below a folder, by name."""
    return [load_case(found) for found in case_folders(folder)]


def case_folders(folder: Path) -> list[Path]:
    """Of all complete cases below a folder, by name."""
    return [path.parent for path in sorted(folder.glob(f"*/{DESCRIPTION}"))]


def is_whole(folder: Path) -> bool:
    """Whether a folder of cases was made to its end."""
    return (folder / _WHOLE).exists()


@contextmanager
def whole_or_not_at_all(folder: Path) -> Iterator[Path]:
    """A folder beside to make cases in; it takes the place of `folder` at the end, and is made anew after a stop."""
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    yield part
    (part / _WHOLE).touch()
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)


def lung_window(lungs: BoolArray, margin_pixels: int) -> tuple[slice, slice, slice]:
    """The part of a grid around the lungs: all slices with lung and one more at each end, margin in the plane."""
    filled = [np.flatnonzero(lungs.any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1))]
    margins = (1, margin_pixels, margin_pixels)
    low = [max(0, int(index[0]) - margin) for index, margin in zip(filled, margins, strict=True)]
    high = [int(index[-1]) + margin + 1 for index, margin in zip(filled, margins, strict=True)]
    return slice(low[0], high[0]), slice(low[1], high[1]), slice(low[2], high[2])
