"""The night's page: one HTML file that needs nothing but itself."""

from __future__ import annotations

import contextlib
import os
import tempfile
from importlib.resources import files
from pathlib import Path

from jinja2 import DictLoader, Environment, StrictUndefined
from markupsafe import Markup

from deeprubin_spark import __version__
from deeprubin_spark.errors import ConfigError
from deeprubin_spark.reporting import checks, costs
from deeprubin_spark.reporting.band_style import BAND_STYLES, STYLED_BANDS
from deeprubin_spark.reporting.evaluation_plots import SERIES_STYLES
from deeprubin_spark.reporting.facts import SEARCH_ORDER, NightFacts, Strange
from deeprubin_spark.reporting.light_curve_plot import Curve, curve, plot
from deeprubin_spark.reporting.night_plots import brightness_histogram, sky_map, supernova_map
from deeprubin_spark.reporting.queries import QUERIES
from deeprubin_spark.reporting.query import Parameter
from deeprubin_spark.reporting.search_facts import Candidate, Search
from deeprubin_spark.reporting.search_plots import disc, track
from deeprubin_spark.schemas.taxonomy import BRANCHES, CLASSES
from deeprubin_spark.settings import Settings

_SECTIONS = ("well.html", "seen.html", "strange.html", "searches.html", "cost.html")
_TEMPLATES = ("night.html", "macros.html", *_SECTIONS, "night.css", "evaluation.html")


def page(facts: NightFacts, settings: Settings, parameters: dict[str, Parameter]) -> str:
    """The page of a night. `parameters`: values that the queries shown on it are filled with."""
    made = checks.checks(facts, settings)
    each = costs.costs(facts)
    return (
        environment()
        .get_template("night.html")
        .render(
            facts=facts,
            css=Markup(template("night.css")),
            band_css=Markup(_band_css()),
            series_css=Markup(series_css()),
            bands=BAND_STYLES,
            checks=made,
            verdict=checks.verdict(made),
            branches=_branches(facts),
            n_classes=len(CLASSES),
            sky=sky_map(facts.cells) if facts.cells else Markup(""),
            brightness=brightness_histogram(facts.brightness),
            cards=[_card(facts, strange) for strange in facts.strange],
            **_of_searches(facts),
            costs=each,
            total=costs.total(each),
            queries=[(query, query.shown(parameters)) for query in QUERIES],
            version=__version__,
        )
    )


def file_name(facts: NightFacts) -> str:
    """Name of a night's page."""
    return f"{facts.survey}_{facts.night.isoformat()}.html"


def write(directory: str, name: str, text: str) -> Path:
    """Write a page so that a reader sees the old one or the new one, never half of it. ConfigError where that cannot be."""
    folder = Path(directory).expanduser()
    part = ""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=folder, prefix=f".{name}.", delete=False) as file:
            part = file.name
            file.write(text)
        os.chmod(part, 0o644)  # a temporary file is private, a page is to be read
        target = folder / name
        os.replace(part, target)
    except OSError as error:
        with contextlib.suppress(OSError):
            if part:
                os.unlink(part)
        raise ConfigError(f"report.path: {folder} cannot be written ({error.strerror}); set report.path to a directory that can") from error
    return target


def _card(facts: NightFacts, strange: Strange) -> tuple[Strange, Curve, Markup]:
    shown = curve(strange)
    return strange, shown, plot(shown, f"curve-{facts.night:%Y%m%d}-{strange.rank}")


def _of_searches(facts: NightFacts) -> dict[str, object]:
    """What the section of the searches shows beside the facts."""
    found = facts.searches
    return {
        "searched": [step.job for step in facts.steps if step.job in SEARCH_ORDER],
        "habitability_cards": _curve_cards("habitability", found.habitability),
        "technosignature_cards": _curve_cards("technosignatures", found.technosignatures),
        "interstellar_cards": [_track_card(one) for one in found.interstellar.candidates],
        "disc": disc(found.disc.rings) if found.disc else Markup(""),
        "disc_sky": supernova_map(found.disc.cells) if found.disc and found.disc.cells else Markup(""),
    }


def _curve_cards(name: str, search: Search) -> list[tuple[Candidate, Markup, tuple[str, ...]]]:
    """Each candidate with its light curve and the curve's bands."""
    curves = [(one, curve(one)) for one in search.candidates]
    return [(one, plot(shown, f"{name}-curve-{one.rank}"), shown.bands) for one, shown in curves]


def _track_card(one: Candidate) -> tuple[Candidate, Markup, tuple[str, ...]]:
    seen = {observation["band"] for observation in one.observations}
    return one, track(one.observations, one.object_id), tuple(band for band in STYLED_BANDS if band in seen)


def _branches(facts: NightFacts) -> list[tuple[str, int, list[tuple[str, str, int]]]]:
    """(branch, objects, [(class, meaning, objects)]) in the order of the taxonomy; one outside it would be a bug, shown under 'Other'."""
    found = facts.classes
    known = {leaf.name for leaf in CLASSES}
    rows = {branch: [(leaf.name, leaf.doc, found.get(leaf.name, 0)) for leaf in CLASSES if leaf.branch == branch] for branch in BRANCHES}
    other = [(name, "not in the taxonomy", count) for name, count in found.items() if name not in known]
    if other:
        rows["Other"] = other
    return [(branch, sum(count for _, _, count in leaves), leaves) for branch, leaves in rows.items()]


def _band_css() -> str:
    """One rule a band, so that pictures and legends take their colours from one place."""
    return "\n".join(f".band-{band} {{ --band: {BAND_STYLES[band].colour}; }}" for band in STYLED_BANDS)


def series_css() -> str:
    """One rule a series of an evaluation's pictures."""
    return "\n".join(f".series-{i + 1} {{ --band: {colour}; }}" for i, (colour, _) in enumerate(SERIES_STYLES))


def environment() -> Environment:
    """The templates of all pages, with the filters they use."""
    made = Environment(
        loader=DictLoader({name: template(name) for name in _TEMPLATES}),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["count"] = lambda value: f"{value:,}"
    made.filters["words"] = lambda text: str(text).replace("_", " ")
    made.filters["percent"] = lambda share: f"{share:.1%}"
    return made


def template(name: str) -> str:
    """Text of a template, also where the package is inside a zip."""
    return files(__package__).joinpath("templates", name).read_text(encoding="utf-8")
