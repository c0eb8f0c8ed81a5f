"""Settings are typed, layered, and refuse what they do not know."""

from __future__ import annotations

import pytest
from pydantic import BaseModel

from deeprubin_spark import settings
from deeprubin_spark.errors import ConfigError


def conf(tmp_path, **files: str) -> dict[str, str]:
    (tmp_path / "base.yml").write_text(files.pop("base", "{}"))
    for name, text in files.items():
        (tmp_path / f"{name}.yml").write_text(text)
    return {"DEEPRUBIN_CONF": str(tmp_path)}


def test_each_layer_wins_over_the_one_before(tmp_path):
    environ = conf(tmp_path, base="scoring: {min_rb: 0.1}", local="scoring: {min_rb: 0.2}")
    assert settings.load(environ={}).scoring.min_rb == 0.55
    assert settings.load(environ=environ).scoring.min_rb == 0.1
    assert settings.load("local", environ=environ).scoring.min_rb == 0.2
    environ["DEEPRUBIN_SCORING__MIN_RB"] = "0.3"
    assert settings.load("local", environ=environ).scoring.min_rb == 0.3
    assert settings.load("local", ["scoring.min_rb=0.4"], environ=environ).scoring.min_rb == 0.4


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("scoring.min_rbb=0.5", "scoring.min_rbb: no such setting"),
        ("scoring.min_rb=2", "scoring.min_rb: Input should be less than or equal to 1, found 2"),
        ("scoring=3", "scoring"),
        ("scoring", "expected section.key=value"),
        ("warehouse.catalog=a;DROP TABLE b", "warehouse.catalog"),
    ],
)
def test_a_bad_setting_is_named_with_its_source_and_value(override, told):
    with pytest.raises(ConfigError, match=f"--set {override}.*".replace("(", r"\(")) as error:
        settings.load(overrides=[override], environ={})
    assert told in str(error.value)


def test_a_mistake_in_a_file_names_the_file(tmp_path):
    with pytest.raises(ConfigError, match=r"base\.yml: ingest\.archives: no such setting"):
        settings.load(environ=conf(tmp_path, base="ingest: {archives: [x]}"))
    with pytest.raises(ConfigError, match="not YAML"):
        settings.load(environ=conf(tmp_path, base="a: [1"))


def test_an_environment_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"moon\.yml: cannot be read"):
        settings.load("moon", environ=conf(tmp_path))
    with pytest.raises(ConfigError, match="DEEPRUBIN_CONF"):
        settings.load("local", environ={})


def test_lists_and_numbers_can_be_given_on_the_command_line():
    resolved = settings.load(overrides=["ingest.archive=[a, b c]", "ingest.programids=[1, 2]"], environ={})
    assert resolved.ingest.archive == ("a", "b c")
    assert resolved.ingest.programids == (1, 2)


def test_the_fingerprint_changes_with_any_value_and_only_then():
    first = settings.load(environ={})
    assert first.fingerprint() == settings.load(overrides=["scoring.min_rb=0.55"], environ={}).fingerprint()
    assert first.fingerprint() != settings.load(overrides=["scoring.min_rb=0.56"], environ={}).fingerprint()


def test_every_setting_says_what_it_means():
    def undocumented(section: type[BaseModel]):
        for name, field in section.model_fields.items():
            kind = field.annotation
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from undocumented(kind)
            elif not field.description:
                yield f"{section.__name__}.{name}"

    assert list(undocumented(settings.Settings)) == []


@pytest.mark.parametrize("name", ["local", "cluster", "databricks"])
def test_the_carried_environments_are_valid(name):
    from pathlib import Path

    directory = Path(__file__).parents[2] / "conf"
    assert settings.load(name, environ={"DEEPRUBIN_CONF": str(directory)})
