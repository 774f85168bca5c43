"""What axe-core finds wrong with a page (github.com/dequelabs/axe-core; WCAG 2.2, levels A and AA)."""

from collections.abc import Iterator
from importlib import resources

from playwright.sync_api import Page

_GRAVE = frozenset({"serious", "critical"})
_RUN = "axe.run(document, {resultTypes: ['violations']})"


def grave_faults(page: Page) -> Iterator[str]:
    """Each serious or critical fault of the page as it stands, with the first elements that have it."""
    if not page.evaluate("typeof axe === 'object'"):
        # Not as a script element: the pages' content security policy refuses those.
        page.evaluate(resources.files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8"))
    for fault in page.evaluate(_RUN)["violations"]:
        if fault["impact"] in _GRAVE:
            where = [node["html"][:200] for node in fault["nodes"][:3]]
            yield f"{fault['id']} ({fault['impact']}): {fault['help']}: {where}"
