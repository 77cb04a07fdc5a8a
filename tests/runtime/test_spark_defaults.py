"""The settings for spark-submit are those that ubspark sets where it starts Spark itself."""

from pathlib import Path

from ubspark.runtime.session import SPARK_SETTINGS

_FILE = Path(__file__).parents[2] / "conf" / "spark-defaults.conf"


def _read_settings() -> dict[str, str]:
    """Read the file as Spark does: a key, blanks, the rest of the line."""
    settings: dict[str, str] = {}
    for line in _FILE.read_text(encoding="utf-8").splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        key, value = line.split(maxsplit=1)
        assert key not in settings, f"{key} stands twice"
        settings[key] = value.strip()
    return settings


def test_the_file_holds_every_setting_of_the_session() -> None:
    found = _read_settings()
    assert {key: found.get(key) for key in SPARK_SETTINGS} == SPARK_SETTINGS


def test_the_file_adds_only_what_is_for_people() -> None:
    assert set(_read_settings()) - set(SPARK_SETTINGS) == {"spark.log.level"}
