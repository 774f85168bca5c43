"""Commands that run until they are told to stop: run, listen, work."""

import typer

from dicom_node.cli.context import configuration_path, settings_of


def run(context: typer.Context) -> None:
    """Run the whole node on this machine.

    Listener and worker are processes of their own; one that dies is started again.
    """
    from dicom_node.log import setup_logging
    from dicom_node.node import run_node
    from dicom_node.service import StopSignal, notify_ready

    setup_logging(settings_of(context).log)
    with StopSignal() as stop:
        run_node(configuration_path(context), stop=stop, on_ready=notify_ready)


def listen(context: typer.Context) -> None:
    """Receive studies; never loads the pipeline."""
    from dicom_node.listen import run_listener
    from dicom_node.log import setup_logging
    from dicom_node.service import StopSignal, notify_ready
    from storage.failpoints import arm_from_environment

    settings = settings_of(context)
    setup_logging(settings.log)
    arm_from_environment()
    with StopSignal() as stop:
        run_listener(settings, stop=stop, on_ready=lambda port: notify_ready(f"listening on port {port}"))


def work(context: typer.Context) -> None:
    """Analyse complete studies and deliver their results."""
    from dicom_node.log import setup_logging
    from dicom_node.service import StopSignal, notify_ready
    from dicom_node.work import run_worker
    from storage.failpoints import arm_from_environment

    settings = settings_of(context)
    setup_logging(settings.log)
    arm_from_environment()
    with StopSignal() as stop:
        run_worker(settings, stop=stop, on_ready=lambda: notify_ready("working"))
