"""`python -m dicom_node.listen [CONFIG]`: the listener alone, without the command line."""

import sys
from pathlib import Path

from config import load_settings
from dicom_node.listen import run_listener
from dicom_node.log import setup_logging
from dicom_node.service import StopSignal, notify_ready


def main() -> None:
    """Listen until SIGTERM or SIGINT."""
    settings = load_settings(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
    setup_logging(settings.log)
    with StopSignal() as stop:
        run_listener(settings, stop=stop, on_ready=lambda port: notify_ready(f"listening on port {port}"))


if __name__ == "__main__":
    main()
