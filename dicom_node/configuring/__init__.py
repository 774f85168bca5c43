"""Edits of the configuration file: checked before they are written, kept in a history."""

from dicom_node.configuring.editing import Configuration, Edit
from dicom_node.configuring.history import ConfigVersion

__all__ = ["ConfigVersion", "Configuration", "Edit"]
