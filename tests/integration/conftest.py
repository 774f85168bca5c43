"""What the integration tests share: a phantom patient that is rendered once."""

import pytest

from builders.small_patient import SmallPatient, write_small_patient


@pytest.fixture(scope="session")
def small_patient(tmp_path_factory: pytest.TempPathFactory) -> SmallPatient:
    """Two small studies of one phantom patient."""
    return write_small_patient(tmp_path_factory.mktemp("small-patient"))
