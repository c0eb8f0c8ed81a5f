"""Other people's classes in ours: PLAsTiCC, ELAsTiCC v0.9.1, ALeRCE's light-curve classifier, Fink's tags. One row for each class of theirs.

Sources, read for this table:
plasticc   PLAsTiCC team 2018 (arXiv:1810.00001), Kessler et al. 2019 (arXiv:1903.11756); the codes from 991 on are in the unblinded test set only.
elasticc   Taxonomy of the v0.9.1 alert schema: LSSTDESC/elasticc taxonomy/taxonomy.ipynb at bc0de48. Codes have four digits. The three-digit ones
           (111 Ia, 221 AGN) are the first campaign's of 2022 (LSSTDESC/elasticc_metrics sql_query_conf_matrices_objects.py), and stand under `earlier`.
elasticc_model   GENTYPE of the simulation, the truth: LSSTDESC/elasticc alert_schema/elasticc_origmap.txt at 294de74; which class each model is:
           LSSTDESC/tom_desc elasticc2/migrations/0016_redo_typemap.py.
alerce     Sanchez-Saez et al. 2021 (arXiv:2008.03311): the 15 classes of lc_classifier.
fink       Moeller et al. 2021 (arXiv:2009.10185); astrolabsoftware/fink-filters fink_filters/classification.py. Where SIMBAD knows the place, Fink's tag
           is SIMBAD's type instead; of those only the ones that say something of our classes are here.
"""

from __future__ import annotations

from typing import NamedTuple

from deeprubin_spark.errors import ContractError
from deeprubin_spark.schemas.taxonomy import CLASS_NAMES

SAME, NEARLY, PART, WIDER, NONE = "=", "~", "<", ">", ""
RELATIONS: dict[str, str] = {
    SAME: "the same class: nothing is lost either way",
    NEARLY: "the same but for a minority, which the note names: lossy both ways, but it may be used as a label",
    PART: "theirs lies inside ours: lossy on the way to them, since ours has more than one of theirs",
    WIDER: "theirs holds ours and other things: lossy on the way to us, so such a label has no class of ours",
    NONE: "none of ours",
}
# Of a relation that is not here a label of theirs says no class of ours: choosing would be guessing.
USABLE = (SAME, NEARLY, PART)


class Theirs(NamedTuple):
    """One class of theirs: its code or name, what it is, the classes of ours it overlaps, how (`RELATIONS`), what is lost, an earlier code.

    The relation is that with the first class of `ours`; the others are a minority in it, or all are alike where theirs is wider.
    """

    code: str
    meaning: str
    ours: tuple[str, ...] = ()
    relation: str = NONE
    note: str = ""
    earlier: str = ""


_THERMONUCLEAR = ("SNIa", "SNIa-91bg", "SNIax")
_SUPERNOVAE = (*_THERMONUCLEAR, "SNII", "SNIbc")
_OF_SIMBAD = "a catalogue's type, whatever the alert looks like"

PLASTICC = (
    Theirs("90", "SNIa", ("SNIa",), SAME),
    Theirs("67", "SNIa-91bg", ("SNIa-91bg",), SAME),
    Theirs("52", "SNIax", ("SNIax",), SAME),
    Theirs("42", "SNII", ("SNII",), SAME, "holds IIn"),
    Theirs("62", "SNIbc", ("SNIbc",), SAME),
    Theirs("95", "SLSN-I", ("SLSN-I",), SAME),
    Theirs("15", "TDE", ("TDE",), SAME),
    Theirs("64", "KN", ("Kilonova",), SAME),
    Theirs("6", "uLens-Single", ("Microlensing",), SAME),
    Theirs("88", "AGN", ("AGN",), SAME),
    Theirs("65", "M-dwarf", ("M-dwarf",), SAME),
    Theirs("92", "RRL", ("RRL",), SAME),
    Theirs("16", "EB", ("EB",), SAME),
    Theirs("53", "Mira", ("Mira",), SAME),
    Theirs("99", "none of the training classes: 991 to 995 together"),
    Theirs("991", "uLens-Binary"),
    Theirs("992", "ILOT"),
    Theirs("993", "CaRT"),
    Theirs("994", "PISN"),
    Theirs("995", "uLens-String"),
)

ELASTICC = (
    Theirs("0", "Meta"),
    Theirs("100", "Meta/Other"),
    Theirs("200", "Residual"),
    Theirs("300", "NotClassified"),
    Theirs("1000", "Static"),
    Theirs("1100", "Static/Other"),
    Theirs("2000", "Variable", CLASS_NAMES, WIDER, "every class"),
    Theirs("2100", "Variable/Other"),
    Theirs(
        *("2200", "Non-Recurring", (*_SUPERNOVAE, "SLSN-I", "TDE", "Kilonova", "Microlensing", "M-dwarf"), WIDER),
        note="M-dwarf flares are Stochastic with us, not Transient",
        earlier="1",
    ),
    Theirs("2210", "Non-Recurring/Other", earlier="10"),
    Theirs("2220", "SN-like", _SUPERNOVAE, WIDER, "five classes", "11"),
    Theirs("2221", "SN-like/Other", earlier="110"),
    Theirs("2222", "Ia", ("SNIa",), SAME, earlier="111"),
    Theirs("2223", "Ib/c", ("SNIbc",), SAME, "holds broad-lined Ic", "112"),
    Theirs("2224", "II", ("SNII",), NEARLY, "holds IIb, which is between II and Ib", "113"),
    Theirs("2225", "Iax", ("SNIax",), SAME, earlier="114"),
    Theirs("2226", "91bg", ("SNIa-91bg",), SAME, earlier="115"),
    Theirs("2230", "Fast", ("Kilonova", "M-dwarf", "Microlensing"), WIDER, "with dwarf novae", "12"),
    Theirs("2231", "Fast/Other", earlier="120"),
    Theirs("2232", "KN", ("Kilonova",), SAME, earlier="121"),
    Theirs("2233", "M-dwarf Flare", ("M-dwarf",), SAME, earlier="122"),
    Theirs("2234", "Dwarf Novae", earlier="123"),
    Theirs("2235", "uLens", ("Microlensing",), NEARLY, "holds binary lenses", "124"),
    Theirs("2240", "Long", ("SLSN-I", "TDE"), WIDER, "with ILOT, CART and PISN", "13"),
    Theirs("2241", "Long/Other", earlier="130"),
    Theirs("2242", "SLSN", ("SLSN-I",), SAME, "only type I was simulated", "131"),
    Theirs("2243", "TDE", ("TDE",), SAME, earlier="132"),
    Theirs("2244", "ILOT", earlier="133"),
    Theirs("2245", "CART", earlier="134"),
    Theirs("2246", "PISN", earlier="135"),
    Theirs("2300", "Recurring", ("AGN", "RRL", "EB", "Mira"), WIDER, "with other variables", "2"),
    Theirs("2310", "Recurring/Other", earlier="20"),
    Theirs("2320", "Periodic", ("RRL", "EB", "Mira"), WIDER, "with Cepheids and delta Scuti stars", "21"),
    Theirs("2321", "Periodic/Other", earlier="210"),
    Theirs("2322", "Cepheid", earlier="211"),
    Theirs("2323", "RR Lyrae", ("RRL",), SAME, earlier="212"),
    Theirs("2324", "Delta Scuti", earlier="213"),
    Theirs("2325", "EB", ("EB",), SAME, earlier="214"),
    Theirs("2326", "LPV/Mira", ("Mira",), WIDER, "with semiregular stars; no model was simulated", "215"),
    Theirs("2330", "Non-Periodic", ("AGN",), WIDER, "with other variables", "22"),
    Theirs("2331", "Non-Periodic/Other", earlier="220"),
    Theirs("2332", "AGN", ("AGN",), SAME, earlier="221"),
)

ELASTICC_MODEL = (
    Theirs("10", "SNIa-SALT2", ("SNIa",), SAME),
    Theirs("11", "SNIa-91bg", ("SNIa-91bg",), SAME),
    Theirs("12", "SNIax", ("SNIax",), SAME),
    Theirs("20", "SNIb-Templates", ("SNIbc",), PART),
    Theirs("21", "SNIb+HostXT_V19", ("SNIbc",), PART),
    Theirs("25", "SNIc-Templates", ("SNIbc",), PART),
    Theirs("26", "SNIc+HostXT_V19", ("SNIbc",), PART),
    Theirs("27", "SNIcBL+HostXT_V19", ("SNIbc",), PART),
    Theirs("30", "SNII-NMF", ("SNII",), PART),
    Theirs("31", "SNII-Templates", ("SNII",), PART),
    Theirs("32", "SNII+HostXT_V19", ("SNII",), PART),
    Theirs("35", "SNIIn-MOSFIT", ("SNII",), PART),
    Theirs("36", "SNIIn+HostXT_V19", ("SNII",), PART),
    Theirs("37", "SNIIb+HostXT_V19", ("SNII", "SNIbc"), WIDER, "between II and Ib; ELAsTiCC counts it as II"),
    Theirs("40", "SLSN-I+host, SLSN-I_no_host", ("SLSN-I",), SAME),
    Theirs("42", "TDE", ("TDE",), SAME),
    Theirs("45", "ILOT"),
    Theirs("46", "CART"),
    Theirs("50", "KN_K17", ("Kilonova",), PART),
    Theirs("51", "KN_B19", ("Kilonova",), PART),
    Theirs("57", "PISN-STELLA-HECORE"),
    Theirs("58", "PISN-STELLA-HYDROGENIC"),
    Theirs("59", "PISN-MOSFIT"),
    Theirs("60", "AGN", ("AGN",), SAME),
    Theirs("71", "SL-SNIa", ("SNIa",), PART, "strongly lensed"),
    Theirs("72", "SL-SNII+HostXT_V19", ("SNII",), PART, "strongly lensed"),
    Theirs("73", "SL-SNIb+HostXT_V19", ("SNIbc",), PART, "strongly lensed"),
    Theirs("74", "SL-SNIc+HostXT_V19", ("SNIbc",), PART, "strongly lensed"),
    Theirs("80", "RRL", ("RRL",), SAME),
    Theirs("82", "Mdwarf-flare", ("M-dwarf",), SAME),
    Theirs("83", "EB", ("EB",), SAME),
    Theirs("84", "dwarf-nova"),
    Theirs("87", "uLens-Single_PyLIMA", ("Microlensing",), PART),
    Theirs("88", "uLens-Single-GenLens", ("Microlensing",), PART),
    Theirs("89", "uLens-Binary"),
    Theirs("90", "Cepheid"),
    Theirs("91", "d-Sct"),
)

ALERCE = (
    Theirs("SNIa", "type Ia supernova", _THERMONUCLEAR, NEARLY, "the few 91bg and Iax among its spectroscopic Ia are not told apart"),
    Theirs("SNIbc", "type Ib or Ic supernova", ("SNIbc",), SAME),
    Theirs("SNII", "type II supernova", ("SNII",), NEARLY, "its IIb are not told apart"),
    Theirs("SLSN", "superluminous supernova", ("SLSN-I",), WIDER, "types I and II together"),
    Theirs("QSO", "quasar", ("AGN",), PART),
    Theirs("AGN", "active nucleus with a visible host", ("AGN",), PART),
    Theirs("Blazar", "blazar", ("AGN",), PART),
    Theirs("YSO", "young stellar object"),
    Theirs("CV/Nova", "cataclysmic variable or nova"),
    Theirs("LPV", "long-period variable", ("Mira",), WIDER, "with semiregular and irregular stars"),
    Theirs("E", "eclipsing binary", ("EB",), SAME),
    Theirs("DSCT", "delta Scuti star"),
    Theirs("RRL", "RR Lyrae star", ("RRL",), SAME),
    Theirs("CEP", "Cepheid"),
    Theirs("Periodic-Other", "another periodic variable"),
)

FINK = (
    Theirs("Early SN Ia candidate", "young supernova, probably Ia", ("SNIa",), WIDER, "a candidate by two scores, before maximum"),
    Theirs("SN candidate", "supernova", (*_SUPERNOVAE, "SLSN-I"), WIDER, "six classes"),
    Theirs("Kilonova candidate", "kilonova", ("Kilonova",), WIDER, "most are supernovae"),
    Theirs("Microlensing candidate", "microlensing", ("Microlensing",), WIDER, "a candidate by its shape"),
    Theirs("Solar System MPC", "known asteroid or comet: a gate with us, not a class"),
    Theirs("Solar System candidate", "new asteroid: a gate with us, not a class"),
    Theirs("Tracklet", "satellite or debris: a gate with us, not a class"),
    Theirs("Ambiguous", "several of the above", CLASS_NAMES, WIDER),
    Theirs("Unknown", "none of the above", CLASS_NAMES, WIDER),
    Theirs("SN", "SIMBAD's supernova", (*_SUPERNOVAE, "SLSN-I"), WIDER, _OF_SIMBAD),
    Theirs("Supernova", "SIMBAD's supernova, older name", (*_SUPERNOVAE, "SLSN-I"), WIDER, _OF_SIMBAD),
    Theirs("AGN", "SIMBAD's active nucleus", ("AGN",), PART, _OF_SIMBAD),
    Theirs("QSO", "SIMBAD's quasar", ("AGN",), PART, _OF_SIMBAD),
    Theirs("Seyfert_1", "SIMBAD's Seyfert 1 galaxy", ("AGN",), PART, _OF_SIMBAD),
    Theirs("Seyfert_2", "SIMBAD's Seyfert 2 galaxy", ("AGN",), PART, _OF_SIMBAD),
    Theirs("BLLac", "SIMBAD's BL Lac object", ("AGN",), PART, _OF_SIMBAD),
    Theirs("Blazar", "SIMBAD's blazar", ("AGN",), PART, _OF_SIMBAD),
    Theirs("RRLyr", "SIMBAD's RR Lyrae star", ("RRL",), SAME, _OF_SIMBAD),
    Theirs("EB*", "SIMBAD's eclipsing binary", ("EB",), SAME, _OF_SIMBAD),
    Theirs("Mira", "SIMBAD's Mira star", ("Mira",), SAME, _OF_SIMBAD),
    Theirs("LPV*", "SIMBAD's long-period variable", ("Mira",), WIDER, _OF_SIMBAD),
)

TAXONOMIES: dict[str, tuple[Theirs, ...]] = {
    "plasticc": PLASTICC,
    "elasticc": ELASTICC,
    "elasticc_model": ELASTICC_MODEL,
    "alerce": ALERCE,
    "fink": FINK,
}


def class_of(taxonomy: str) -> dict[str, str]:
    """Our class of each of their codes that says one; a code that is not here says none. ContractError for a taxonomy we do not know."""
    return {theirs.code: theirs.ours[0] for theirs in rows_of(taxonomy) if theirs.relation in USABLE}


def rows_of(taxonomy: str) -> tuple[Theirs, ...]:
    """All classes of a taxonomy. ContractError where we do not know it."""
    if taxonomy not in TAXONOMIES:
        raise ContractError(f"taxonomy: expected one of {', '.join(TAXONOMIES)}, found {taxonomy!r}")
    return TAXONOMIES[taxonomy]


def in_theirs(taxonomy: str, ours: str) -> tuple[tuple[Theirs, str], ...]:
    """Their classes that come closest to one of ours, each with its sign: those that say it, else all wider ones that say something.

    A class of theirs that overlaps more than half of ours says nothing.
    """
    found = [theirs for theirs in rows_of(taxonomy) if ours in theirs.ours and len(theirs.ours) <= len(CLASS_NAMES) // 2]
    signed = [(theirs, theirs.relation if theirs.ours[0] == ours else WIDER) for theirs in found]
    return tuple(pair for pair in signed if pair[1] in USABLE) or tuple(signed)
