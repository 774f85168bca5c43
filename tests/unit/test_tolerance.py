"""pydicom is tolerant within, and as before afterwards, also with several threads."""

import threading
import warnings

import pytest
from pydicom import config
from pydicom.dataset import Dataset

from pipeline.tolerance import tolerant_pydicom


def test_nothing_is_said_within_and_all_afterwards() -> None:
    """A value that pydicom complains about."""
    with tolerant_pydicom():
        Dataset().PatientBirthDate = "in spring"
    with pytest.warns(UserWarning, match="Invalid value"):
        Dataset().PatientBirthDate = "in spring"


def test_threads_that_overlap_put_everything_back() -> None:
    """The second enters before the first leaves, and leaves after it; in between it is still tolerant."""
    before = (config.settings.reading_validation_mode, config.settings.writing_validation_mode, list(warnings.filters))
    second_is_in, first_is_out = threading.Event(), threading.Event()
    seen: list[int] = []

    def second() -> None:
        with tolerant_pydicom():
            second_is_in.set()
            first_is_out.wait(10)
            seen.append(config.settings.reading_validation_mode)

    with tolerant_pydicom():
        thread = threading.Thread(target=second)
        thread.start()
        assert second_is_in.wait(10)
    first_is_out.set()
    thread.join()

    assert seen == [config.IGNORE]
    assert before == (
        config.settings.reading_validation_mode,
        config.settings.writing_validation_mode,
        list(warnings.filters),
    )


def test_an_error_within_puts_everything_back() -> None:
    """As every context manager does."""
    before = config.settings.reading_validation_mode
    with pytest.raises(ZeroDivisionError), tolerant_pydicom():
        _ = 1 / 0
    assert config.settings.reading_validation_mode == before
