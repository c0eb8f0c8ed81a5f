"""Fetch the jars that Spark does not ship (Delta, Avro, Kafka) once, into a folder that sessions then load without a network.

    python infra/fetch_jars.py DESTINATION
    python infra/fetch_jars.py --relock DESTINATION      write the sums instead of comparing them: after a version bump

Resolved by Spark's own Ivy from Maven Central alone (`ivysettings.xml`, or the file named by IVY_SETTINGS), compared with the SHA-256
sums of `infra/locks/jars-<pyspark version>.sha256`, and renamed into place as a whole: a folder that exists is complete. Jars that
pyspark already ships (jackson, log4j, parquet, hadoop-client, ...) are left out, since two copies of a class on one class path are a
lottery.
"""

import contextlib
import hashlib
import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

SCALA = "2.13"
HERE = Path(__file__).resolve().parent
LOCK = HERE / "locks" / f"jars-{importlib.metadata.version('pyspark')}.sha256"


class JarsNotFetched(Exception):
    """The jars could not be resolved, or are not the locked ones; the message says what to do next."""


def packages() -> tuple[str, ...]:
    """Maven coordinates, by the installed pyspark and delta-spark. Since Delta 4.1 the Spark version is part of the artifact's name."""
    spark, delta = importlib.metadata.version("pyspark"), importlib.metadata.version("delta-spark")
    spark_line = ".".join(spark.split(".")[:2])
    return (
        f"io.delta:delta-spark_{spark_line}_{SCALA}:{delta}",
        f"org.apache.spark:spark-avro_{SCALA}:{spark}",
        f"org.apache.spark:spark-sql-kafka-0-10_{SCALA}:{spark}",
        f"org.apache.spark:spark-token-provider-kafka-0-10_{SCALA}:{spark}",
    )


def spark_home() -> Path:
    """Folder of pip's pyspark, found without importing it."""
    spec = importlib.util.find_spec("pyspark")
    if spec is None or spec.origin is None:
        raise JarsNotFetched("pyspark is not installed in this Python; run `make setup-night`, which installs it first.")
    return Path(spec.origin).parent


def artifact(jar: str) -> str:
    """`delta-spark_4.1_2.13-4.4.0.jar` -> `delta-spark_4.1_2.13`: what two versions of one library share."""
    return re.sub(r"-\d[\w.\-]*\.jar$", "", jar)


def resolve(ivy: Path) -> list[Path]:
    """All jars of `packages()` and what they need, in Ivy's folder; Ivy names them `group_artifact-version.jar`."""
    settings = os.environ.get("IVY_SETTINGS", str(HERE / "ivysettings.xml"))
    nothing = ivy / "nothing.py"
    nothing.touch()
    home = spark_home()
    python = {"PYSPARK_PYTHON": sys.executable, "PYSPARK_DRIVER_PYTHON": sys.executable, "SPARK_HOME": str(home)}
    answer = subprocess.run(
        [str(home / "bin" / "spark-submit"), "--master", "local[1]", "--packages", ",".join(packages()),
         "--conf", f"spark.jars.ivy={ivy}", "--conf", f"spark.jars.ivySettings={settings}", str(nothing)],
        env={**os.environ, **python}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if answer.returncode != 0:
        tail = "\n".join(answer.stderr.splitlines()[-15:])
        raise JarsNotFetched(
            f"Ivy could not resolve {', '.join(packages())} (exit {answer.returncode}):\n{tail}\n"
            f"Check the network, or name a mirror in a copy of {settings} and point IVY_SETTINGS at it; then run make again."
        )
    return sorted((ivy / "jars").glob("*.jar"))


def keep_new(jars: list[Path], folder: Path) -> None:
    """Copy the jars that pyspark lacks into `folder`, under their artifact names."""
    shipped = {artifact(jar.name) for jar in (spark_home() / "jars").glob("*.jar")}
    for jar in jars:
        name = jar.name.split("_", 1)[1]
        if artifact(name) not in shipped:
            shutil.copy(jar, folder / name)


def sums(folder: Path) -> str:
    """The folder's contents in the form of `sha256sum`."""
    return "".join(f"{hashlib.sha256(jar.read_bytes()).hexdigest()}  {jar.name}\n" for jar in sorted(folder.glob("*.jar")))


def compare(found: str, lock: Path) -> None:
    """Raise JarsNotFetched where the fetched jars are not the locked ones."""
    expected = lock.read_text() if lock.exists() else ""
    if found != expected:
        strange = sorted(set(found.splitlines()) ^ set(expected.splitlines()))
        raise JarsNotFetched(
            f"The fetched jars differ from {lock.name} in {len(strange)} lines; first: {strange[0]}\n"
            "If you changed the pyspark or delta-spark version on purpose, run `make lock-jars` and commit the new sums; "
            "otherwise do not use these."
        )


def fetch(destination: Path) -> int:
    """Fill `destination` with the locked jars, unless it holds them already; returns how many there are."""
    if not LOCK.exists() or sums(destination) != LOCK.read_text():
        with downloaded(destination.parent) as folder:
            compare(sums(folder), LOCK)
            put(folder, destination)
    return len(list(destination.glob("*.jar")))


def relock(destination: Path) -> int:
    """Fetch anew and take what came as the lock; returns how many jars there are."""
    with downloaded(destination.parent) as folder:
        LOCK.write_text(sums(folder))
        put(folder, destination)
    return len(list(destination.glob("*.jar")))


@contextlib.contextmanager
def downloaded(parent: Path) -> Iterator[Path]:
    """A folder beside the destination (renaming needs one file system) with the jars in it, gone afterwards."""
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parent, prefix=".fetching-") as work:
        ivy, folder = Path(work) / "ivy", Path(work) / "jars"
        ivy.mkdir()
        folder.mkdir()
        keep_new(resolve(ivy), folder)
        yield folder


def put(folder: Path, destination: Path) -> None:
    """Rename `folder` to `destination`; what stood there (jars of another lock) goes first."""
    if destination.exists():
        destination.rename(folder.parent / "replaced")
    try:
        folder.rename(destination)
    except OSError:
        # another set-up that ran beside this one may have finished first: then it is the same, checked jars
        if sums(destination) != sums(folder):
            raise


if __name__ == "__main__":
    steps = {"--relock": relock}
    try:
        count = steps.get(sys.argv[1], fetch)(Path(sys.argv[-1]))
    except JarsNotFetched as refusal:
        sys.exit(str(refusal))
    print(f"{count} jars in {sys.argv[-1]}")
