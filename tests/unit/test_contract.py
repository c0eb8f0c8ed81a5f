"""The contracts themselves: every column explained, keys and layouts that exist, one definition for Spark and Arrow."""

from __future__ import annotations

import pyarrow as pa
import pytest
from pyspark.sql.pandas.types import to_arrow_type

from deeprubin_spark.errors import ContractError
from deeprubin_spark.ingestion import alerce_points, elasticc, light_curve_tables, plasticc, plasticc_parts, plasticc_ztf, spcc
from deeprubin_spark.kernels.light_curve_features import FEATURES as KERNEL_FEATURES
from deeprubin_spark.schemas import FEATURES, LIGHTCURVES, TABLES, taxonomy
from deeprubin_spark.schemas.contract import Column
from deeprubin_spark.schemas.surveys import COPIED, SURVEY_NAMES, SURVEYS, is_simulated

ALL = (*TABLES, LIGHTCURVES)


def leaves(columns: tuple[Column, ...]):
    for column in columns:
        yield column
        yield from leaves(column.fields)


@pytest.mark.parametrize("table", ALL, ids=lambda table: table.name)
def test_every_column_says_what_it_means_and_keys_exist(table):
    assert [c.name for c in leaves(table.columns) if not c.doc] == []
    assert set(table.key) | set(table.partition_by) <= set(table.names)
    assert len(set(table.names)) == len(table.names)


@pytest.mark.parametrize("table", ALL, ids=lambda table: table.name)
def test_numbers_have_a_unit_unless_they_are_ids(table):
    without = [c.name for c in leaves(table.columns) if c.type in ("float", "double", "array<float>") and not c.unit]
    assert set(without) <= {"probability", "value"}, "'1' is the unit of a pure number"


@pytest.mark.parametrize("table", ALL, ids=lambda table: table.name)
def test_arrow_and_spark_see_the_same_types(table):
    for column in table.columns:
        from_spark = to_arrow_type(column.spark_type())
        assert names_and_types(from_spark) == names_and_types(column.arrow_type()), column.name


def names_and_types(kind: pa.DataType):
    if pa.types.is_list(kind):
        return ["list", names_and_types(kind.value_type)]
    if pa.types.is_struct(kind):
        return {kind.field(i).name: names_and_types(kind.field(i).type) for i in range(kind.num_fields)}
    if pa.types.is_map(kind):
        return {"map": [names_and_types(kind.key_type), names_and_types(kind.item_type)]}
    return str(kind)


def test_every_key_that_names_an_object_begins_with_the_survey():
    for table in TABLES:
        if "object_id" in table.key:
            assert table.key[0] == "survey", table.name


def test_the_features_table_has_exactly_the_kernels_features():
    assert [f.name for f in KERNEL_FEATURES] == [n for n in FEATURES.names if n in {f.name for f in KERNEL_FEATURES}]
    assert len(KERNEL_FEATURES) >= 150


def test_the_taxonomy_is_plasticcs_fourteen_classes():
    assert sorted(c.plasticc for c in taxonomy.CLASSES) == [6, 15, 16, 42, 52, 53, 62, 64, 65, 67, 88, 90, 92, 95]
    assert {c.branch for c in taxonomy.CLASSES} == set(taxonomy.BRANCHES)
    assert taxonomy.class_of_plasticc(90) == "SNIa"
    assert taxonomy.branch_of("AGN") == "Stochastic"
    with pytest.raises(ContractError, match="99"):
        taxonomy.class_of_plasticc(99)
    with pytest.raises(ContractError, match="asteroid"):
        taxonomy.branch_of("asteroid")


def test_every_reader_writes_a_survey_that_is_listed():
    modules = (alerce_points, elasticc, plasticc, plasticc_parts, plasticc_ztf, spcc)
    assert {module.SURVEY for module in modules} | {
        *("ztf", "ztf_labelled", "sdss_labelled"),
        *COPIED,
        *(light_curve_tables.SIX_BANDS, light_curve_tables.TWO_BANDS),
    } == set(SURVEY_NAMES)
    assert len(set(SURVEY_NAMES)) == len(SURVEY_NAMES)


def test_what_is_simulated_says_so_and_what_a_telescope_saw_does_not():
    assert [survey.name for survey in SURVEYS if survey.is_simulated] == [
        "plasticc",
        "plasticc_parts",
        "plasticc_ztf",
        "spcc",
        *COPIED,
        "elasticc",
    ]
    assert is_simulated("plasticc_ztf") and not is_simulated("ztf") and not is_simulated("another")
