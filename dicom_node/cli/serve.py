"""Commands that run until they are told to stop: run, listen, work."""

import typer

from dicom_node.cli.context import configuration_in_use, configuration_path, settings_of
from dicom_node.memory import leave_out_what_stays, loading, share_one_heap


def run(context: typer.Context) -> None:
    """Run the whole node on this machine.

    Listener, worker and, where the configuration says so, the pages are processes of their own; one that dies is started
    again.
    """
    from dicom_node.log import setup_logging
    from dicom_node.node import run_node
    from dicom_node.service import StopSignal, notify_ready

    settings = settings_of(context)
    setup_logging(settings.log)
    parts = ("listen", "work", "web") if settings.web.enabled else ("listen", "work")
    with StopSignal() as stop:
        run_node(configuration_path(context), parts, stop=stop, on_ready=notify_ready)


def listen(context: typer.Context) -> None:
    """Receive studies; never loads the pipeline."""
    with loading():
        from dicom_node.listen.server import run_listener
        from dicom_node.log import setup_logging
        from dicom_node.service import StopSignal, notify_ready
        from dicom_node.settings_file import SettingsFile
        from storage.failpoints import arm_from_environment

    share_one_heap()
    file = SettingsFile.opened(configuration_in_use(context), "listen")
    setup_logging(file.settings.log)
    arm_from_environment()
    with StopSignal() as stop:

        def say_ready(port: int) -> None:
            leave_out_what_stays()
            notify_ready(f"listening on port {port}")

        run_listener(file.settings, stop=stop, on_ready=say_ready, file=file)


def work(context: typer.Context) -> None:
    """Analyse complete studies and deliver their results."""
    with loading():
        from dicom_node.log import setup_logging
        from dicom_node.service import StopSignal, notify_ready
        from dicom_node.settings_file import SettingsFile
        from dicom_node.work import run_worker
        from storage.failpoints import arm_from_environment

    share_one_heap()
    file = SettingsFile.opened(configuration_in_use(context), "work")
    setup_logging(file.settings.log)
    arm_from_environment()
    with StopSignal() as stop:
        run_worker(file, stop=stop, on_ready=lambda: notify_ready("working"))


def web(context: typer.Context) -> None:
    """Serve the pages for people; never loads the networks."""
    with loading():
        from dicom_node.log import setup_logging
        from dicom_node.service import StopSignal, notify_ready
        from dicom_node.settings_file import SettingsFile
        from dicom_node.web.server import run_web

    share_one_heap()
    file = SettingsFile.opened(configuration_in_use(context), "web")
    setup_logging(file.settings.log)
    with StopSignal() as stop:
        run_web(file, stop=stop, on_ready=lambda address: notify_ready(address))
