"""Sides of the patient as letters."""

import numpy as np


def direction_letter(direction: np.ndarray) -> str:
    """The letter of the patient's side that a direction in LPS points to most (PS3.3 C.7.6.1.1.1)."""
    axis = int(np.argmax(np.abs(direction)))
    return ("LR", "PA", "HF")[axis][0 if direction[axis] > 0 else 1]
