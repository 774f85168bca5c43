"""Small packages with real metadata, as an installer would leave them."""

from collections.abc import Mapping
from pathlib import Path


def install_package(
    folder: Path, name: str, sources: Mapping[str, str], *, version: str = "2.1", entry_points: str
) -> None:
    """Puts modules and their dist-info into a folder of `sys.path`.

    Args:
        folder: On `sys.path`.
        name: Of the package.
        sources: Text by name of module.
        version: Of the package.
        entry_points: Text of `entry_points.txt` (packaging.python.org, "Entry points specification").
    """
    folder.mkdir(parents=True, exist_ok=True)
    for module, text in sources.items():
        (folder / f"{module}.py").write_text(text)
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "entry_points.txt").write_text(entry_points)
    (info / "RECORD").write_text("")
