"""Whose studies stand in for a patient's own in the control."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.evaluation.read_cases import Patient, patient_numbers


def strangers_of(patients: Sequence[Patient], seed: int) -> dict[Path, Path]:
    """For each case one of another patient, each once where nobody has more than half of the cases.

    The patients stand in a random ring, the cases of each side by side: as many steps on as the most cases of one patient,
    there is somebody else.

    Args:
        patients: At least two.
        seed: The same seed makes the same ring.
    """
    numbers = np.array(patient_numbers(patients))
    order = np.random.default_rng(seed).permutation(int(numbers.max()) + 1)
    ring = np.concatenate([np.flatnonzero(numbers == number) for number in order])
    steps = int(np.bincount(numbers).max())
    found = {}
    for place, own in enumerate(ring):
        ahead = np.roll(ring, -place - steps)
        other = ahead[np.argmax(numbers[ahead] != numbers[own])]
        found[patients[own].folder] = patients[other].folder
    return found
