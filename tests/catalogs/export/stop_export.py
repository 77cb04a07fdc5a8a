"""Run the command and stop it at one moment of an export, so that a test can kill it there.

``python stop_export.py MOMENT FOLDER WORD...`` is ``ubspark WORD...``; at the moment it writes the
id of the process that waits to ``FOLDER/ready`` and goes on when there is ``FOLDER/go``.
"""

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ubspark.catalogs.export.shards as shards
import ubspark.catalogs.hats.writer as writer
import ubspark.runtime.folders as folders
import ubspark.runtime.outputs as outputs
from ubspark.catalogs.export.staging import StagingFolder
from ubspark.cli import main

#: Items that are done when the write stops.
N_DONE = 3


def wait(folder: Path) -> None:
    part = folder / f"part-{os.getpid()}"
    part.write_text(str(os.getpid()))
    part.rename(folder / "ready")
    while not (folder / "go").exists():
        time.sleep(0.05)


@dataclass
class WaitingWrite:
    """Waits when some items are done, its own file open under its passing name."""

    write: Any
    folder: Path

    def __call__(self, item: Any, staging: StagingFolder) -> Any:
        if len(staging.find_done()) >= N_DONE:
            with staging.writing("half.parquet") as part:
                part.write_bytes(b"PAR1")
                wait(self.folder)
                part.write_bytes(b"")
        return self.write(item, staging)


def stop_at(moment: str, folder: Path) -> None:
    def before(module: Any, name: str) -> None:
        function = getattr(module, name)

        def later(*args: Any, **options: Any) -> Any:
            wait(folder)
            return function(*args, **options)

        setattr(module, name, later)

    modules: tuple[Any, ...] = (writer, shards)
    if moment == "write":
        for module in modules:
            run = module.run_items
            # This file is a script: its classes travel to the workers by value.
            module.run_items = lambda spark, items, write, staging, run=run: run(
                spark, items, WaitingWrite(write, folder), staging
            )
    elif moment == "seal":
        before(outputs, "publish_folder")
    elif moment == "manifest":
        before(folders, "write_manifest")
    elif moment == "rename":
        before(StagingFolder, "publish")
    elif moment == "clear":
        before(StagingFolder, "clear")


if __name__ == "__main__":
    stop_at(sys.argv[1], Path(sys.argv[2]))
    del sys.argv[1:3]
    main()
