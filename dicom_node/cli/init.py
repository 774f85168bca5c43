"""The command `init`."""

from typing import Annotated

import typer

from config.load import DEFAULT_PATH, configuration_file, settings_from_text
from dicom_node.cli.configuring import print_lines
from dicom_node.cli.context import configuration_path


def init(
    context: typer.Context,
    ae_title: Annotated[str, typer.Option(prompt="AE title of this node")] = "DICOMNODE",
    data_dir: Annotated[str, typer.Option(prompt="Folder for images, index and results")] = "/var/lib/dicom-node",
    listen: Annotated[str, typer.Option(prompt="Address and port to listen on")] = "0.0.0.0:11112",
    pacs: Annotated[str, typer.Option(prompt="AE title of the PACS that gets the results")] = "PACS",
    pacs_address: Annotated[str, typer.Option(prompt="Its address and port, HOST:PORT")] = "",
) -> None:
    """Write a configuration file that works: six questions, or all but the last as options.

    The PACS may send studies and gets the results; `dicom-node ae` and the pages let others in. The last question is
    whether to serve the pages; where all options are given nothing is asked, and they stay off. Every problem is reported, and nothing is written then; a file that is there is never overwritten.
    """
    from dicom_node.configuring.blocks import block_from
    from dicom_node.configuring.file import replace_text

    path = configuration_file(configuration_path(context)) or DEFAULT_PATH
    if path.exists():
        problem = f"{path} is there already: `dicom-node ae add` and an editor change it"
        raise typer.BadParameter(problem, param_hint="--config")
    host, port = _split(listen, "--listen")
    pacs_host, pacs_port = _split(pacs_address, "--pacs-address")
    peer = {"name": "pacs", "ae_title": pacs, "host": pacs_host, "port": pacs_port}
    peer |= {"may_send": True, "receives_results": True}
    pages = _are_pages_wanted(context)
    text = "# Every key is explained in docs/configuration.md; what is not written keeps its default.\n\n"
    text += _table("node", {"ae_title": ae_title, "data_dir": data_dir}) + "\n"
    text += _table("listen", {"host": host, "port": port}) + "\n"
    text += _table("web", {"enabled": True, "login": True}) + "\n" if pages else ""
    text += block_from("peers", peer)
    settings_from_text(text, name=str(path))
    replace_text(path, text)
    print_lines([f"{path} written; next: dicom-node check, then start the node", _to_type(ae_title, port)])
    if pages:
        print_lines(["for the pages, once it runs: dicom-node account add NAME --role administrator"])


def _are_pages_wanted(context: typer.Context) -> bool:
    """The last question, for who was asked the others."""
    sources = {context.get_parameter_source(name) for name in context.params}
    is_asked = any(source is not None and source.name == "PROMPT" for source in sources)
    return is_asked and typer.confirm("Serve pages, with a login, to browsers on this machine", default=True)


def _to_type(ae_title: str, port: int) -> str:
    return f"type into the PACS: AE title {ae_title}, port {port}, the address of this machine"


def _split(address: str, option: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    if host and port.isdecimal():
        return host.removeprefix("[").removesuffix("]"), int(port)
    problem = f"{address}: write HOST:PORT" if address else "write HOST:PORT"
    raise typer.BadParameter(problem, param_hint=option)


def _table(name: str, values: dict[str, str | int | bool]) -> str:
    import tomlkit

    return f"[{name}]\n{tomlkit.dumps(values)}"
