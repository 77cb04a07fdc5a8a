"""Write k8s/jobs and k8s/schedules anew from their job files and conf/k8s.yaml."""

import sys
from pathlib import Path

from ubspark.cli.kubernetes import dump_manifest
from ubspark.kubernetes import build_application, build_schedule, load_profile
from ubspark.runtime.config import load_job

ROOT = Path(__file__).parents[1]
#: When what is scheduled runs, UTC: after the night in Chile.
CRON = "0 14 * * *"


def render(file: Path) -> str:
    """Return the manifest of a job file under k8s/."""
    profile = load_profile(ROOT / "conf" / "k8s.yaml")
    application = build_application(load_job(file), profile, name=file.stem)
    if file.parts[-3] == "schedules":
        application = build_schedule(application, CRON)
    return dump_manifest(application)


def list_files() -> list[Path]:
    """Return the job files."""
    return sorted((ROOT / "k8s").glob("*/files/*.yaml"))


if __name__ == "__main__":
    for file in list_files():
        (file.parents[1] / file.name).write_text(render(file), encoding="utf-8")
        sys.stderr.write(f"{file.parents[1] / file.name}\n")
