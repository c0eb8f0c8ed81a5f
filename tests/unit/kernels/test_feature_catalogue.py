"""The catalogue says of every number what it is, in the order in which the kernels make them."""

from __future__ import annotations

import pytest

from deeprubin_spark.bands import BAND_NAMES
from deeprubin_spark.kernels.band_pairs import PAIR_STATISTICS
from deeprubin_spark.kernels.damped_random_walk import WALK_STATISTICS
from deeprubin_spark.kernels.due_periods import N_COLUMNS
from deeprubin_spark.kernels.feature_catalogue import FEATURE_NAMES, FEATURES, GROUP_DOCS, LSST_UGRIZY, ZTF_GR, FeatureSet
from deeprubin_spark.kernels.parametric import PARAMETRIC_FEATURES
from deeprubin_spark.kernels.period_search import PERIOD_FEATURE_NAMES
from deeprubin_spark.kernels.point_counts import POINT_STATISTICS
from deeprubin_spark.kernels.posterior_shape import SHAPES, n_shape_features
from deeprubin_spark.kernels.process_features import NEWEST_STATISTICS, PROCESS_STATISTICS
from deeprubin_spark.kernels.structure_function import SCALE_STATISTICS
from deeprubin_spark.kernels.upper_limits import LIMIT_STATISTICS
from deeprubin_spark.kernels.variability import BAND_STATISTICS

SETS = [ZTF_GR, FeatureSet("one", ("r",)), FeatureSet("six", BAND_NAMES), LSST_UGRIZY]


@pytest.mark.parametrize("feature_set", SETS, ids=lambda s: s.name)
def test_every_feature_has_a_name_of_its_own_a_unit_a_sentence_a_formula_and_a_source(feature_set):
    assert len(set(feature_set.names)) == len(feature_set.features)
    assert all(f.unit and f.doc and f.formula and f.source for f in feature_set.features)
    assert all(f.doc[0].isupper() or f.doc[0].isdigit() for f in feature_set.features)
    assert not [f.name for f in feature_set.features if f.doc.endswith(".") or "|" in f.unit]


@pytest.mark.parametrize("feature_set", SETS, ids=lambda s: s.name)
def test_what_is_measured_in_flux_is_not_scale_free_and_all_else_is(feature_set):
    bright = {f.name for f in feature_set.features if "nJy" in f.unit or "absolute_magnitude" in f.name}
    assert {f.name for f in feature_set.features if not f.scale_free} == bright


@pytest.mark.parametrize("feature_set", SETS, ids=lambda s: s.name)
def test_groups_stand_together_and_their_first_columns_are_found(feature_set):
    groups = [f.group for f in feature_set.features]
    runs = [group for i, group in enumerate(groups) if i == 0 or groups[i - 1] != group]
    assert len(runs) == len(set(runs)) and set(runs) <= set(GROUP_DOCS)
    for group in runs:
        first, own = feature_set.first_column(group), feature_set.of_group(group)
        assert feature_set.features[first : first + len(own)] == own


@pytest.mark.parametrize("feature_set", SETS, ids=lambda s: s.name)
def test_columns_stand_in_the_order_of_the_kernels(feature_set):
    def names(group):
        return [f.name for f in feature_set.of_group(group)]

    def each_band(statistics):
        return [f"{statistic}_{b}" for b in feature_set.bands for statistic in statistics]

    pairs = [b + c for b, c in zip(feature_set.bands[:-1], feature_set.bands[1:], strict=True)]
    assert names("gp") == list(PROCESS_STATISTICS) and names("gp_last") == each_band(NEWEST_STATISTICS)
    assert names("gp_shape") == each_band(SHAPES)
    assert names("counts") == [f"n_{b}" for b in feature_set.bands] + list(POINT_STATISTICS)
    assert names("variability") == each_band(BAND_STATISTICS) and names("random_walk") == each_band(WALK_STATISTICS)
    assert names("scales") == each_band(SCALE_STATISTICS) and names("limits") == each_band(LIMIT_STATISTICS)
    assert names("pairs") == [f"{statistic}_{pair}" for pair in pairs for statistic in PAIR_STATISTICS]
    assert names("period")[1:] == list(PERIOD_FEATURE_NAMES) and len(names("period")) == N_COLUMNS
    assert len(names("gp_peak") + names("gp_shape") + names("gp_colour")) == n_shape_features(len(feature_set.bands))


def test_the_night_makes_about_two_hundred_features_and_bic_only_as_a_difference():
    assert 150 <= len(FEATURES) <= 230 and len(FEATURE_NAMES) == len(FEATURES)
    own = [f.name for f in ZTF_GR.of_group("parametric")]
    assert [name.removeprefix("delta_") for name in own] == [f.name for f in PARAMETRIC_FEATURES]
    assert not [name for name in FEATURE_NAMES if name.startswith("bic_")]


def test_no_feature_tells_where_on_the_sky_or_when():
    assert not {"ra", "dec", "mjd", "t_ref_mjd", "object_id"} & set(FEATURE_NAMES)
