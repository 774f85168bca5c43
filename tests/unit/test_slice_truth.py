"""A reader's label of a whole slice holds for a crop only as far as it can."""

import numpy as np
import torch

from pipeline.training.cases import CaseStudy
from pipeline.training.slice_truth import reader_labels


def labelled_study(labels: list[int] | None) -> CaseStudy:
    """Three slices with a right and a left lung of 4 x 2 pixels."""
    truth = np.zeros((3, 3, 8, 12), np.uint8)
    truth[0, :, 2:6, 2:4], truth[0, :, 2:6, 8:10] = 1, 2
    given = None if labels is None else np.array(labels, np.int8)
    return CaseStudy(day=0.0, volume_hu=np.zeros((3, 8, 12), np.int16), truth=truth, slice_labels=given)


def sides(study: CaseStudy, columns: slice) -> torch.Tensor:
    """Lung sides of a crop of some columns."""
    return torch.from_numpy(study.truth[0][:, :, columns].astype(np.int64))


def test_a_crop_with_both_lungs_keeps_every_label() -> None:
    """All of the slice's lungs are in it."""
    study = labelled_study([1, 0, -1])
    labels = reader_labels(study, np.arange(3), sides(study, slice(0, 12)))
    assert labels is not None
    assert labels.tolist() == [1, 0, -1]


def test_a_crop_without_the_other_lung_may_show_no_lesion() -> None:
    """It may lie in the other one; a slice without lesion has none here either."""
    study = labelled_study([1, 0, -1])
    labels = reader_labels(study, np.arange(3), sides(study, slice(0, 6)))
    assert labels is not None
    assert labels.tolist() == [-1, 0, -1]


def test_a_lung_cut_by_the_border_may_show_no_lesion() -> None:
    """The lesion may lie beyond."""
    study = labelled_study([1, 1, 1])
    labels = reader_labels(study, np.arange(3), sides(study, slice(3, 12)))
    assert labels is not None
    assert labels.tolist() == [-1, -1, -1]


def test_slices_that_nobody_labelled_are_left_to_the_masks() -> None:
    """Most cases have masks."""
    study = labelled_study(None)
    assert reader_labels(study, np.arange(3), sides(study, slice(0, 12))) is None
