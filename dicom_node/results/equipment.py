"""The node as equipment that contributed to a result (PS3.3 C.12.1.1, Contributing Equipment Sequence)."""

from typing import Final

from highdicom import ContributingEquipment

from dicom_node.results import codes
from dicom_node.results.context import ResultContext
from dicom_node.results.encode import local_moment, long_string
from dicom_node.results.uids import algorithm_uid
from pipeline.findings import Algorithm

LONGEST_DESCRIPTION: Final = 1024
"""VR ST (PS3.5 6.2)."""


def processing_equipment(
    algorithm: Algorithm, context: ResultContext, *, timezone_offset: str
) -> ContributingEquipment:
    """What made the result: the algorithm, with a Device UID of its own for each version and weights (IHE AIR)."""
    moment = local_moment(context, timezone_offset)
    equipment = ContributingEquipment(
        manufacturer=context.manufacturer,
        purpose_of_reference=codes.PROCESSING_EQUIPMENT,
        manufacturer_model_name=long_string(algorithm.name),
        software_versions=[long_string(algorithm.version), context.software_version],
        device_serial_number=context.device_serial_number,
        institution_name=context.institution or None,
        contribution_datetime=f"{moment:%Y%m%d%H%M%S.%f}",
        contribution_description=f"Lungs and lesions found; weights sha256 {algorithm.weights_sha256}"[
            :LONGEST_DESCRIPTION
        ],
    )
    equipment.DeviceUID = algorithm_uid(algorithm)
    return equipment
