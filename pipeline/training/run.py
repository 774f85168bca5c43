"""A whole training run: data, both networks, operating points, model pack. Read this first."""

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

from pipeline.device import limit_threads
from pipeline.importers.splits import Split
from pipeline.model_input import InputContract
from pipeline.space_time import SpaceTimeNet
from pipeline.training.beforehand import check_device, check_starts
from pipeline.training.case_figures import CaseFigures, evaluate_case
from pipeline.training.cases import DESCRIPTION, Case, load_cases
from pipeline.training.compared import check_compared, train_compared
from pipeline.training.config import FIRST_TRAINING_SEED, FIRST_VALIDATION_SEED, TrainingConfig, TrainingConfigError
from pipeline.training.fingerprint import fingerprint
from pipeline.training.model_card import model_card
from pipeline.training.operating_points import OperatingPoints, choose_operating_points
from pipeline.training.pack_writer import INTENDED_USE, PackDescription, write_pack
from pipeline.training.phantom_cases import RENDERING, render_phantom_case
from pipeline.training.real_data import real_cases_folder, real_folders_fingerprint, render_real_cases
from pipeline.training.resuming import TrainingDataFingerprints, go_on_or_refuse
from pipeline.training.site_cases import load_site_cases, site_case_names
from pipeline.training.train_lungs import load_lung_slices, train_lungs
from pipeline.training.train_space_time import train_space_time, weights_of_pack
from pipeline.training.what_was_seen import WhatWasSeen, training_data, what_was_seen

Progress = Callable[[str, float], None]

VALIDATED_PRIORS = (0, 1)
"""Every validation case is read alone, then with its newest earlier study."""

SITE_USE = "Research and demonstration. Trained on lesions of a site's own stores; not for diagnostic use."


def train(config: TrainingConfig, *, out: Path, on_progress: Progress) -> Path:
    """A model pack in `out`; a run that stopped goes on from what its cache holds.

    Args:
        config: From `load_training_config`.
        out: Folder of the pack; made if it is not there.
        on_progress: Called with what is being done and how far it is, 0..1.

    Returns:
        `out`, ready for `load_model_pack`.

    Raises:
        TrainingCacheError: The cache holds trainings of another configuration or other data.
        TrainingConfigError: The configuration names what is not there, or what teaches nothing.
        ModelPackError: A pack to start from is damaged.
        StoreError: There is no store where the configuration names one, or it is damaged, or lacks the terms of a study.
    """
    limit_threads(config.threads)
    check_compared(config)
    check_device(config)
    training_data(config)
    contract = InputContract()
    data = data_fingerprints(config, contract)
    go_on_or_refuse(config, data)
    check_starts(config)
    site = load_store_cases(config, contract, on_progress=on_progress)
    seen = what_was_seen(config, site)
    render_phantoms(config, contract, on_progress=on_progress)
    painted = real_cases_folder(config, data.real_folders, contract)
    render_real_cases(config.data, painted, contract)
    phantoms = load_cases(config.cache / "train")
    real = load_cases(painted) + site
    phantom_slices, real_slices = load_lung_slices(config.cache / "train"), load_lung_slices(painted)
    lung_net = train_lungs(config, phantom_slices, real_slices, on_progress=on_progress)
    validation = load_cases(config.cache / "validation")
    start = weights_of_pack(config.space_time.start_from)
    space_time_net = train_space_time(config, phantoms, real, validation, on_progress=on_progress, start=start)
    train_compared(config, space_time_net, (phantoms, real, validation), on_progress=on_progress)
    points = validate(space_time_net, validation, on_progress=on_progress)
    card = model_card(config, seen, points, len(validation))
    description = describe(config, seen, points, card=card)
    return write_pack(out, lung_net, space_time_net, description)


def data_fingerprints(config: TrainingConfig, contract: InputContract) -> TrainingDataFingerprints:
    """Of what will be trained on, from the sources alone; phantoms that are in the cache are trained on too.

    Raises:
        StoreError: There is no store where the configuration names one, or it is damaged.
        TrainingConfigError: A folder of real CT is not there.
    """
    phantoms = {path.parent.name for path in (config.cache / "train").glob(f"*/{DESCRIPTION}")}
    phantoms |= {folder.name for _, folder in _phantoms(config)}
    names = [site_case_names(store.path, Split.TRAIN, contract) for store in config.data.stores]
    return TrainingDataFingerprints(
        phantoms=fingerprint([RENDERING, contract, sorted(phantoms)]),
        real_folders=real_folders_fingerprint(config.data.real_folders),
        stores=fingerprint(names),
    )


def render_phantoms(config: TrainingConfig, contract: InputContract, *, on_progress: Progress) -> None:
    """Phantoms for training and validation into the cache; what is there stays."""
    phantoms = _phantoms(config)
    phantoms += _seeds(FIRST_VALIDATION_SEED, config.data.validation_patients, config.cache / "validation")
    # A fork would inherit torch's threads in an unknown state.
    context = get_context("spawn")
    with ProcessPoolExecutor(
        config.data.processes, mp_context=context, initializer=limit_threads, initargs=(1,)
    ) as pool:
        jobs = [pool.submit(render_phantom_case, seed, folder, contract) for seed, folder in phantoms]
        for done, job in enumerate(as_completed(jobs), start=1):
            job.result()
            on_progress("rendering phantoms", done / len(jobs))


def _phantoms(config: TrainingConfig) -> list[tuple[int, Path]]:
    """Seeds of the patients that are trained on, each with its folder."""
    return _seeds(FIRST_TRAINING_SEED, config.data.phantom_patients, config.cache / "train")


def _seeds(first: int, count: int, folder: Path) -> list[tuple[int, Path]]:
    return [(seed, folder / f"phantom-{seed}") for seed in range(first, first + count)]


def load_store_cases(config: TrainingConfig, contract: InputContract, *, on_progress: Progress) -> list[Case]:
    """Patients of the training split of every store; their validation and test splits stay unseen.

    Raises:
        StoreError: There is no store, or it is damaged.
        TrainingConfigError: A store holds nothing to train on: card and pack would name it all the same.
    """
    cases: list[Case] = []
    for number, store in enumerate(config.data.stores):
        on_progress("reading stores", number / len(config.data.stores))
        found = load_site_cases(store.path, Split.TRAIN, config.cache / "stores", contract)
        if not found:
            reason = (
                f"[[data.stores]].path: {store.path} teaches nothing: of no patient of its training split is anything known "
                "but a label. Import lesion masks or slice labels, or leave the store out."
            )
            raise TrainingConfigError(reason)
        cases += found
    return cases


def validate(net: SpaceTimeNet, cases: Sequence[Case], *, on_progress: Progress) -> OperatingPoints:
    """Operating points of a network, from cases it was not trained on."""
    readings: list[list[CaseFigures]] = []
    for priors in VALIDATED_PRIORS:
        on_progress("validating", len(readings) / len(VALIDATED_PRIORS))
        readings.append([evaluate_case(net, case, priors) for case in cases])
    return choose_operating_points(readings)


def describe(config: TrainingConfig, seen: WhatWasSeen, points: OperatingPoints, *, card: str) -> PackDescription:
    """What the pack says besides its weights."""
    return PackDescription(
        name=config.name,
        version=config.version,
        contract=InputContract(),
        thresholds=points.thresholds,
        patient_score=points.patient.weights,
        calibration=points.patient.calibration,
        operating_points=points.patient.operating_points,
        training_data=seen.data,
        synthetic_training_only=seen.synthetic_lesions_only,
        intended_use=INTENDED_USE if seen.synthetic_lesions_only else SITE_USE,
        model_card=card,
        licence=seen.licence,
    )
