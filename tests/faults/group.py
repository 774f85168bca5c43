"""A hundred studies through two machines, PostgreSQL and a Ray cluster of three, while their processes are killed.

    python tests/faults/group.py [--studies 100] [--rounds 2] [--seed 7] [--report docs/group-run.md]

Each round kills a listener, a machine of the Ray cluster, an actor and the active work once. It fails unless every study is
delivered once and nothing is lost. Needs the extra `ray` and PostgreSQL.
"""

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from builders.machine_group import KINDS, machine_group, run_with_kills

REPORT = """# A hundred studies, and everything killed meanwhile

`{command}`, on one machine with two cores. Two nodes (each a listener and a
`work`, one of which is active) share one folder and one index on PostgreSQL; a Ray cluster of a head and three machines
analyses with the weights of the package. Half of each study goes to each listener at the same time. What is killed gets SIGKILL
and is started again as systemd would.

```
{log}
```

Images are found with the bytes that were sent, each study has one result, and the PACS has every object of it and no other. An
object that the PACS had taken just before its sender was killed would come once more, with the same UID and the same bytes.
"""


def main() -> None:
    """Run, check, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--report", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, machine_group(Path(folder)) as group:
        try:
            run_with_kills(group, studies=arguments.studies, kills=KINDS * arguments.rounds, seed=arguments.seed)
        finally:
            sys.stdout.write("\n".join([*group.log, ""]))
    if arguments.report:
        command = f"python tests/faults/group.py --studies {arguments.studies} --rounds {arguments.rounds}"
        arguments.report.write_text(REPORT.format(command=command, log="\n".join(group.log)), encoding="utf-8")


if __name__ == "__main__":
    main()
