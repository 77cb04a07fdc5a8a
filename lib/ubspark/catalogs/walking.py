"""Looking through folders: links are followed, and no folder is looked at twice."""

import os
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path

__all__ = ["find_below"]


def find_below(roots: Iterable[Path], name: str) -> Iterator[Path]:
    """Yield every file or folder of a name below some folders, also behind links to folders.

    What can be reached in several ways, such as round a loop of links, is found once, under its
    own path where that lies below a root. A folder that cannot be read shows nothing.
    """
    waiting = deque(roots)
    linked: deque[Path] = deque()
    seen: set[tuple[int, int]] = set()
    while waiting or linked:
        # Links last, so that a folder keeps its own path.
        folder = waiting.popleft() if waiting else linked.popleft()
        try:
            facts = folder.stat()
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:
            continue
        if (facts.st_dev, facts.st_ino) in seen:
            continue
        seen.add((facts.st_dev, facts.st_ino))
        for entry in entries:
            if entry.name == name:
                yield Path(entry.path)
            elif entry.is_dir():
                (linked if entry.is_symlink() else waiting).append(Path(entry.path))
