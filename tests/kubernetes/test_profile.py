"""The profile of a cluster, and what is wrong with one."""

from pathlib import Path

import pytest

from ubspark.errors import InputMissingError, ParameterError
from ubspark.kubernetes.profile import load_profile

_ROOT = Path(__file__).parents[2]
_GOOD = "k8s: {image: a/b:1, home: /data/ubspark, volumes: [{claim: d, path: /data}]}"


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "profile.yaml"
    path.write_text(text)
    return path


def test_the_shipped_profile_is_good() -> None:
    profile = load_profile(_ROOT / "conf" / "k8s.yaml")
    assert profile.home.startswith(profile.volumes[0].path)


def test_a_setting_wins(tmp_path: Path) -> None:
    path = write(tmp_path, _GOOD)
    profile = load_profile(path, ["k8s.executor.instances=7", "k8s.namespace=lmc"])
    assert (profile.executor.instances, profile.namespace) == (7, "lmc")
    assert profile.image_name == "a/b:1"


_SHA = f"sha256:{'ab' * 32}"
_ON = "k8s: {{image: a, home: /x, {}}}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("k8s: {home: /x}", "`k8s.image` is missing"),
        ("k8s: {image: a, home: /x, imag: b}", "Did you mean `image`"),
        ("k8s: {image: a, home: /x, driver: {memory: 4}}", "`k8s.driver.memory`"),
        ("k8s: {image: a, home: /x, driver: {memory: 4Gi}}", "must be a size such as `4g`"),
        ("k8s: {image: a, home: /x, namespace: A_b}", "must be lower-case"),
        ("image: a", "must hold one key, `k8s`"),
        ("k8s: {image: a, home: x}", "must be an absolute path"),
        ("k8s: {image: a, home: /x}", "`k8s.home` must be a folder on one of `k8s.volumes`"),
        (_ON.format("volumes: [{claim: d, path: /x, read_only: true}]"), "that can be written to"),
        (_ON.format("volumes: [{claim: d, path: /x}, {claim: d, path: /y}]"), "differ in `claim`"),
        (_ON.format("volumes: [{claim: d, path: /x}, {claim: e, path: /x}]"), "differ in `path`"),
        (_ON.format("env: {A B: x}"), "names of variables"),
        (_ON.format("env: {UBSPARK_HOME: /y}"), "which follows from `k8s.home`"),
        (_ON.format("env: {UBSPARK_IMAGE: b}"), "which follows from `k8s.image` and"),
        (_ON.format("env: {AWS_SECRET_ACCESS_KEY: x}"), "would hold a secret"),
        (_ON.format("spark: {spark.hadoop.fs.s3a.secret.key: x}"), "would hold a secret"),
        (_ON.format("labels: {team: Sky & Time}"), "must be labels"),
        (_ON.format("labels: {a/b: mine}"), "must be labels"),
        (_ON.format("labels: {name: mine}"), "by which submissions are found"),
        ("k8s: {image: 'a b', home: /x}", "`k8s.image` must be an image such as"),
        ("k8s: {image: 'a:1@sha256:12', home: /x}", "`k8s.image` must be an image such as"),
        (_ON.format("digest: latest"), "`k8s.digest` must be `sha256:` and 64 hexadecimal digits"),
        (_ON.format("event_log: logs"), "`k8s.event_log` must be an absolute path or a URI"),
        (_ON.format("driver: {request: half}"), "`k8s.driver.request` must be a number of cores"),
        (_ON.format("driver: {memory: \u0664g}"), "must be a size such as `4g`"),
        (_ON.format("executor: {memory: 1m}"), r"`k8s\.executor\.memory` must be at least `512m`"),
        (_ON.format("driver: {overhead: 1m}"), r"`k8s\.driver\.overhead` must be at least `64m`"),
        (_ON.format("executor: {request: \u0665}"), "must be a number of cores"),
        (_ON.format("labels: {team: Zoë}"), "must be labels"),
        (_ON.format("labels: {größe: a}"), "must be labels"),
        ("k8s: {image: 'registry/Ubspark:1', home: /x}", "`k8s.image` must be an image such as"),
        ("k8s: {image: 'registry/übspark:1', home: /x}", "`k8s.image` must be an image such as"),
        ("k8s: {image: 'a/b//c:1', home: /x}", "`k8s.image` must be an image such as"),
        (
            f"k8s: {{image: 'a@{_SHA}', digest: '{_SHA}', home: /x}}",
            r"`k8s\.digest` must be left out",
        ),
        (_ON.format("volumes: [{claim: d, path: /x}, {claim: e, path: /x/}]"), "differ in `path`"),
        (_ON.format("volumes: [{claim: d, path: /}]"), "must not hide /bin of the image, got '/'"),
        (_ON.format("volumes: [{claim: d, path: /opt}]"), "must not hide /opt/spark of the image"),
        (_ON.format("volumes: [{claim: d, path: /opt/ubspark/venv}]"), "hide /opt/ubspark of the"),
        (_ON.format("volumes: [{claim: d, path: //tmp/}]"), "must not hide /tmp of the image"),
        (
            _ON.format("volumes: [{claim: a_b, path: /x}]"),
            "must be lower-case letters, digits, `-`",
        ),
        (_ON.format("secrets: [.a]"), "must be lower-case letters, digits, `-` and `.`"),
        (_ON.format("master: not a url"), "must be the URL of an API server such as .*'not a url'"),
        (_ON.format("master: 'k8s://k8s://https://x'"), "must be the URL of an API server"),
        (_ON.format("master: 'https://me:hush@x'"), r"of an API server such as `[^`]*`\.$"),
        ("k8s: [", "is no valid YAML at line 1"),
        ("k8s:\n  image: a\n  image: b\n", "is no valid YAML at line 3: the key `image` stands"),
    ],
)
def test_a_mistake_is_one_sentence(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ParameterError, match=said):
        load_profile(write(tmp_path, text))


def test_a_missing_profile_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputMissingError, match="cannot be read: No such file"):
        load_profile(tmp_path / "none.yaml")


def test_names_may_have_dots_and_places_a_slash_at_their_end(tmp_path: Path) -> None:
    volumes = "volumes: [{claim: my.claim, path: /x/}, {claim: e, path: /var/survey}]"
    text = _ON.format(f"{volumes}, secrets: [my.secret], pull_secrets: [my.registry]")
    profile = load_profile(write(tmp_path, text))
    assert profile.volumes[0].path == "/x"
    assert profile.secrets == ["my.secret"]


@pytest.mark.parametrize("image", ["a", "host:5000/a/b-c_d.e:V1", f"registry.example.org/a@{_SHA}"])
def test_images_of_all_kinds_are_taken(tmp_path: Path, image: str) -> None:
    assert load_profile(write(tmp_path, _GOOD), [f"k8s.image={image}"]).image == image


@pytest.mark.parametrize("master", ["https://x", "k8s://https://x"])
def test_a_master_may_have_the_scheme_of_spark(tmp_path: Path, master: str) -> None:
    assert load_profile(write(tmp_path, _GOOD), [f"k8s.master={master}"]).master == "https://x"
