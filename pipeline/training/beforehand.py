"""What a machine or a pack to start from cannot give, told before hours of training."""

from pathlib import Path

from pipeline.device import NoSuchDeviceError, choose_device
from pipeline.lungs_net import NEIGHBOUR_MM, LungNet
from pipeline.model_pack import load_model_pack
from pipeline.space_time import SpaceTimeNet
from pipeline.training.config import TrainingConfig, TrainingConfigError
from pipeline.training.train_lungs import take_over
from pipeline.training.train_space_time import TrainingStartError, network_config, start_from_weights, weights_of_pack


def check_device(config: TrainingConfig) -> None:
    """The networks can be trained where the configuration says.

    Raises:
        TrainingConfigError: There is no such device.
    """
    try:
        choose_device(config.device)
    except NoSuchDeviceError as exc:
        reason = f'device: this machine has no "{config.device}"; set it to "auto" or "cpu"'
        raise TrainingConfigError(reason) from exc


def check_starts(config: TrainingConfig) -> None:
    """The weights to start from fit the networks that are asked for.

    Raises:
        ModelPackError: A pack is damaged.
        TrainingConfigError: They do not fit.
    """
    checks = {
        "lungs": (config.lungs.start_from, _check_lungs),
        "space_time": (config.space_time.start_from, _check_net),
    }
    for table, (folder, check) in checks.items():
        try:
            if folder is not None:
                check(config, folder)
        except TrainingStartError as exc:
            reason = f"[{table}].start_from: {folder} does not do: {exc.reason}"
            raise TrainingConfigError(reason) from exc


def _check_lungs(_config: TrainingConfig, folder: Path) -> None:
    take_over(LungNet(neighbour_mm=NEIGHBOUR_MM), load_model_pack(folder).load_lung_net("cpu"))


def _check_net(config: TrainingConfig, folder: Path) -> None:
    start_from_weights(SpaceTimeNet(network_config(config.space_time)), weights_of_pack(folder) or {})
