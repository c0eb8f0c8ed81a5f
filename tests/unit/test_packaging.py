"""What is delivered: the wheel, its commands, the zip for executors."""

import ast
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from configparser import ConfigParser
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

from deeprubin_spark import __version__

CHECKOUT = Path(__file__).resolve().parents[2]
JOBS = {
    *("ingest_archive", "build_lightcurves", "fold_lightcurves", "extract_features", "score_night", "report_night", "nightly"),
    *(
        "ingest_plasticc",
        "ingest_spcc",
        "ingest_elasticc",
        "ingest_magnitudes",
        "augment",
        "ingest_labels",
        "ingest_alerce",
        "train",
        "benchmark",
        "evaluate",
        "study",
        "replay_night",
        "search_habitability",
        "search_interstellar",
        "study_injections",
        "search_technosignatures",
        "match_catalogues",
        "study_interstellar",
        "vote",
        "rerank_anomalies",
        "study_technosignatures",
    ),
}


def modules_of_the_checkout() -> set[str]:
    """Names in the wheel of all Python files that belong in it."""
    package = {str(file.relative_to(CHECKOUT)) for file in (CHECKOUT / "deeprubin_spark").rglob("*.py")}
    return package | {f"deeprubin_spark/jobs/{file.name}" for file in (CHECKOUT / "jobs").glob("*.py")}


def run_python(code: str, *paths: Path, cwd: Path) -> str:
    """Standard output of `code`, run away from the checkout with `paths` before everything else that can be imported."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))}
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert answer.returncode == 0, answer.stderr
    return answer.stdout.strip()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, so that an older build folder can add nothing; without a network."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for folder in ("deeprubin_spark", "jobs"):
        shutil.copytree(CHECKOUT / folder, source / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(CHECKOUT / file, source)
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
        "--wheel-dir",
        str(target),
        str(source),
    ]
    subprocess.run(command, check=True, timeout=300)
    return next(target.glob("*.whl"))


def member(wheel: Path, ending: str) -> str:
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(next(name for name in archive.namelist() if name.endswith(ending))).decode()


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    return Parser().parsestr(member(wheel, ".dist-info/METADATA"))


def test_the_wheel_holds_the_package_and_the_jobs_and_no_other_module(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        assert {name for name in archive.namelist() if name.endswith(".py")} == modules_of_the_checkout()


def test_the_wheel_holds_every_published_model_every_template_and_every_catalogue(wheel: Path) -> None:
    published = {str(file.relative_to(CHECKOUT)) for file in (CHECKOUT / "deeprubin_spark" / "published").rglob("*") if file.is_file()}
    catalogues = {str(file.relative_to(CHECKOUT)) for file in (CHECKOUT / "deeprubin_spark" / "searches" / "data").iterdir()}
    templates = {str(file.relative_to(CHECKOUT)) for end in ("html", "css") for file in (CHECKOUT / "deeprubin_spark").rglob(f"*.{end}")}
    with zipfile.ZipFile(wheel) as archive:
        missing = {name for name in published | templates | catalogues if "__pycache__" not in name} - set(archive.namelist())
    assert not missing


def test_every_job_is_a_console_command_whose_main_exists(wheel: Path) -> None:
    commands = ConfigParser()
    commands.read_string(member(wheel, ".dist-info/entry_points.txt"))
    scripts = dict(commands["console_scripts"])
    assert scripts.pop("deeprubin") == "deeprubin_spark.cli:main"
    assert scripts == {f"deeprubin-{job.replace('_', '-')}": f"deeprubin_spark.jobs.{job}:main" for job in JOBS}
    with zipfile.ZipFile(wheel) as archive:
        for target in scripts.values():
            tree = ast.parse(archive.read(target.split(":")[0].replace(".", "/") + ".py"))
            assert "main" in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, target


def test_the_wheel_says_its_version_and_leaves_spark_and_training_to_extras(metadata: Message) -> None:
    required = metadata.get_all("Requires-Dist", [])
    always = [line for line in required if "extra ==" not in line]
    assert metadata["Version"] == __version__
    assert metadata["Requires-Python"] == ">=3.10"
    assert {"spark", "train", "broker", "notebooks", "dev", "all"} <= set(metadata.get_all("Provides-Extra", []))
    assert not [line for line in always if line.startswith(("pyspark", "delta-spark", "petastorm", "alerce"))]
    assert not [line for line in required if line.lower().startswith("horovod")]


def test_the_wheel_installs_in_an_empty_environment(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "empty", with_pip=False)
    python = tmp_path / "empty" / "bin" / "python"
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index", str(wheel)]
    subprocess.run(install, check=True, timeout=120)
    found = subprocess.run(
        [python, "-c", "import deeprubin_spark as d; print(d.__version__)"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == __version__
    assert (tmp_path / "empty" / "bin" / "deeprubin-score-night").exists()


def test_every_module_of_the_installed_wheel_can_be_imported(wheel: Path, tmp_path: Path) -> None:
    target = tmp_path / "installed"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--target", str(target), str(wheel)],
        check=True,
        timeout=120,
    )
    names = sorted(name.removesuffix(".py").replace("/", ".").removesuffix(".__init__") for name in modules_of_the_checkout())
    code = f"import importlib\nfor name in {names}: print(importlib.import_module(name).__file__)"
    places = run_python(code, target, cwd=tmp_path).splitlines()
    assert len(places) == len(names)
    assert all(place.startswith(str(target)) for place in places)


@pytest.fixture(scope="module")
def package_zip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("zip") / "deeprubin_spark.zip"
    subprocess.run([sys.executable, str(CHECKOUT / "infra" / "zip_package.py"), str(target)], check=True, timeout=120, capture_output=True)
    return target


def test_the_zip_for_executors_is_importable_jobs_included(package_zip: Path, tmp_path: Path) -> None:
    code = "import deeprubin_spark.jobs.score_night as job, deeprubin_spark.tables as tables; print(job.__file__); print(tables.__file__)"
    assert all(line.startswith(str(package_zip)) for line in run_python(code, package_zip, cwd=tmp_path).splitlines())


def test_the_zip_and_the_wheel_hold_the_same_modules(package_zip: Path) -> None:
    with zipfile.ZipFile(package_zip) as archive:
        assert {name for name in archive.namelist() if name.endswith(".py")} == modules_of_the_checkout()


def test_the_same_tree_gives_the_same_zip(package_zip: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.zip"
    subprocess.run([sys.executable, str(CHECKOUT / "infra" / "zip_package.py"), str(again)], check=True, timeout=120, capture_output=True)
    assert again.read_bytes() == package_zip.read_bytes()
