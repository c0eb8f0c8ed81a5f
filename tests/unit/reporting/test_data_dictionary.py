from pathlib import Path

from deeprubin_spark.reporting.data_dictionary import data_dictionary
from deeprubin_spark.schemas import LIGHTCURVES, TABLES

_CARRIED = Path(__file__).parents[3] / "docs" / "data_dictionary.md"


def test_the_data_dictionary_in_docs_is_the_one_the_contracts_make():
    expected = data_dictionary()
    assert _CARRIED.read_text() == expected, "run: python -m deeprubin_spark.reporting.data_dictionary > docs/data_dictionary.md"


def test_every_column_of_every_table_is_in_the_data_dictionary():
    text = data_dictionary()
    for table in (*TABLES, LIGHTCURVES):
        section = text.split(f"## {table.name}\n")[1].split("\n## ")[0]
        assert [name for name in table.names if f"| `{name}` |" not in section] == []
