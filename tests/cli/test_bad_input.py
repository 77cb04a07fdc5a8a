"""Bad input gets one sentence and the right exit code, before Spark starts."""

import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from astropy.table import Table

from ubspark.runtime.home import Home

USAGE, MISSING, BROKEN = 2, 4, 4

Refuse = Callable[..., Any]

pytestmark = pytest.mark.spark


@pytest.fixture
def job_file(demo_home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A job file that would run, in the working folder, with the home of the demo."""
    monkeypatch.setenv("UBSPARK_HOME", str(demo_home.path))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    content = {
        "job": "crossmatch",
        "inputs": {"left": {"table": "hipparcos2"}, "right": {"table": "gaia_dr3"}},
        "params": {"radius": "1 arcsec", "epoch": 2016.0},
        "outputs": {"matches": {"table": "never_made"}},
    }
    path = tmp_path / "job.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.fixture
def stars(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: Home) -> Path:
    """A file of stars in the working folder, with an empty home."""
    assert home.path.is_dir()
    monkeypatch.chdir(tmp_path)
    columns = {name: np.ones(5) for name in ("ra", "dec", "pmra", "pmdec", "mag")}
    Table({"id": np.arange(5), **columns}).write("stars.fits")
    return tmp_path / "stars.fits"


@pytest.mark.parametrize(
    ("setting", "code", "sentence"),
    [
        ("jop=x", USAGE, "`jop` is not a key. Did you mean `job`?"),
        ("job=crosmatch", USAGE, "There is no job `crosmatch`. Did you mean `crossmatch`?"),
        ("inputs.lfet.table=x", USAGE, "has no `inputs.lfet`. Did you mean `left`?"),
        ("inputs.left.tabel=x", USAGE, "`inputs.left.tabel` is not a key. Did you mean `table`?"),
        ("params.radios=x", USAGE, "`params.radios` is not a key. Did you mean `radius`?"),
        ("outputs.match.table=x", USAGE, "no `outputs.match`. Did you mean `matches`?"),
        ("resources.mastr=x", USAGE, "`resources.mastr` is not a key. Did you mean `master`?"),
        ("run.usr=x", USAGE, "`run.usr` is not a key. Did you mean `user`?"),
        ("inputs=5", USAGE, "`inputs` must hold `KEY: VALUE` pairs, got 5."),
        (
            "outputs.matches=x",
            USAGE,
            r"`outputs.matches` must hold keys \(table, .*mode\), got 'x'.",
        ),
        ("resources.memory=lots", USAGE, "must be a size such as `4g` or `900m`, got 'lots'."),
        ("resources.master=moon", USAGE, "must be a Spark master such as .*, got 'moon'."),
        ("resources.cells=0", USAGE, "`resources.cells`.*, got 0."),
        ("radius", USAGE, "`--set` takes `section.key=value`, got 'radius'."),
        ("a..b=1", USAGE, "`--set` takes `section.key=value`, got 'a..b=1'."),
        ("inputs.left.table=nosuch", MISSING, "Table `nosuch` is not there"),
        ("inputs.left.table=hipparcos2@v7", MISSING, "has no version 7; the latest is 0."),
        ("inputs.left.table=hipparcos2@v", USAGE, "A table must be a name .*'hipparcos2@v'."),
        ("inputs.left.columns=[nosuch]", USAGE, "Column `nosuch` is not in table `hipparcos2`."),
        ("inputs.left.roles.rra=ra", USAGE, "There is no column role `rra`. Did you mean `ra`?"),
        ("params.radius=1", USAGE, "with a unit such as `1 arcsec`, got the bare number 1."),
        ("params.radius=1 s", USAGE, r"must be an angle .*, got '1 s' \(s\)."),
        ("params.radius=-1 arcsec", USAGE, "must be above 0 .*, got -1 arcsec."),
        ("params.radius=0 arcsec", USAGE, "must be above 0 .*, got 0 arcsec."),
        ("params.radius=1e300 deg", USAGE, "at most 3600 arcsec"),
        ("params.radius=nan arcsec", USAGE, "must be a finite angle, got 'nan arcsec'."),
        ("params.radius=[1]", USAGE, r"must be an angle .*, got \[1\]."),
        ("params.epoch=57388", USAGE, "must be a Julian year .*, got 57388."),
        ("params.epoch=.nan", USAGE, "must be a Julian year .*, got nan."),
        ("params.epoch=J2016", USAGE, "must be a Julian year .*, got 'J2016'."),
        (
            "outputs.matches.mode=replace",
            USAGE,
            "'append', 'overwrite' or 'update', got 'replace'.",
        ),
        ("outputs.matches.table=", USAGE, "`outputs.matches.table` is missing; it names the table"),
        ("outputs.matches.table=x@v3", USAGE, "must not name a version, got x@v3."),
        ("outputs.matches.table=gaia_dr3", USAGE, "is the table that the job reads"),
        (
            "outputs.matches.table=hipparcos2/sub",
            USAGE,
            "`outputs.matches.table` is `.*/sub`, which lies in the folder of the table `.*s2`.",
        ),
        (
            "inputs.left.table=./job.yaml",
            USAGE,
            "`inputs.left.table`: `./job.yaml` is a file, not a table. Ingest it first with",
        ),
    ],
)
def test_mistake_in_a_job_gets_one_sentence(
    job_file: Path, refuse: Refuse, setting: str, code: int, sentence: str
) -> None:
    answer = refuse("run", job_file, "--set", setting)
    assert answer.code == code
    assert re.search(sentence, answer.said), answer.said


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "must hold keys such as `job`"),
        (b"- a\n- b\n", "must hold keys such as `job`"),
        (b"job:\tcrossmatch\n\tinputs: x\n", r"no valid YAML at line 1: found character '\\t'"),
        (b"job: [a\n", "no valid YAML at line 2"),
        (b"job: a\njob: b\n", "no valid YAML at line 2: the key `job` stands twice."),
        (b"\x89PNG\r\n\x1a\n\x00", "is no UTF-8 text"),
        (b"!!python/object/apply:os.system ['false']", "no valid YAML"),
        (b"job: crossmatch\n", "`inputs.left` is missing"),
        (b"inputs: {}\n", "`job` is missing"),
    ],
)
def test_file_that_is_no_job_gets_one_sentence(
    home: Home, tmp_path: Path, refuse: Refuse, content: bytes, sentence: str
) -> None:
    path = tmp_path / "job.yaml"
    path.write_bytes(content)
    answer = refuse("run", path)
    assert answer.code == USAGE
    assert re.search(sentence, answer.said), answer.said


def test_missing_job_file_has_its_own_exit_code(home: Home, refuse: Refuse) -> None:
    assert refuse("plan", "nosuch.yaml").code == MISSING


def test_other_result_in_the_way_is_refused_in_mode_error(
    job_file: Path, demo_home: Home, refuse: Refuse
) -> None:
    answer = refuse(
        "run",
        job_file,
        "--set",
        "inputs.left.table=gaia_dr3",
        "--set",
        "outputs.matches.table=hipparcos2",
    )
    assert answer.code == USAGE
    assert "exists already (version 0) and holds another result." in answer.said


def test_folder_of_the_user_is_not_touched(job_file: Path, tmp_path: Path, refuse: Refuse) -> None:
    thesis = tmp_path / "mine" / "thesis.tex"
    thesis.parent.mkdir()
    thesis.write_text("Introduction")
    for place in ("./mine", "./mine/thesis.tex"):
        for mode in ("error", "overwrite", "append"):
            settings = (f"outputs.matches.table={place}", f"outputs.matches.mode={mode}")
            assert refuse("run", job_file, "--set", settings[0], "--set", settings[1]).code == USAGE
    assert [*thesis.parent.iterdir()] == [thesis]
    assert thesis.read_text() == "Introduction"


def test_broken_table_is_named(job_file: Path, tmp_path: Path, refuse: Refuse) -> None:
    log = tmp_path / "broken" / "_delta_log" / "00000000000000000000.json"
    log.parent.mkdir(parents=True)
    log.write_text("{nonsense")
    for key in ("inputs.left.table", "outputs.matches.table"):
        answer = refuse("run", job_file, "--set", f"{key}=./broken")
        assert answer.code == BROKEN
        assert "cannot be read" in answer.said


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("cut.fits", None, "is cut short: .* Fetch it again."),
        ("empty.fits", b"", "is empty."),
        ("page.fits", b"<!DOCTYPE html><html>404</html>", r"is a web page \(HTML\), not FITS"),
        ("noise.fits", bytes(range(256)) * 12, "is not a FITS file"),
        ("empty.csv", b"", "is empty."),
        ("page.csv", b"<html>404</html>", r"is a web page \(HTML\), not CSV"),
        ("ragged.csv", b"id,ra,dec\n1,2,3\n4,5\n", "Line 3 of .* has 2 fields"),
        ("cut.csv", b'id,ra,dec\n1,2,"3\n', "has a quote that is never closed"),
        ("noise.parquet", b"PAR1" + bytes(range(256)), "cannot be read as Parquet"),
    ],
)
def test_broken_file_gets_one_sentence(
    stars: Path, refuse: Refuse, name: str, content: bytes | None, sentence: str
) -> None:
    whole = stars.read_bytes()
    path = stars.with_name(name)
    path.write_bytes(whole[:-2800] if content is None else content)
    answer = refuse("ingest", path, "t", "--id", "id")
    assert answer.code == BROKEN
    assert re.search(sentence, answer.said), answer.said


def test_coordinates_as_text_are_refused(stars: Path, refuse: Refuse) -> None:
    path = stars.with_name("text.csv")
    path.write_text("id,ra,dec\n1,05h12m,+10d\n2,06h,+11d\n")
    answer = refuse("ingest", path, "t", "--id", "id")
    assert answer.code == USAGE
    assert "sexagesimal text must be converted first" in answer.said


def test_text_has_no_role_of_a_number(stars: Path, refuse: Refuse) -> None:
    path = stars.with_name("text.csv")
    path.write_text("id,ra,dec,word\n1,5,10,much\n2,6,11,little\n")
    for role in ("epoch", "parallax", "rv", "ra_error", "ra_dec_corr", "flux", "time"):
        options = ("--role", f"{role}=word", "--unit", "word=mas")
        answer = refuse("ingest", path, "t", "--id", "id", *options)
        assert answer.code == USAGE
        assert f"Column `word` of role `{role}` must be a number, got string." in answer.said


def test_header_without_rows_is_said(stars: Path, refuse: Refuse) -> None:
    path = stars.with_name("header.csv")
    path.write_text("id,ra,dec\n")
    answer = refuse("ingest", path, "t", "--id", "id")
    assert answer.code == BROKEN
    assert "has no rows, by which the types of its columns could be known." in answer.said


_PM = ("--pmra", "pmra", "--pmdec", "pmdec")
_PM_UNITS = ("--unit", "pmra=mas/yr", "--unit", "pmdec=mas/yr")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ((), "Say which column is the identifier"),
        (("--id", "idd"), "Column `idd` is not in table .* Did you mean `id`?"),
        (("--id", "ra"), "Column `ra` of role `id` must be an integer or text"),
        (("--id", "id", "--ra", "mag", "--dec", "mag"), "`ra` and `dec` name one column, `mag`."),
        (("--id", "id", "--frame", "ECLIPTIC"), "'ECLIPTIC' cannot be converted to ICRS"),
        (("--id", "id", "--pmra", "pmra"), "The role `pmra` needs the role `pmdec`"),
        (("--id", "id", "--pmdec", "pmdec"), "The role `pmdec` needs the role `pmra`"),
        (("--id", "id", *_PM), "Column `pmra` of role `pmra` has no unit"),
        (
            ("--id", "id", "--parallax", "mag"),
            "Column `mag` of role `parallax` has no unit in the file. Say it: `--unit mag=mas`",
        ),
        (
            ("--id", "id", "--rv", "mag"),
            "Column `mag` of role `rv` has no unit in the file. Say it: `--unit mag=km/s`",
        ),
        (
            ("--id", "id", "--role", "ra_error=mag"),
            "Column `mag` of role `ra_error` has no unit in the file. Say it: `--unit mag=mas`",
        ),
        (("--id", "id", *_PM, *_PM_UNITS), r"Say whether `pmra` includes cos\(dec\)"),
        (("--id", "id", "--unit", "ra=mag"), "has the unit `mag`, which is no unit of deg"),
        (("--id", "id", "--unit", "ra"), "`--unit` takes KEY=VALUE, got 'ra'."),
        (("--id", "id", "--null", "x=5"), "`null` names column `x`"),
        (("--id", "id", "--null", "mag=a"), "`null` for the number column `mag` must be a number"),
        (("--id", "id", "--epoch", "57000"), "must be a Julian year .*, got 57000.0."),
        (("--id", "id", "--epoch", "J57000"), "must be a Julian year .*, got 57000.0."),
        (
            ("--id", "id", "--epoch", "y2000"),
            "Column `y2000` is not in .*`--epoch` takes a Julian year such as 2016.0 or J2016",
        ),
        (("--id", "id", "--mode", "replace"), "got 'replace'."),
        (("--id", "id", "--format", "fitz"), "`format` must be one of .*, got 'fitz'."),
        (("--id", "id", "--option", "hdu=9"), "`hdu` must be a table of .*, got '9'."),
    ],
)
def test_mistake_in_ingest_gets_one_sentence(
    stars: Path, refuse: Refuse, options: tuple[str, ...], sentence: str
) -> None:
    answer = refuse("ingest", stars.name, "t", *options)
    assert answer.code == USAGE
    assert re.search(sentence, answer.said), answer.said


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"--unit": ("pmra=arcsec/yr", "pmdec=mas/yr", "plx=mas")}, "`pmra` is in `mas/yr` there"),
        ({"--unit": ("pmra=mas/yr", "pmdec=mas/yr", "plx=arcsec")}, "`plx` is in `mas` there and"),
        ({"--epoch": ("J2000",)}, "the epoch of all positions is `1991.25` there and `2000.0` her"),
        ({"--no-pm-cos-dec": ()}, r"proper motions include cos\(dec\) is true there and false her"),
        ({"--role": ("ra_error=plx",)}, "column of role `ra_error` is not said there and `plx` he"),
    ],
)
def test_append_of_rows_that_mean_something_else_is_refused(
    job_file: Path,
    examples: Path,
    refuse: Refuse,
    change: dict[str, tuple[str, ...]],
    reason: str,
) -> None:
    options: dict[str, tuple[str, ...]] = {
        "--id": ("hip",),
        "--pmra": ("pmra",),
        "--pmdec": ("pmdec",),
        "--parallax": ("plx",),
        "--epoch": ("1991.25",),
        "--unit": ("pmra=mas/yr", "pmdec=mas/yr", "plx=mas"),
        "--pm-cos-dec": (),
    }
    options |= change
    if "--no-pm-cos-dec" in change:
        del options["--pm-cos-dec"]
    words = [word for key, values in options.items() for word in _repeat(key, values)]
    source = examples / "data" / "hipparcos2.parquet"
    answer = refuse("ingest", source, "hipparcos2", "--mode", "append", *words)
    assert answer.code == USAGE
    assert re.search(f"cannot take the rows of this run: .*{reason}", answer.said), answer.said


def _repeat(key: str, values: tuple[str, ...]) -> list[str]:
    return [word for value in values for word in (key, value)] or [key]


def test_append_of_other_columns_is_refused_before_spark(
    job_file: Path, stars: Path, demo_home: Home, refuse: Refuse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UBSPARK_HOME", str(demo_home.path))
    before = sorted((demo_home.warehouse / "gaia_dr3").iterdir())
    answer = refuse("ingest", stars, "gaia_dr3", "--id", "id", "--mode", "append")
    assert answer.code == USAGE
    assert "cannot take the rows of this run: it has no column `id`" in answer.said
    assert sorted((demo_home.warehouse / "gaia_dr3").iterdir()) == before


def test_epoch_asked_for_where_it_is_unknown_is_refused(
    job_file: Path,
    spark: Any,
    refuse: Refuse,
    call: Refuse,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    columns = {name: np.ones(3) for name in ("ra", "dec", "pmra", "pmdec")}
    Table({"id": np.arange(3), **columns}).write("timeless.csv")
    monkeypatch.setattr("ubspark.runtime.run_job.build_session", lambda *_, **__: spark)
    options = ("--id", "id", *_PM, *_PM_UNITS, "--pm-cos-dec")
    assert call("ingest", "timeless.csv", tmp_path / "timeless", *options).code == 0
    answer = refuse("run", job_file, "--set", f"inputs.left.table={tmp_path / 'timeless'}")
    assert answer.code == USAGE
    assert "the epoch of the left catalog's positions is not known." in answer.said


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("run",), "Missing argument 'FILE'."),
        (("rum",), "No such command 'rum'. Did you mean 'run'?"),
        (("run", "--frob", "x"), "No such option: --frob"),
        (("run", "x", "y"), "unexpected extra argument"),
        (("show", "x", "--limit", "-3"), "`--limit` must be at least 0, got -3."),
        (("show", "x", "--limit", "few"), "Invalid value for '--limit'"),
        (("show", "A table"), "A table must be a name"),
        (("show", __file__), "is a file, not a table. Ingest it first with `ubspark ingest`."),
        (("history", __file__), "is a file, not a table. Ingest it first with `ubspark ingest`."),
    ],
)
def test_mistake_on_the_command_line_gets_one_sentence(
    home: Home, refuse: Refuse, words: tuple[str, ...], sentence: str
) -> None:
    answer = refuse(*words)
    assert answer.code == USAGE
    assert sentence in answer.said


@pytest.mark.parametrize(
    "where", ["hip <", "nosuch < 3", "hip", "hip < 3; drop table x", "sin(ra) < 1", "ra < 'a'", "("]
)
def test_condition_that_is_none_gets_one_sentence(
    job_file: Path, refuse: Refuse, where: str
) -> None:
    assert refuse("show", "hipparcos2", "--where", where).code == USAGE


def test_history_of_a_version_that_is_not_there_is_refused(job_file: Path, refuse: Refuse) -> None:
    answer = refuse("history", "hipparcos2@v99")
    assert answer.code == MISSING
    assert "Table `hipparcos2` has no version 99; the latest is 0." in answer.said


def test_wrong_java_is_said_before_anything_is_recorded(stars: Path, home: Home) -> None:
    program = stars.with_name("java") / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\"' >&2\n")
    program.chmod(0o755)
    environment = os.environ | {"JAVA_HOME": str(program.parent.parent)}
    words = ("-m", "ubspark", "ingest", stars, "t", "--id", "id")
    done = subprocess.run(
        [sys.executable, *words], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == USAGE
    assert done.stderr.startswith("ubspark: Spark needs Java 17 or 21, got Java 11 in ")
    assert done.stderr.count("\n") == 1
    assert not any(home.runs.iterdir())
    assert not (home.path / "mlflow.db").exists()


def test_interrupt_while_modules_load_gets_a_sentence() -> None:
    script = """
import sys
import ubspark.cli

class Interrupter:
    def find_spec(self, name, *_):
        if name == "numba":
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupter())
sys.argv = ["ubspark", "tables"]
ubspark.cli.main()
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (130, "ubspark: Stopped.\n")


def run_in_command(body: str, stdout: int = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    script = f"""
import socket, sys
from ubspark.cli.exits import run_command

def command():
{textwrap.indent(textwrap.dedent(body), "    ")}

run_command(command)
"""
    return subprocess.run(
        [sys.executable, "-c", script],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("n_lines", [1, 100_000])
def test_reader_that_has_enough_ends_the_command_silently(n_lines: int) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = run_in_command(f"print('row\\n' * {n_lines})", stdout=writer)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


def test_broken_connection_does_not_end_the_process() -> None:
    """The record of a run must still be closed when Java, or MLflow, goes away."""
    done = run_in_command("""
        ours, theirs = socket.socketpair()
        theirs.close()
        try:
            ours.send(b"command")
        except BrokenPipeError:
            print("record closed")
    """)
    assert (done.returncode, done.stdout, done.stderr) == (0, "record closed\n", "")


def test_home_that_cannot_be_written_is_temporary(
    tmp_path: Path, job_file: Path, refuse: Refuse, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("UBSPARK_HOME", str(tmp_path / "file" / "home"))
    answer = refuse("run", job_file)
    assert answer.code == 75
    assert "cannot be written: Not a directory. Set UBSPARK_HOME" in answer.said


def test_unexpected_error_gets_a_sentence_too(
    home: Home, refuse: Refuse, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        msg = "left\nright"
        raise KeyError(msg)

    monkeypatch.setattr("ubspark.cli.tables.open_table", fail)
    answer = refuse("history", "x")
    assert answer.code == 5
    assert "UBSPARK_TRACEBACK" in answer.said
    assert os.environ.get("UBSPARK_TRACEBACK") is None
