"""How long the pages take over an index of many studies.

    python tests/benchmarks/pages.py --studies 100000

Fills an index in a temporary folder, serves the pages over it in this process, and asks for each page many times, logged in.
The last line is one JSON object; times are milliseconds from the request to the whole answer, without the network.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
import warnings
from pathlib import Path

import index_filling

warnings.filterwarnings("ignore", message="Using .httpx.")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from starlette.testclient import TestClient  # noqa: E402  # after the path of the builders

from builders.site import pages_in  # noqa: E402


def main() -> None:
    """Fill, ask, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=20)
    options = parser.parse_args()
    # The pages look at one instance of each study they show; more of them only take longer to fill.
    index_filling.INSTANCES_PER_STUDY = 1
    with tempfile.TemporaryDirectory() as folder:
        index_filling.fill(f"sqlite:///{folder}/index.sqlite", studies=options.studies)
        with pages_in(Path(folder)) as pages:
            report = measure(pages.logged_in("ann"), studies=options.studies, repeats=options.repeats)
    sys.stdout.write(json.dumps(report) + "\n")


def measure(browser: TestClient, *, studies: int, repeats: int) -> dict[str, object]:
    """Figures of every page."""
    following = browser.get("/studies", params={"state": "delivered"}).text.split('<nav class="pager"')[1]
    second = following.split('href="')[1].split('"')[0].replace("&amp;", "&")
    addresses = {
        "this node": "/",
        "studies": "/studies",
        "studies, second page": second,
        "studies, one state": "/studies?state=delivered",
        "search by patient ID": "/studies?text=P00012345",
        "search by name": "/studies?text=doe",
        "search for what is nowhere": "/studies?text=zzzz",
        "a study": f"/studies/{index_filling.study_uid(studies // 2)}",
        "AE titles": "/peers",
        "settings": "/settings",
        "health": "/components",
    }
    return {
        "studies": studies,
        "pages": [{"page": name, **times(browser, address, repeats=repeats)} for name, address in addresses.items()],
    }


def times(browser: TestClient, address: str, *, repeats: int) -> dict[str, object]:
    """Median and longest of one page."""
    taken = []
    for _ in range(repeats + 1):
        started = time.perf_counter()
        answer = browser.get(address)
        taken.append((time.perf_counter() - started) * 1000)
        if answer.status_code != 200:
            sys.exit(f"{address}: {answer.status_code}")
    return {"median_ms": round(statistics.median(taken[1:]), 1), "longest_ms": round(max(taken[1:]), 1)}


if __name__ == "__main__":
    main()
