"""Lists of objects with the types that catalogues give them, and what those types are in our taxonomy.

Types: variable stars as VSX and GCVS write them (Samus et al. 2017, https://www.sai.msu.su/gcvs/gcvs/vartype.htm), transients as the
Transient Name Server does.
"""

from __future__ import annotations

import datetime as dt

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from deeprubin_spark.schemas import LABELS

COLUMNS = "objectId string, source string, label string"

# Our class where the type is the same or lies inside it. A type that is not here has no class: wider than ours (LPV, SN) or none of ours.
CLASS_OF_TYPE: dict[str, str] = {
    **dict.fromkeys(("RR", "RRAB", "RRC", "RRD", "RRAB/BL", "RRC/BL"), "RRL"),
    **dict.fromkeys(("E", "EA", "EB", "EC", "ED", "ESD", "EW", "EA/SD", "EB/SD", "EW/KW"), "EB"),
    "M": "Mira",
    **dict.fromkeys(("AGN", "BLLAC", "QSO"), "AGN"),
    **dict.fromkeys(("SN Ia", "SN Ia-91T"), "SNIa"),
    "SN Ia-91bg": "SNIa-91bg",
    "SN Iax": "SNIax",
    **dict.fromkeys(("SN Ib", "SN Ic", "SN Ib/c", "SN Ic-BL", "SN Ibn"), "SNIbc"),
    **dict.fromkeys(("SN II", "SN IIP", "SN IIL", "SN IIn"), "SNII"),  # PLAsTiCC's SNII holds IIn (Kessler et al. 2019)
    "SLSN-I": "SLSN-I",
    "TDE": "TDE",
}


def labels(listed: DataFrame, survey: str, labelled_on: dt.date) -> DataFrame:
    """Labels rows of a list with `COLUMNS`; one for each object and source, the types joined by '|' where a source gives several.

    An uncertain type ('EA:') and alternatives of one class ('EW|EA') count as that class, alternatives of several classes as none.
    """
    types = F.concat_ws("|", F.array_sort(F.collect_set("label")))
    one = listed.where("objectId IS NOT NULL AND source IS NOT NULL AND label IS NOT NULL").groupBy("objectId", "source")
    return LABELS.select(
        one.agg(types.alias("label")).select(
            F.lit(survey).alias("survey"),
            F.col("objectId").alias("object_id"),
            "source",
            F.lit(labelled_on).alias("labelled_on"),
            "label",
            _class_of(F.col("label")).alias("class"),
            F.lit(None).cast("double").alias("probability"),
        )
    )


def _class_of(label: Column) -> Column:
    known = F.create_map(*(F.lit(text) for pair in CLASS_OF_TYPE.items() for text in pair))
    certain = F.transform(F.split(label, r"\|"), lambda kind: F.try_element_at(known, F.rtrim(F.translate(kind, ":?", ""))))
    found = F.array_distinct(certain)
    return F.when(F.size(found) == 1, F.element_at(found, 1))
