"""The listener: receives instances by C-STORE, nothing else. It is run by `dicom_node.listen.server.run_listener`."""
