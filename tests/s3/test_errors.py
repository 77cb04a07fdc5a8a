"""What is wrong with a store is said in one sentence, before Spark is there."""

import time
from pathlib import Path

import pytest
from bucket import BUCKET, Store, describe_ingest, describe_match, find_port
from typer.testing import CliRunner, Result

from ubspark.catalogs import object_store
from ubspark.cli.app import app
from ubspark.errors import InputMissingError, ParameterError, TransientError, UbsparkError
from ubspark.runtime import run_job as runner
from ubspark.runtime.config import parse_job
from ubspark.runtime.home import Home
from ubspark.runtime.jars import JARS, S3_JARS
from ubspark.runtime.run_job import run_job

pytestmark = pytest.mark.s3


@pytest.fixture(autouse=True)
def _without_spark(monkeypatch: pytest.MonkeyPatch, store: Store) -> None:
    """A run that gets as far as a session fails the test; each test asks the store anew."""
    object_store._validate.cache_clear()

    def refuse(*_: object, **__: object) -> None:
        pytest.fail("Spark was started")

    monkeypatch.setattr(runner, "build_session", refuse)


def fail(home: Home, files: Path, *, bucket: str = BUCKET) -> list[UbsparkError]:
    """Write to a table and read one; return what each run ended with."""
    place = f"s3a://{bucket}/errors"
    errors = []
    for job in (describe_ingest(files / "stars.csv", place), describe_match(place, place, "out")):
        before = time.monotonic()
        with pytest.raises(UbsparkError) as caught:
            run_job(parse_job(job), home=home)
        assert time.monotonic() - before < 30
        errors.append(caught.value)
    return errors


def test_a_bucket_that_is_not_there(home: Home, files: Path, store: Store) -> None:
    for error in fail(home, files, bucket="other"):
        assert isinstance(error, InputMissingError)
        sentence = f"There is no bucket `other` at {store.endpoint}. Make it, or name another."
        assert sentence in str(error)


@pytest.mark.parametrize(
    ("name", "value"),
    [("AWS_ACCESS_KEY_ID", "somebody"), ("AWS_SECRET_ACCESS_KEY", "guessed"), ("", "")],
)
def test_wrong_and_no_credentials(
    home: Home, files: Path, store: Store, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    if name:
        monkeypatch.setenv(name, value)
    else:
        monkeypatch.setenv("HOME", str(home.path))
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    object_store._open.cache_clear()
    try:
        for error in fail(home, files):
            assert isinstance(error, ParameterError), error
            assert f"at {store.endpoint} refuses the credentials" in str(error)
            assert not any(secret in str(error) for secret in (*store.secrets, "guessed"))
    finally:
        object_store._open.cache_clear()


def test_a_server_that_is_down(
    home: Home, files: Path, monkeypatch: pytest.MonkeyPatch, store: Store
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{find_port()}")
    for error in fail(home, files):
        assert isinstance(error, TransientError)
        assert "does not answer. Check AWS_ENDPOINT_URL and run again." in str(error)


def test_a_table_that_is_not_there(home: Home) -> None:
    job = parse_job(describe_match(f"s3a://{BUCKET}/nothing", f"s3a://{BUCKET}/nothing", "out"))
    with pytest.raises(InputMissingError, match=r"is not there \(s3a://survey/nothing\)"):
        run_job(job, home=home)


def test_commands_say_it_too(monkeypatch: pytest.MonkeyPatch, store: Store, home: Home) -> None:
    shown = show("s3a://other/stars")
    assert shown.exit_code != 0
    assert "There is no bucket `other`" in str(shown.exception)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{find_port()}")
    assert "does not answer" in str(show(f"s3a://{BUCKET}/stars").exception)


def show(table: str) -> Result:
    return CliRunner().invoke(app, ["show", table])


def test_jars_that_are_missing(
    home: Home, files: Path, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPARK_HOME", str(tmp_path / "spark"))
    (tmp_path / "spark" / "jars").mkdir(parents=True)
    for jar in JARS:
        (tmp_path / "spark" / "jars" / jar.file_name).touch()
    monkeypatch.setattr(
        "ubspark.runtime.session.SparkSession.getActiveSession", staticmethod(lambda: None)
    )
    job = parse_job(describe_ingest(files / "stars.csv", f"s3a://{BUCKET}/errors"))
    with pytest.raises(ParameterError, match=rf"{S3_JARS[0].file_name}.*doctor --fix --s3"):
        run_job(job, home=home)
