"""Plain grids in patient order."""

import numpy as np

from pipeline.study import Grid


def cube_grid(shape: tuple[int, int, int], step_mm: float = 1.0) -> Grid:
    """Equal steps, voxel (0, 0, 0) at the LPS origin."""
    affine = np.diag([step_mm, step_mm, step_mm, 1.0])
    affine[:3, :3] = affine[:3, :3][:, ::-1]
    return Grid(shape=shape, affine_lps_from_kji=affine)
