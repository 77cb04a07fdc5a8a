"""A job file and a profile become one manifest."""

import math
from pathlib import Path
from typing import Any

import pytest
import yaml

from ubspark.errors import InputMissingError, ParameterError
from ubspark.kubernetes.manifest import build_application, build_schedule, name_submission
from ubspark.kubernetes.profile import Profile
from ubspark.runtime.config import JobConfig, parse_job
from ubspark.runtime.session import SPARK_SETTINGS


def change(profile: Profile, **values: Any) -> Profile:
    return Profile.model_validate(profile.model_dump() | values)


def read_job(application: dict[str, Any]) -> dict[str, Any]:
    option, text = application["spec"]["arguments"]
    assert option == "--job"
    content: dict[str, Any] = yaml.safe_load(text)
    return content


def test_the_job_arrives_without_the_sizes_of_another_machine(
    job: JobConfig, profile: Profile
) -> None:
    arrived = parse_job(read_job(build_application(job, profile, name="one")))
    assert arrived.resources.master is None
    assert arrived.resources.memory is None
    assert arrived.resources.cells == 8
    assert arrived.model_copy(update={"resources": job.resources}) == job


def test_settings_of_the_session_and_of_the_job_are_there(job: JobConfig, profile: Profile) -> None:
    shared = change(profile, spark={"spark.task.cpus": "1", "spark.log.level": "INFO"})
    settings = build_application(job, shared, name="one")["spec"]["sparkConf"]
    assert settings.items() >= SPARK_SETTINGS.items()
    # A refused pod counts as a failed executor: the default would end the job under a quota.
    assert settings["spark.executor.maxNumFailures"] == "1000"
    assert settings["spark.task.cpus"] == "2"
    assert settings["spark.log.level"] == "INFO"


def test_nothing_secret_stands_in_the_settings(job: JobConfig, profile: Profile) -> None:
    application = build_application(job, change(profile, secrets=["s3"]), name="one")
    for role in ("driver", "executor"):
        container = application["spec"][role]["template"]["spec"]["containers"][0]
        assert container["envFrom"] == [{"secretRef": {"name": "s3"}}]
    assert "s3" not in str(application["spec"]["sparkConf"])


def test_executors_ask_for_gpus_that_their_tasks_share(job: JobConfig, profile: Profile) -> None:
    plain = build_application(job, profile, name="one")["spec"]["sparkConf"]
    assert not [key for key in plain if ".gpu." in key]
    shared = change(profile, executor={"cores": 3, "gpus": 1})
    settings = build_application(job, shared, name="one")["spec"]["sparkConf"]
    assert settings["spark.executor.resource.gpu.amount"] == "1"
    assert settings["spark.executor.resource.gpu.vendor"] == "nvidia.com"
    # Three tasks at once, no more than the GPU has shares for.
    assert 0.33 <= float(settings["spark.task.resource.gpu.amount"]) <= 1 / 3
    script = Path(__file__).parents[2] / "k8s" / "image" / "gpus.sh"
    assert settings["spark.executor.resource.gpu.discoveryScript"] == f"/opt/{script.name}"
    assert script.exists()


@pytest.mark.parametrize("role", ["driver", "executor"])
def test_pods_are_restricted(job: JobConfig, profile: Profile, role: str) -> None:
    pod = build_application(job, profile, name="one")["spec"][role]["template"]["spec"]
    assert pod["securityContext"]["runAsUser"] == 185
    assert pod["securityContext"]["runAsNonRoot"]
    security = pod["containers"][0]["securityContext"]
    assert security["readOnlyRootFilesystem"]
    assert not security["allowPrivilegeEscalation"]
    mounts = {mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
    assert mounts == {"/tmp", "/opt/ubspark/work", "/data"}


def test_a_cluster_may_choose_the_user(job: JobConfig, profile: Profile) -> None:
    application = build_application(job, change(profile, user_id=None), name="one")
    security = application["spec"]["driver"]["template"]["spec"]["securityContext"]
    assert "runAsUser" not in security
    assert security["runAsNonRoot"]


def test_the_record_gets_the_digest_of_the_image(job: JobConfig, profile: Profile) -> None:
    digest = f"sha256:{'ab' * 32}"
    application = build_application(job, change(profile, digest=digest), name="one")
    container = application["spec"]["driver"]["template"]["spec"]["containers"][0]
    assert {"name": "UBSPARK_IMAGE", "value": f"{profile.image}@{digest}"} in container["env"]
    assert application["spec"]["image"] == profile.image


def test_a_template_of_the_profile_is_laid_over(job: JobConfig, profile: Profile) -> None:
    over = {
        "spec": {
            "nodeSelector": {"disk": "nvme"},
            "volumes": [{"name": "tmp", "emptyDir": {"medium": "Memory"}}],
            "containers": [{"name": "spark-kubernetes-executor", "tty": True}],
        }
    }
    shared = change(profile, executor={"template": over})
    spec = build_application(job, shared, name="one")["spec"]
    pod = spec["executor"]["template"]["spec"]
    assert pod["nodeSelector"] == {"disk": "nvme"}
    assert [volume["name"] for volume in pod["volumes"]] == ["tmp", "work", "ubspark-data"]
    assert pod["volumes"][0]["emptyDir"] == {"medium": "Memory"}
    assert len(pod["containers"]) == 1
    assert pod["containers"][0]["tty"]
    assert pod["containers"][0]["securityContext"]["readOnlyRootFilesystem"]
    assert "nodeSelector" not in spec["driver"]["template"]["spec"]


def test_an_append_carries_the_name_of_its_submission(profile: Profile, job: JobConfig) -> None:
    content = job.model_dump(exclude_defaults=True)
    content["outputs"]["matches"]["mode"] = "append"
    application = build_application(parse_job(content), profile, name="tonight")
    assert read_job(application)["run"]["submission"] == "tonight"
    assert "run" not in read_job(build_application(job, profile, name="tonight"))


def test_kubernetes_puts_no_variable_into_the_job(profile: Profile, job: JobConfig) -> None:
    content = job.model_dump(exclude_defaults=True)
    content["run"] = {"tags": {"note": "costs $(HOME)"}}
    text = build_application(parse_job(content), profile, name="one")["spec"]["arguments"][1]
    assert "costs $$(HOME)" in text


def test_executors_may_come_and_go(job: JobConfig, profile: Profile) -> None:
    shared = change(profile, executor={"instances": 2, "max_instances": 9})
    settings = build_application(job, shared, name="one")["spec"]["sparkConf"]
    assert settings["spark.dynamicAllocation.enabled"] == "true"
    assert settings["spark.dynamicAllocation.maxExecutors"] == "9"
    shared = change(profile, executor={"instances": 2, "max_instances": 1})
    with pytest.raises(ParameterError, match=r"max_instances` must be at least .* 2, got 1"):
        build_application(job, shared, name="one")


@pytest.mark.parametrize("name", ["", "Upper", "9lives", "a" * 41, "under_score", "ends-"])
def test_a_name_is_one_of_dns(job: JobConfig, profile: Profile, name: str) -> None:
    with pytest.raises(ParameterError, match="`name` must be lower-case"):
        build_application(job, profile, name=name)


def test_equal_jobs_have_one_name(job: JobConfig) -> None:
    other = job.model_copy(update={"job": "neighbors"})
    assert name_submission(job) == name_submission(job.model_copy())
    assert name_submission(job) != name_submission(other)
    assert name_submission(job).startswith("crossmatch-")


@pytest.mark.parametrize(
    ("section", "key", "place"),
    [("outputs", "table", "./here"), ("inputs", "table", "~/x"), ("inputs", "path", "x.csv")],
)
def test_a_place_of_this_machine_is_refused(
    job: JobConfig, profile: Profile, section: str, key: str, place: str
) -> None:
    content = job.model_dump(exclude_defaults=True)
    content[section][next(iter(content[section]))] = {key: place}
    with pytest.raises(ParameterError, match=rf"{key}` is '{place}', which is on this machine"):
        build_application(parse_job(content), profile, name="one")


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ("inputs", r"no `inputs\.rihgt`\. Did you mean `right`"),
        ("outputs", r"no `outputs\.rihgt`\. It has: matches"),
    ],
)
def test_a_misspelt_name_does_not_reach_the_cluster(
    job: JobConfig, profile: Profile, section: str, said: str
) -> None:
    content = job.model_dump(exclude_defaults=True)
    content[section]["rihgt"] = {"table": "gaia"}
    with pytest.raises(ParameterError, match=said):
        build_application(parse_job(content), profile, name="one")


def test_a_scorer_travels_as_text(job: JobConfig, profile: Profile, tmp_path: Path) -> None:
    file = tmp_path / "score.py"
    file.write_text("def score(left, right, dist_arcsec):\n    return -dist_arcsec\n")
    params = {"radius": "1 arcsec", "scorer": {"path": str(file), "left": ["mag"]}}
    asked = job.model_copy(update={"params": params})
    sent = read_job(build_application(asked, profile, name="one"))["params"]["scorer"]
    assert sent == {"source": file.read_text(), "left": ["mag"]}
    file.unlink()
    with pytest.raises(InputMissingError, match=r"`params\.scorer\.path` is .* which is no file"):
        build_application(asked, profile, name="one")


def test_a_wrong_parameter_is_told_here_not_there(job: JobConfig, profile: Profile) -> None:
    wrong = job.model_copy(update={"params": {"radius": "1 arcsec", "howw": "left"}})
    with pytest.raises(ParameterError, match="Did you mean `how`"):
        build_application(wrong, profile, name="one")


def test_a_schedule_runs_one_at_a_time(job: JobConfig, profile: Profile) -> None:
    application = build_application(job, profile, name="nightly")
    schedule = build_schedule(application, "0 14 * * *")
    assert schedule["kind"] == "ScheduledSparkApplication"
    assert schedule["spec"]["concurrencyPolicy"] == "Forbid"
    assert schedule["spec"]["template"] == application["spec"]


def test_more_gpus_than_tasks_are_refused(job: JobConfig, profile: Profile) -> None:
    shared = change(profile, executor={"cores": 2, "gpus": 3})
    with pytest.raises(ParameterError, match=r"gpus` must be at most .*cores`, 2, .*; got 3"):
        build_application(job, shared, name="one")


@pytest.mark.parametrize(
    ("cores", "gpus"), [(3, 2), (4, 3), (5, 2), (7, 1), (64, 3), (1500, 1), (4, 4)]
)
def test_every_core_has_its_share_of_a_gpu(
    job: JobConfig, profile: Profile, cores: int, gpus: int
) -> None:
    """Spark gives each task one GPU, as often as its share fits into one."""
    shared = change(profile, executor={"cores": cores, "gpus": gpus})
    settings = build_application(job, shared, name="one")["spec"]["sparkConf"]
    share = float(settings["spark.task.resource.gpu.amount"])
    assert gpus * math.floor(1 / share) >= cores
    assert share == 1 or share <= 0.5


@pytest.mark.parametrize(
    "cron",
    ["0 9 * * *", "*/15 0-6,22 1 JAN-MAR mon-FRI", "@daily", "@every 1h30m", "5/10 ? 31 12 0"],
)
def test_clocks_of_cron_are_taken(job: JobConfig, profile: Profile, cron: str) -> None:
    application = build_application(job, profile, name="one")
    assert build_schedule(application, cron)["spec"]["schedule"] == cron


_CLOCKS = [
    *("", "daily", "0 9 * *", "0 9 * * * *", "at nine", "@never", "@every h", "@every 0h"),
    *("99 99 99 99 99", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 7"),
    *("*/0 * * * *", "5-2 * * * *", "1, * * * *", "* * * mon *", "\u0665 * * * *", "@every 5 m"),
]


@pytest.mark.parametrize("cron", _CLOCKS)
def test_other_clocks_are_refused(job: JobConfig, profile: Profile, cron: str) -> None:
    application = build_application(job, profile, name="one")
    with pytest.raises(ParameterError, match="`--schedule` must be five fields of cron"):
        build_schedule(application, cron)


def test_a_model_of_this_machine_is_refused(profile: Profile) -> None:
    content = {
        "job": "classify",
        "inputs": {"features": {"table": "features"}},
        "params": {"model": "models/stars"},
        "outputs": {"scores": {"table": "scores"}},
    }
    with pytest.raises(
        ParameterError, match=r"`params\.model` is 'models/stars', which is on this"
    ):
        build_application(parse_job(content), profile, name="one")
    content["params"] = {"model": "models:/stars@best"}
    assert build_application(parse_job(content), profile, name="one")
