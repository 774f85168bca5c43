"""Batches of studies of patients, cut from cases and changed at random."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor
from torch.nn import functional

from pipeline.model_input import stacked_channels
from pipeline.training import augment
from pipeline.training.cases import Case, CaseStudy
from pipeline.training.config import SpaceTimeTraining
from pipeline.training.crop_changes import AIR_HU, Circle, Haze, cut, draw_circles, draw_haze, hazed
from pipeline.training.crop_places import Place, draw_place, shifted
from pipeline.training.losses import UNKNOWN_SLICE, labels_of_slices
from pipeline.training.slice_truth import reader_labels

MARGIN = 16
"""Pixels read around a crop, so that moving it brings in no border."""

COARSE_SHARE = 0.25
"""Of the studies, as if scanned with large pixels."""

NOT_READ = -2
"""In place of a reader's label where the masks say what there is."""

PRIOR_SHARES = (0.5, 0.3, 0.2)
"""Of one, two and three earlier studies, where there is any."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SequenceBatch:
    """T studies of each of B patients."""

    sequence: Tensor
    """(T, B, Z, 4, H, W)."""
    valid: Tensor
    """(T, B, Z, 1, H, W)."""
    gap_days: Tensor
    """(T, B)."""
    kinds: Tensor
    """(T, B * Z, H, W)."""
    boxes: tuple[Tensor, ...]
    """Per study (B * Z, M, 4) with rows of nan."""
    slice_labels: Tensor
    """(T, B * Z), see `labels_of_slices`."""

    def to(self, device: torch.device) -> "SequenceBatch":
        """The same batch on a device."""
        return SequenceBatch(
            sequence=self.sequence.to(device),
            valid=self.valid.to(device),
            gap_days=self.gap_days.to(device),
            kinds=self.kinds.to(device),
            boxes=tuple(boxes.to(device) for boxes in self.boxes),
            slice_labels=self.slice_labels.to(device),
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Changes:
    """What is done to one study of one patient."""

    pose: Tensor
    """(1, 2, 3)."""
    haze: Haze | None
    amount: float
    """Of the haze in this study."""
    circle: Circle | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Piece:
    """One study of one patient, cut and changed."""

    channels: Tensor
    valid: Tensor
    kinds: Tensor
    numbers: Tensor
    read: Tensor
    """(Z,), what a reader said of the slices; `NOT_READ` where none did."""
    day: float


def sample_batch(
    phantoms: list[Case], real: list[Case], settings: SpaceTimeTraining, generator: torch.Generator
) -> SequenceBatch:
    """One random batch; all its patients have the same number of studies."""
    most = max(len(case.studies) for case in phantoms)
    alone = augment.chance(generator, settings.no_prior_share)
    priors = 0 if alone else _prior_count(generator, most - 1)
    patients: list[list[_Piece]] = []
    for _ in range(settings.batch):
        pool = real if real and augment.chance(generator, settings.real_share) else phantoms
        fitting = _with_priors(pool, priors) or _with_priors(phantoms, priors)
        case = fitting[augment.whole_number(generator, 0, len(fitting))]
        stranger = phantoms[augment.whole_number(generator, 0, len(phantoms))]
        patients.append(_patient(case, stranger, priors, settings, generator))
    return _batch(patients)


def _with_priors(cases: list[Case], priors: int) -> list[Case]:
    return [case for case in cases if len(case.studies) > priors]


def _prior_count(generator: torch.Generator, most: int) -> int:
    shares = torch.tensor(PRIOR_SHARES[: max(1, most)])
    return 1 + int(torch.multinomial(shares, 1, generator=generator))


def _patient(
    case: Case, stranger: Case, priors: int, settings: SpaceTimeTraining, generator: torch.Generator
) -> list[_Piece]:
    """The studies of one patient, oldest first; now and then the earlier ones are a stranger's."""
    newest = augment.whole_number(generator, priors, len(case.studies))
    earlier = torch.randperm(newest, generator=generator)[:priors].sort().values.tolist()
    place = draw_place(case.studies[newest], settings, generator)
    pose = augment.random_placement(generator, 1) * 0.5 + 0.5 * torch.tensor([[[1.0, 0, 0], [0, 1.0, 0]]])
    flipped = augment.chance(generator, 0.3)
    wrong = priors > 0 and augment.chance(generator, settings.wrong_patient_share)
    haze = draw_haze(generator, priors + 1)
    circles = draw_circles(generator, priors + 1, settings.crop, _middle_of_chest(case.studies[newest], place))
    pieces = []
    for number, index in enumerate([*earlier, newest]):
        study = case.studies[index]
        at, moved = place, pose
        if index != newest:
            moved = pose + _misplacement(generator)
            at = shifted(place, generator)
            study = stranger.studies[index % len(stranger.studies)] if wrong else study
        changes = _Changes(pose=moved, haze=haze, amount=haze.amounts[number] if haze else 0.0, circle=circles[number])
        piece = _piece(study, at, changes, settings, generator)
        piece = _mirrored(piece) if flipped else piece
        pieces.append(_with_gaps(piece, generator) if index != newest else _all_valid(piece))
    return pieces


def _middle_of_chest(study: CaseStudy, place: Place) -> tuple[float, float]:
    """Row and column in a crop at a place; a case is cut to its lungs."""
    rows, columns = study.volume_hu.shape[1:]
    return rows / 2.0 - place.row, columns / 2.0 - place.column


def _misplacement(generator: torch.Generator) -> Tensor:
    """Small change of an affine map: a few per cent of scale and turn."""
    return 0.02 * torch.randn((1, 2, 3), generator=generator) * torch.tensor([1.0, 1.0, 0.5])


def _piece(
    study: CaseStudy, place: Place, changes: _Changes, settings: SpaceTimeTraining, generator: torch.Generator
) -> _Piece:
    """One study cut at a place, posed, regraded."""
    size = (settings.slices, *settings.crop)
    volume = _cut(study.volume_hu, place, size, fill=AIR_HU)
    truth = torch.stack([_cut(layer, place, size, fill=0) for layer in study.truth], dim=1)
    pose = changes.pose.expand(len(volume), -1, -1)
    grid = functional.affine_grid(pose, [len(volume), 1, *volume.shape[1:]], False)
    moved = functional.grid_sample(volume[:, None], grid, padding_mode="border", align_corners=False)[:, 0]
    if augment.chance(generator, COARSE_SHARE):
        moved = augment.coarsened(moved[:, None], generator)[:, 0]
    truth = functional.grid_sample(truth, grid, mode="nearest", align_corners=False)
    inner = (slice(MARGIN, -MARGIN), slice(MARGIN, -MARGIN))
    moved, truth = moved[:, *inner], truth[:, :, *inner]
    if changes.haze:
        moved, truth = hazed(moved, truth, changes.haze, changes.amount)
    seen = augment.rescanned(moved, generator)
    shown = torch.ones(settings.crop)
    if changes.circle:
        seen, truth, shown = cut(seen, truth, changes.circle)
    lungs = _roughened(truth[:, 0] > 0, generator) & (shown > 0)
    channels = stacked_channels(seen.numpy(), lungs.numpy())[1:-1]
    kept = truth[1:-1].long()
    valid = shown.expand(settings.slices, 1, -1, -1)
    read = reader_labels(study, _slice_numbers(study.volume_hu, place, settings.slices)[1:-1], kept[:, 0])
    if read is not None and changes.haze and changes.amount:
        # The reader saw these slices without the haze.
        read = torch.where(read == 0, UNKNOWN_SLICE, read)
    return _Piece(
        channels=channels,
        valid=valid,
        kinds=kept[:, 2],
        numbers=kept[:, 1],
        read=torch.full((settings.slices,), NOT_READ) if read is None else read,
        day=study.day,
    )


def _slice_numbers(array: np.ndarray, place: Place, slices: int) -> np.ndarray:
    """Slices of a crop with one more at each end; edge slices repeat."""
    return np.clip(np.arange(place.first_slice - 1, place.first_slice + slices + 1), 0, len(array) - 1)


def _cut(array: np.ndarray, place: Place, size: tuple[int, int, int], *, fill: float) -> Tensor:
    """float32 (slices + 2, rows + 2 margin, columns + 2 margin), `fill` outside the array; edge slices repeat."""
    index = _slice_numbers(array, place, size[0])
    planes = np.full((len(index), size[1] + 2 * MARGIN, size[2] + 2 * MARGIN), fill, np.float32)
    low = (place.row - MARGIN, place.column - MARGIN)
    source, target = [], []
    for start, have, want in zip(low, array.shape[1:], planes.shape[1:], strict=True):
        source.append(slice(max(0, start), max(0, min(have, start + want))))
        target.append(slice(max(0, -start), max(0, -start) + source[-1].stop - source[-1].start))
    planes[:, target[0], target[1]] = array[int(index[0]) : int(index[-1]) + 1][index - index[0]][
        :, source[0], source[1]
    ]
    return torch.from_numpy(planes)


def _roughened(lungs: Tensor, generator: torch.Generator) -> Tensor:
    """Now and then a lung mask that is a little too large or too small, as the lung network's may be."""
    if augment.chance(generator, 0.6):
        return lungs
    grown = augment.chance(generator, 0.5)
    image = lungs.float() if grown else 1.0 - lungs.float()
    swollen = functional.max_pool2d(image, 3, stride=1, padding=1)
    return (swollen if grown else 1.0 - swollen) > 0.5


def _mirrored(piece: _Piece) -> _Piece:
    return replace(
        piece,
        channels=piece.channels.flip(-1),
        valid=piece.valid.flip(-1),
        kinds=piece.kinds.flip(-1),
        numbers=piece.numbers.flip(-1),
    )


def _all_valid(piece: _Piece) -> _Piece:
    """The newest study, of which a node shows everything as valid."""
    return replace(piece, valid=torch.ones_like(piece.valid))


def _with_gaps(piece: _Piece, generator: torch.Generator) -> _Piece:
    """An earlier study that does not show everything: fewer slices, or a narrower field of view."""
    valid = piece.valid.clone()
    slices, width = valid.shape[0], valid.shape[-1]
    if augment.chance(generator, 0.12):
        valid[: augment.whole_number(generator, 1, slices)] = 0.0
    if augment.chance(generator, 0.12):
        valid[..., augment.whole_number(generator, width // 2, width) :] = 0.0
    day = piece.day + augment.uniform(generator, -0.5, 0.5)
    hidden = (valid == 0).flatten(1).any(dim=1)
    read = torch.where(hidden & (piece.read == 1), UNKNOWN_SLICE, piece.read)
    return replace(piece, valid=valid, read=read, day=day)


def _batch(patients: list[list[_Piece]]) -> SequenceBatch:
    studies = list(zip(*patients, strict=True))
    days = torch.tensor([[piece.day for piece in study] for study in studies])
    gaps = torch.cat([torch.zeros_like(days[:1]), days.diff(dim=0).clamp(min=0.0)])
    kinds = [torch.cat([piece.kinds * piece.valid[:, 0].long() for piece in study]) for study in studies]
    numbers = [torch.cat([piece.numbers * piece.valid[:, 0].long() for piece in study]) for study in studies]
    return SequenceBatch(
        sequence=torch.stack([torch.stack([piece.channels for piece in study]) for study in studies]),
        valid=torch.stack([torch.stack([piece.valid for piece in study]) for study in studies]),
        gap_days=gaps,
        kinds=torch.stack(kinds),
        slice_labels=_slice_labels(torch.stack(kinds), torch.stack([_reads(study) for study in studies])),
        boxes=tuple(boxes_of_slices(study) for study in numbers),
    )


def _reads(study: Sequence[_Piece]) -> Tensor:
    return torch.cat([piece.read for piece in study])


def _slice_labels(kinds: Tensor, read: Tensor) -> Tensor:
    """What masks say, unless a reader said more: (T, N) from kinds (T, N, H, W)."""
    by_mask = labels_of_slices(kinds)
    return torch.where((read == NOT_READ) | (by_mask == 1), by_mask, read)


def boxes_of_slices(numbers: Tensor) -> Tensor:
    """Boxes (N, M, 4) of the lesions of each slice (N, H, W); a slice with fewer than M has rows of nan."""
    found = [
        [(part[1].start, part[0].start, part[1].stop, part[0].stop) for part in ndimage.find_objects(plane) if part]
        for plane in numbers.to(torch.int32).numpy()
    ]
    boxes = torch.full((len(found), max(1, *(len(row) for row in found)), 4), torch.nan)
    for index, row in enumerate(found):
        for number, box in enumerate(row):
            boxes[index, number] = torch.tensor(box, dtype=torch.float32)
    return boxes
