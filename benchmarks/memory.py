"""Memory of a process and all its descendants on Linux."""

from pathlib import Path

PARENT, SESSION = 1, 3
"""Positions in /proc/N/stat, counted behind the program's name, which may contain spaces."""


def pss_mb(leader: int, processes: Path = Path("/proc")) -> float | None:
    """Proportional set size in megabytes: a page that n processes share counts 1/n in each.

    Includes all processes of the leader's session and their descendants: a child may have started its own
    session, or may have lost its parent.

    Args:
        leader: process id of the session's leader.

    Returns:
        None where there is no /proc.
    """
    parents: dict[int, int] = {}
    found: set[int] = set()
    for process in processes.glob("[0-9]*"):
        try:
            stat = (process / "stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):  # it has just ended
            continue
        parents[int(process.name)] = int(stat[PARENT])
        if int(stat[SESSION]) == leader:
            found.add(int(process.name))
    if leader not in parents:
        return None
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return sum(_pss_kilobytes(processes / str(process)) for process in found) * 1024 / 1e6


def _pss_kilobytes(process: Path) -> int:
    try:
        lines = (process / "smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)
