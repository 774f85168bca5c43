"""Training of the models that Space-Time1 is compared with, on the same cases and crops."""

from dataclasses import replace

from pipeline.baselines.build import BaselineKind
from pipeline.space_time import SpaceTimeNet
from pipeline.training.cases import Case
from pipeline.training.config import TrainingConfig, TrainingConfigError
from pipeline.training.loop import Progress
from pipeline.training.train_baseline import BaselineTraining, train_baseline
from pipeline.training.train_space_time import save_start, train_space_time

SPACE_TIME_2 = "space-time-2"

COMPARED = (SPACE_TIME_2, *(kind.value for kind in BaselineKind))
"""What `[comparison].models` may name."""


def check_compared(config: TrainingConfig) -> None:
    """Before hours of training.

    Raises:
        TrainingConfigError: A model is named that is none, or is what is trained anyway.
    """
    unknown = [name for name in config.comparison.models if name not in COMPARED]
    if unknown:
        reason = f"[comparison].models: unknown model {unknown[0]!r} (known: {', '.join(COMPARED)})"
        raise TrainingConfigError(reason)
    if config.space_time.bidirectional_time and SPACE_TIME_2 in config.comparison.models:
        reason = f"[comparison].models: with [space_time].bidirectional_time {SPACE_TIME_2!r} is trained anyway; leave it out"
        raise TrainingConfigError(reason)


def train_compared(
    config: TrainingConfig,
    space_time_1: SpaceTimeNet,
    cases: tuple[list[Case], list[Case], list[Case]],
    *,
    on_progress: Progress,
) -> None:
    """Leaves the epochs of each model below the cache, for `dicom-node evaluate`.

    Space-Time2 starts from all weights of Space-Time1, the baselines from its encoder: the models differ in the
    detector and in what it looks at, not in how well slices are seen.

    Args:
        config: Its `comparison` says which models, and how many steps.
        space_time_1: Trained.
        cases: Phantoms, real, validation.
        on_progress: Told after each step.
    """
    phantoms, real, validation = cases
    start = save_start(config.cache, space_time_1)
    steps = replace(config.space_time, steps=config.comparison.steps, start_share=0.0)
    for name in config.comparison.models:
        if name == SPACE_TIME_2:
            both_ways = replace(config, space_time=replace(steps, bidirectional_time=True))
            weights = space_time_1.state_dict()
            train_space_time(both_ways, phantoms, real, validation, start=weights, on_progress=on_progress)
        else:
            training = BaselineTraining(
                kind=BaselineKind(name), config=replace(config, space_time=steps), encoder_from=start
            )
            train_baseline(training, phantoms, real, validation, on_progress=on_progress)
