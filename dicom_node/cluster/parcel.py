"""A job as one piece of bytes: everything that an attempt reads, so that an actor needs no share."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt

from dicom_node.job_inputs import unreadable_input
from dicom_node.job_records import InputFile, JobSpec, PriorSpec, StudySpec

Payload = npt.NDArray[np.uint8]
"""Shape (bytes,): the files one after the other. An array, since Ray hands it to an actor without a copy."""

READ_OF_A_RESULT = ("findings.json", "masks.npz")
"""What an attempt reads of an earlier result set (`read_known_lesions`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One file of a parcel."""

    name: str
    """Path below the folder of the job, with slashes."""
    source: Path
    """Where the worker has it."""
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """A job whose paths lead to its pieces, below whatever folder they are unpacked in."""

    spec: JobSpec
    pieces: tuple[Piece, ...]

    @property
    def size_bytes(self) -> int:
        """Of all pieces."""
        return sum(piece.size_bytes for piece in self.pieces)


def parcel_of(spec: JobSpec) -> Parcel:
    """What a job reads, measured but not read.

    Raises:
        UnreadableStudyError: A stored file is not there.
    """
    pieces: list[Piece] = []
    study = _study(spec.study, "inputs/0", pieces)
    priors = tuple(_prior(prior, number, pieces) for number, prior in enumerate(spec.priors, start=1))
    reported = spec.reported_folder and _folder(spec.reported_folder, "results/0", pieces)
    packed = dataclasses.replace(spec, study=study, priors=priors, reported_folder=reported)
    return Parcel(spec=packed, pieces=tuple(pieces))


def read_payload(parcel: Parcel) -> Payload:
    """The bytes of all pieces in their order; a file that shrank meanwhile is caught by its hash where it is read.

    Raises:
        UnreadableStudyError: A file is gone.
    """
    payload = np.zeros(parcel.size_bytes, np.uint8)
    view = payload.data
    for piece, begin in _places(parcel.pieces):
        try:
            with piece.source.open("rb", buffering=0) as file:
                file.readinto(view[begin : begin + piece.size_bytes])
        except OSError as exc:
            raise unreadable_input(piece.source.name) from exc
    return payload


def unpack(parcel: Parcel, payload: Payload, folder: Path) -> JobSpec:
    """Write the pieces below a folder.

    Args:
        parcel: What to write; no name of it leads out of the folder.
        payload: Its bytes.
        folder: Of the job.

    Returns:
        The job with paths into the folder.

    Raises:
        OSError: The folder takes no more.
    """
    view = payload.data
    for piece, begin in _places(parcel.pieces):
        path = folder / piece.name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb", buffering=0) as file:
            file.write(view[begin : begin + piece.size_bytes])
    return _below(parcel.spec, folder)


def _places(pieces: tuple[Piece, ...]) -> Iterator[tuple[Piece, int]]:
    """Each piece with where its bytes begin."""
    begin = 0
    for piece in pieces:
        yield piece, begin
        begin += piece.size_bytes


def _study(study: StudySpec, place: str, pieces: list[Piece]) -> StudySpec:
    """The study with its files below the place, their names as they were: refusals name them."""
    inputs = []
    taken: set[str] = set()
    for number, input_file in enumerate(study.inputs):
        name = input_file.path.name
        folder = f"{place}/{number}" if name in taken else place
        taken.add(name)
        pieces.append(_piece(f"{folder}/{name}", input_file.path))
        inputs.append(InputFile(path=Path(folder, name), sha256=input_file.sha256))
    return dataclasses.replace(study, inputs=tuple(inputs))


def _prior(prior: PriorSpec, number: int, pieces: list[Piece]) -> PriorSpec:
    study = _study(prior.study, f"inputs/{number}", pieces)
    result = prior.result_folder and _folder(prior.result_folder, f"results/{number}", pieces)
    return PriorSpec(study=study, result_folder=result)


def _folder(source: Path, place: str, pieces: list[Piece]) -> Path:
    """An earlier result set; where it is not there any more, its folder is empty and the job says so."""
    files = (source / name for name in READ_OF_A_RESULT)
    pieces.extend(_piece(f"{place}/{path.name}", path) for path in files if path.is_file())
    return Path(place)


def _piece(name: str, source: Path) -> Piece:
    if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
        raise ValueError(name)
    try:
        return Piece(name=name, source=source, size_bytes=source.stat().st_size)
    except OSError as exc:
        raise unreadable_input(source.name) from exc


def _below(spec: JobSpec, folder: Path) -> JobSpec:
    """The job with every path below the folder."""

    def study_below(study: StudySpec) -> StudySpec:
        inputs = tuple(InputFile(path=folder / one.path, sha256=one.sha256) for one in study.inputs)
        return dataclasses.replace(study, inputs=inputs)

    priors = tuple(
        PriorSpec(study=study_below(prior.study), result_folder=prior.result_folder and folder / prior.result_folder)
        for prior in spec.priors
    )
    reported = spec.reported_folder and folder / spec.reported_folder
    return dataclasses.replace(spec, study=study_below(spec.study), priors=priors, reported_folder=reported)
