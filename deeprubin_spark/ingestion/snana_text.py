"""One object as SNANA writes it to a text file: header lines `KEY: value ...`, then a line `OBS:` for each measurement.

Kessler et al. 2009 (arXiv:0908.4280), and the SNANA manual's section on the text format. The simulation's truth stands in lines whose key begins with SIM_
and in the column SIM_MAG. `observed` never looks at them, nor at the spectroscopic type and redshifts; `truth` looks at nothing else but the type.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

_TYPE = re.compile(r"SN Type = (\w+)")
_COLUMNS = {"mjd": "MJD", "band": "FLT", "flux": "FLUXCAL", "flux_err": "FLUXCALERR"}


def observed(text: str) -> dict[str, Any] | None:
    """What an observer has: object_id, ra, dec, ebv, photo_z, photo_z_err, and the lists mjd, band, flux, flux_err.

    None for a text that is not such a file: no SNID, no place, no list of columns, or a measurement that does not have them. Flux is FLUXCAL.
    """
    try:
        header = dict(_header(text))
        columns = header["VARLIST"].split()
        rows = [line.split()[1:] for line in text.splitlines() if line.startswith("OBS:")]
        place = {name: columns.index(theirs) for name, theirs in _COLUMNS.items()}
        photo_z, photo_z_err = _with_error(header.get("HOST_GALAXY_PHOTO-Z", ""))
        return {
            "object_id": header["SNID"].split()[0],
            "ra": _number(header["RA"]),
            "dec": _number(header["DECL"]),
            "ebv": _number(header["MWEBV"]) if "MWEBV" in header else None,
            "photo_z": photo_z,
            "photo_z_err": photo_z_err,
            "band": [row[place["band"]] for row in rows],
            **{name: [float(row[place[name]]) for row in rows] for name in ("mjd", "flux", "flux_err")},
        }
    except (KeyError, ValueError, IndexError):
        return None


def truth(text: str) -> dict[str, Any] | None:
    """What was told afterwards: object_id, sntype, the spectroscopic type's number (-9: no spectrum), and true_type. None as for `observed`."""
    try:
        header = dict(_header(text))
        found = _TYPE.search(header.get("SIM_COMMENT", ""))
        sntype = int(header["SNTYPE"].split()[0]) if "SNTYPE" in header else None
        return {"object_id": header["SNID"].split()[0], "sntype": sntype, "true_type": found.group(1) if found else None}
    except (KeyError, ValueError, IndexError):
        return None


def _header(text: str) -> Iterator[tuple[str, str]]:
    """Key and value of each header line, without the truth for whoever does not ask for it by name."""
    for line in text.splitlines():
        key, colon, value = line.partition(":")
        if colon and key and key != "OBS" and not key.startswith("#"):
            yield key.strip(), value.strip()


def _number(value: str) -> float:
    return float(value.split()[0])


def _with_error(value: str) -> tuple[float | None, float | None]:
    """'0.3502  +- 0.0468' to its two numbers."""
    number, _, error = value.partition("+-")
    return (_number(number) if number.strip() else None), (_number(error) if error.strip() else None)
