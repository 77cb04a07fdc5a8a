"""The commands ``ubspark k8s …``: a job file and a profile, on a cluster."""

import sys
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from ubspark.cli.jobs import JobFile, Json, Setting
from ubspark.cli.output import print_json
from ubspark.errors import InputMissingError, ParameterError
from ubspark.kubernetes import (
    Profile,
    build_application,
    build_schedule,
    build_submission,
    lifecycle,
    load_profile,
    name_submission,
    validate_name,
)
from ubspark.kubernetes.cluster import Cluster
from ubspark.runtime.config import JobConfig, load_job

__all__ = ["app"]

app = typer.Typer(help="Run jobs on Kubernetes.", no_args_is_help=True)


#: The operator adds a moment, in nanoseconds, to the name of a schedule.
_LONGEST_NAME = 100


def _check_name(name: str) -> str:
    return validate_name(name, longest=_LONGEST_NAME)


class Way(StrEnum):
    """With the operator, or without."""

    SPARK_SUBMIT = "spark-submit"
    SPARK_APPLICATION = "sparkapplication"


ProfileFile = Annotated[
    Path,
    typer.Option(
        "--profile", metavar="FILE", envvar="UBSPARK_K8S_PROFILE", help="Profile of the cluster."
    ),
]
As = Annotated[Way, typer.Option("--as", help="By the operator or by spark-submit.")]
Name = Annotated[str | None, typer.Option(help="Name of the submission; made from the job.")]
Submitted = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help="Name of the submission, or of a schedule.",
        callback=_check_name,
    ),
]


@app.command()
def render(
    file: JobFile,
    profile: ProfileFile,
    way: As = Way.SPARK_APPLICATION,
    name: Name = None,
    schedule: Annotated[
        str | None, typer.Option(metavar="CRON", help="Run it by the clock (UTC): '0 9 * * *'.")
    ] = None,
    settings: Setting = None,
) -> None:
    """Print the manifest, or the spark-submit script, of a job.

    Example: ubspark k8s render job.yaml --profile k8s.yaml
    """
    config, shared = _load(file, profile, settings)
    application = build_application(config, shared, name=name or name_submission(config))
    if way is Way.SPARK_APPLICATION:
        manifest = application if schedule is None else build_schedule(application, schedule)
        sys.stdout.write(dump_manifest(manifest))
        return
    if schedule is not None:
        msg = "`--schedule` needs the operator: `--as sparkapplication`."
        raise ParameterError(msg)
    master = shared.master or Cluster(shared.namespace).find_master()
    sys.stdout.write(build_submission(application).to_script(master))


@app.command()
def submit(
    file: JobFile,
    profile: ProfileFile,
    way: As = Way.SPARK_SUBMIT,
    name: Name = None,
    settings: Setting = None,
    json: Json = False,
) -> None:
    """Submit a job, unless it is on its way already.

    Example: ubspark k8s submit job.yaml --profile k8s.yaml
    """
    config, shared = _load(file, profile, settings)
    name = name or name_submission(config)
    made = lifecycle.submit(config, shared, name=name, way=way.value)
    if json:
        print_json(vars(made))
        return
    said = f"On its way already ({made.phase})" if made.already else "Submitted"
    sys.stderr.write(f"{said}: {name}\n")


@app.command()
def status(name: Submitted, profile: ProfileFile, json: Json = False) -> None:
    """Say where a submission is, and why it waits or failed.

    Example: ubspark k8s status crossmatch-1f0c22a9be --profile k8s.yaml
    """
    found = lifecycle.find_status(Cluster(load_profile(profile).namespace), name)
    if json:
        print_json(vars(found))
        return
    sys.stdout.write(f"{name}: {found.phase}, executors {found.n_executors}\n")
    if found.reason:
        sys.stdout.write(f"{found.reason}\n")


@app.command()
def logs(
    name: Submitted,
    profile: ProfileFile,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until it ends.")] = False,
) -> None:
    """Print the log of a submission's driver.

    Example: ubspark k8s logs crossmatch-1f0c22a9be --profile k8s.yaml
    """
    cluster = Cluster(load_profile(profile).namespace)
    for line in lifecycle.read_logs(cluster, name, follow=follow):
        sys.stdout.write(line)


@app.command()
def cancel(name: Submitted, profile: ProfileFile) -> None:
    """Stop a submission and remove its pods; what it committed stays.

    Example: ubspark k8s cancel crossmatch-1f0c22a9be --profile k8s.yaml
    """
    namespace = load_profile(profile).namespace
    if not lifecycle.cancel(Cluster(namespace), name):
        msg = f"There is no submission `{name}` in namespace {namespace}."
        raise InputMissingError(msg)


def dump_manifest(application: dict[str, Any]) -> str:
    """Return a manifest as YAML, texts of several lines as blocks."""
    return yaml.dump(application, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


class _Dumper(yaml.SafeDumper):
    """Writes what stands twice twice, and texts of several lines as they read."""

    def ignore_aliases(self, _data: Any) -> bool:
        return True


def _write_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _write_text)


def _load(file: Path, profile: Path, settings: Iterable[str] | None) -> tuple[JobConfig, Profile]:
    """Read job and profile; a setting that begins with `k8s.` is one of the profile."""
    given = list(settings or ())
    of_profile = [setting for setting in given if setting.startswith("k8s.")]
    of_job = [setting for setting in given if not setting.startswith("k8s.")]
    return load_job(file, of_job), load_profile(profile, of_profile)
