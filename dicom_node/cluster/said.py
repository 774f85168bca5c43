"""Words of the driver on attempts, as `dicom_node.cluster.driver` says where they are."""

BACK = "back"
REFUSED = "refused-"
"""Before the exit code of `dicom_node.disk_refusals`."""
