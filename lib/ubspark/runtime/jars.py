"""The JARs of Delta Lake and of object stores: which, whether they are there, fetching them once.

They lie beside Spark's own JARs, as in an image, so that ``spark-submit``, notebooks and
``ubspark`` find them alike. Spark's resolver fetches them, from Maven Central or from the
repositories that ``spark.jars.repositories`` or an Ivy settings file name.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import pyspark

from ubspark.errors import ParameterError, TransientError

__all__ = [
    "JARS",
    "S3_JARS",
    "Jar",
    "fetch_jars",
    "find_jar_folder",
    "find_missing_jars",
    "validate_jars",
]


@dataclass(frozen=True)
class Jar:
    """A JAR by its Maven coordinates, and the digest it must have."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def file_name(self) -> str:
        """Name of the file in Spark's folder."""
        return f"{self.artifact}-{self.version}.jar"

    @property
    def coordinates(self) -> str:
        """``group:artifact:version``."""
        return f"{self.group}:{self.artifact}:{self.version}"


#: What Delta Lake needs and Spark 4.2 does not ship.
JARS = (
    Jar(
        "io.delta",
        "delta-kernel-api",
        "4.4.0",
        "ee9b5a14ac3b7efdff4d61a58478fe8eb0e5a3fbca43889dca7290795fe79a11",
    ),
    Jar(
        "io.delta",
        "delta-kernel-defaults",
        "4.4.0",
        "225c975199e4718b38ee5b7e6da7f19e9585024262b2cec2656b32151a856b0b",
    ),
    Jar(
        "io.delta",
        "delta-kernel-unitycatalog",
        "4.4.0",
        "cea22dfb4ac562b3cd27bf652697750e8336009d73fb06631363aaaad5345ffa",
    ),
    Jar(
        "io.delta",
        "delta-spark_4.2_2.13",
        "4.4.0",
        "27d4fd8b1f879535c573ed1c718177d6a27f24d3e626ba02e216369725721ead",
    ),
    Jar(
        "io.delta",
        "delta-storage",
        "4.4.0",
        "c46735481fa8e326b0957be02b4420cbcab4b325bb08009b7f2045a95133f1cc",
    ),
    Jar(
        "io.unitycatalog",
        "unitycatalog-client",
        "0.6.0",
        "48257499a86b801a3e2372cec55ac226ca1c1c7eabe5c118e7302f29a1fdbc19",
    ),
    Jar(
        "io.unitycatalog",
        "unitycatalog-hadoop",
        "0.6.0",
        "c47b63c961c87102b9e1d63809a0915ba4c86b7652f57c8d39ca3a05b441a150",
    ),
)


def _read_lock(name: str) -> tuple[Jar, ...]:
    """Return the JARs of a list: coordinates and digest, a line each."""
    text = (resources.files("ubspark.runtime") / name).read_text(encoding="utf-8")
    lines = (re.split(r"[: ]", line) for line in text.splitlines() if not line.startswith("#"))
    return tuple(Jar(group, name, version, sha256) for group, name, version, sha256 in lines)


#: What tables in object stores need besides: hadoop-aws, and the modules of the AWS SDK it calls.
S3_JARS = _read_lock("s3_jars.lock")
#: What their makers ask for and nothing here calls; Spark ships the clients of HTTP.
_UNUSED = (
    "io.netty:*",
    "org.apache.httpcomponents:*",
    "org.wildfly.openssl:*",
    "commons-codec:*",
    "software.amazon.awssdk:bundle",
)
#: Groups that Spark ships itself: their copies must not come along.
_SHIPPED_BY_SPARK = (
    "com.fasterxml.jackson.core",
    "com.fasterxml.jackson.datatype",
    "com.github.luben",
    "com.google.code.findbugs",
    "commons-logging",
    "commons-pool",
    "io.airlift",
    "javax.annotation",
    "org.antlr",
    "org.apache.hadoop",
    "org.apache.logging.log4j",
    "org.apache.parquet",
    "org.locationtech.jts",
    "org.roaringbitmap",
    "org.scala-lang",
    "org.slf4j",
    "org.xerial.snappy",
)
_RESOLVE = """
import sys
from pyspark.java_gateway import launch_gateway
from pyspark import SparkConf
conf = SparkConf(loadDefaults=False)
for pair in sys.argv[1:]:
    conf.set(*pair.split("=", 1))
launch_gateway(conf)
"""


def find_jar_folder() -> Path:
    """Return the folder of Spark's own JARs."""
    home = os.environ.get("SPARK_HOME")
    return (Path(home) if home else Path(pyspark.__file__).parent) / "jars"


def find_missing_jars(jars: Sequence[Jar] = JARS) -> list[Jar]:
    """Return the JARs that are not there, or not with the right content."""
    folder = find_jar_folder()
    return [jar for jar in jars if _hash(folder / jar.file_name) != jar.sha256]


def validate_jars(*, s3: bool = False) -> None:
    """Check that Delta's JARs are there, and those of object stores where they are needed.

    Raises
    ------
    ParameterError
        Naming the first one that is not.
    """
    folder = find_jar_folder()
    for jar in (*JARS, *(S3_JARS if s3 else ())):
        if not (folder / jar.file_name).is_file():
            option = " --s3" if jar in S3_JARS else ""
            msg = (
                f"The JAR {jar.file_name} is not in `{folder}`. Fetch it with "
                f"`ubspark doctor --fix{option}` (once, with network)."
            )
            raise ParameterError(msg)


def fetch_jars(jars: Sequence[Jar] = JARS) -> list[Jar]:
    """Fetch the missing JARs and return them.

    Raises
    ------
    TransientError
        If they cannot be fetched, have another content, or the folder cannot be written.
    """
    missing = find_missing_jars(jars)
    if not missing:
        return []
    with tempfile.TemporaryDirectory() as scratch:
        _resolve(Path(scratch), jars)
        for jar in missing:
            found = Path(scratch) / "jars" / f"{jar.group}_{jar.file_name}"
            if _hash(found) != jar.sha256:
                msg = (
                    f"The JAR {jar.coordinates} was not found, or its content is not the known one."
                )
                raise TransientError(msg)
            _install(found, find_jar_folder() / jar.file_name)
    return missing


def _resolve(scratch: Path, jars: Sequence[Jar]) -> None:
    settings = {
        "spark.jars.packages": ",".join(jar.coordinates for jar in jars),
        "spark.jars.excludes": ",".join([*_UNUSED, *_find_shipped(jars)]),
        "spark.jars.ivy": str(scratch),
    }
    for name in ("spark.jars.repositories", "spark.jars.ivySettings"):
        given = os.environ.get(name.upper().replace(".", "_"))
        if given:
            settings[name] = given
    done = subprocess.run(
        [sys.executable, "-c", _RESOLVE, *(f"{key}={value}" for key, value in settings.items())],
        capture_output=True,
        text=True,
        check=False,
    )
    if not (scratch / "jars").is_dir():
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        why = next((line for line in lines if "Exception" in line or "not found" in line), "")
        msg = (
            f"The JARs could not be fetched: {why.strip() or 'no answer'}. Check the "
            f"network, or name a mirror in SPARK_JARS_REPOSITORIES."
        )
        raise TransientError(msg)


def _find_shipped(jars: Sequence[Jar]) -> list[str]:
    """Return what must not come along, as Ivy excludes it."""
    asked = {jar.group for jar in jars}
    return [f"{group}:*" for group in _SHIPPED_BY_SPARK if group not in asked]


def _install(source: Path, target: Path) -> None:
    """Copy a file so that it appears whole or not at all."""
    try:
        part = target.with_suffix(f".{os.getpid()}.part")
        shutil.copyfile(source, part)
        part.replace(target)
    except OSError as error:
        msg = f"The JAR cannot be put into `{target.parent}`: {error.strerror}."
        raise TransientError(msg) from error


def _hash(path: Path) -> str | None:
    if not path.is_file():
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
