"""The command `support-bundle`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from config.errors import ConfigError
from dicom_node.cli.context import settings_of
from dicom_node.cli.output import console, print_json, silence_logs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dicom_node.support.parts import BundlePart


def support_bundle(
    context: typer.Context,
    to: Annotated[Path | None, typer.Option(help="The archive to write. Default: a new one in this folder.")] = None,
    log: Annotated[
        list[Path] | None, typer.Option(help="A file with the node's log, where it is not the journal.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Collect logs, configuration without secrets and versions for whoever helps; never patient data.

    Works when the node is down, its index damaged or its configuration wrong.
    """
    from dicom_node.clock import SystemClock
    from dicom_node.support.bundle import write_bundle

    silence_logs()
    now = SystemClock().now()
    path = to or Path(f"dicom-node-support-{now:%Y%m%dT%H%M%SZ}.tar.gz")
    written = write_bundle(path, _parts(context, log or []), at=now)
    if json:
        print_json(written)
        return
    for file in written.files:
        console().print(f"{file.name}: {file.what}", soft_wrap=True, markup=False)
    console().print(f"written: {written.path}", soft_wrap=True, markup=False)


def _parts(context: typer.Context, logs: list[Path]) -> "Iterator[BundlePart]":
    from dicom_node.support.parts import parts_of, parts_without_settings

    try:
        settings = settings_of(context)
    except ConfigError as error:
        return parts_without_settings(error, logs)
    return parts_of(settings, logs)
