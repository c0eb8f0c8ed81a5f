"""Set-up scripts, locks and container files: what can be said of them without a network or a container engine."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from deeprubin_spark import settings

CHECKOUT = Path(__file__).resolve().parents[2]
INFRA = CHECKOUT / "infra"
LEVELS = ("night", "train", "dev")


def pins(level: str) -> dict[str, str]:
    """Distribution -> version of a lock."""
    return dict(re.findall(r"^([\w.\-]+)==([^\s\\]+)", (INFRA / "locks" / f"{level}-py311.txt").read_text(), flags=re.MULTILINE))


def programs(folder: Path, *names: str) -> dict[str, str]:
    """An environment in which only these programs are found."""
    folder.mkdir()
    for name in names:
        found = next(Path(place) / name for place in os.environ["PATH"].split(":") if (Path(place) / name).exists())
        (folder / name).symlink_to(found)
    return {"PATH": str(folder), "HOME": str(folder)}


@pytest.mark.parametrize("wider, narrower", [("dev", "train"), ("train", "night")])
def test_a_wider_lock_holds_the_narrower_one_with_the_same_pins(wider: str, narrower: str) -> None:
    assert pins(narrower).items() <= pins(wider).items()


@pytest.mark.parametrize("level", LEVELS)
def test_every_locked_package_has_a_hash_and_no_lock_names_an_index(level: str) -> None:
    text = (INFRA / "locks" / f"{level}-py311.txt").read_text()
    assert text.count(" \\\n    --hash=sha256:") >= len(pins(level)) > 50
    assert "://" not in text


def test_the_jars_are_locked_for_the_locked_pyspark() -> None:
    lock = INFRA / "locks" / f"jars-{pins('night')['pyspark']}.sha256"
    assert f"delta-spark_4.1_2.13-{pins('night')['delta-spark']}.jar" in lock.read_text()


@pytest.mark.parametrize("script", sorted(INFRA.rglob("*.sh")) + [CHECKOUT / ".ci" / "run"], ids=lambda path: path.name)
def test_a_script_parses(script: Path) -> None:
    subprocess.run(["bash", "-n", str(script)], check=True)


def test_every_missing_prerequisite_is_named_with_the_line_that_brings_it(tmp_path: Path) -> None:
    bare = programs(tmp_path / "bin", "bash", "sed", "head")
    answer = subprocess.run(["bash", str(INFRA / "prerequisites.sh"), "dev"], env=bare, capture_output=True, text=True, check=False)
    assert answer.returncode == 1
    for package in ("python3.11 python3.11-venv", "openjdk-17-jdk-headless", "g++", "make"):
        assert f"apt-get install -y {package}" in answer.stderr


def test_an_older_java_is_a_missing_prerequisite(tmp_path: Path) -> None:
    old = programs(tmp_path / "bin", "bash", "sed", "head", "cat")
    java = tmp_path / "bin" / "java"
    java.write_text("#!/usr/bin/env bash\necho 'openjdk version \"11.0.2\" 2019-01-15' >&2\n")
    java.chmod(0o755)
    answer = subprocess.run(["bash", str(INFRA / "prerequisites.sh"), "night"], env=old, capture_output=True, text=True, check=False)
    assert "Java 17 or later (java is 11)" in answer.stderr


def test_an_unknown_level_of_set_up_is_refused(tmp_path: Path) -> None:
    environment = {**os.environ, "DEEPRUBIN_VENV": str(tmp_path / "venv")}
    answer = subprocess.run(["bash", str(INFRA / "setup.sh"), "everything"], env=environment, capture_output=True, text=True, check=False)
    assert answer.returncode == 2
    assert not (tmp_path / "venv").exists()


def test_make_without_a_target_lists_the_targets() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    answer = subprocess.run(["make"], cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=True)
    assert {"night", "test", "check", "sql", "setup"} <= set(re.findall(r"^  make ([a-z-]+)", answer.stdout, flags=re.MULTILINE))


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((INFRA / "compose" / "compose.yml").read_text())
    return loaded


def test_the_compose_file_is_a_master_and_two_workers_of_one_image(compose: dict[str, Any]) -> None:
    services = compose["services"]
    assert set(services) == {"master", "worker", "driver"}
    assert services["worker"]["deploy"]["replicas"] == 2
    assert {service["image"] for service in services.values()} == {"deeprubin-spark"}
    assert (INFRA / "compose" / services["master"]["build"]["context"] / services["master"]["build"]["dockerfile"]).exists()


def test_the_settings_in_the_compose_file_are_settings(compose: dict[str, Any]) -> None:
    resolved = settings.load(environ=compose["services"]["driver"]["environment"])
    assert resolved.spark.master == "spark://master:7077"
    assert resolved.spark.conf["spark.driver.host"] == "driver"


def test_every_path_the_image_copies_is_in_the_checkout_and_not_ignored() -> None:
    ignored = (CHECKOUT / ".dockerignore").read_text().split()
    for line in re.findall(r"^COPY (.*)$", (INFRA / "image" / "Dockerfile").read_text(), flags=re.MULTILINE):
        for source in line.split()[:-1]:
            assert (CHECKOUT / source).exists(), source
            assert source.split("/")[0] not in ignored
