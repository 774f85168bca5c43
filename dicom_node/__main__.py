"""`python -m dicom_node`: the command line."""

from dicom_node.cli import main

main()
