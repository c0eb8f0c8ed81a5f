"""What the searches say without any night: rings of the disc, and stars with planets near explosions to come."""

import numpy as np
import pytest
from astropy import units
from astropy.coordinates import SkyCoord

from deeprubin_spark.kernels import sterilisation
from deeprubin_spark.schemas import HABITABILITY_NEARBY
from deeprubin_spark.searches import catalogues, habitability

PLACE = {"ra": units.deg, "dec": units.deg, "distance_pc": units.pc}


def test_the_disc_has_a_habitable_ring_between_centre_and_rim():
    rings = habitability.disc_rings()
    assert (rings["p_kill_1gyr_lo"] <= rings["p_kill_1gyr"]).all() and (rings["p_kill_1gyr"] <= rings["p_kill_1gyr_hi"]).all()
    assert (rings["p_kill_1gyr"] <= rings["p_kill_1gyr_xray"] + 1e-9).all()
    assert rings["p_kill_1gyr"].is_monotonic_decreasing
    assert 7 <= rings["ghz_index"].idxmax() < 19


def test_the_nearest_hazard_of_a_star_is_the_one_with_the_smallest_margin():
    rows = habitability.nearest_hazards().set_index("star")
    proxima = rows.loc["Proxima Centauri"]
    assert (proxima["progenitor"], proxima["kind"]) == ("IK Pegasi", "SNIa")
    assert proxima["separation_pc"] == pytest.approx(46.0, abs=1.3) and proxima["margin_pc"] == pytest.approx(
        proxima["separation_pc"] - 14.2
    )
    assert proxima["separation_err_pc"] == pytest.approx(2.0, abs=0.1)
    assert proxima["d_crit_pc_hi"] == pytest.approx(14.2 * 10.0 ** sterilisation.critical_distance_dex(0.3))
    assert tuple(rows.reset_index().columns) == HABITABILITY_NEARBY.names and rows.index.is_unique


def test_separations_are_those_of_astropy():
    rows, progenitors = habitability.nearest_hazards().iloc[::400], catalogues.table("progenitors.csv").set_index("name")
    far = progenitors.loc[rows["progenitor"]]
    stars = SkyCoord(*(rows[name].to_numpy() * unit for name, unit in PLACE.items()))
    others = SkyCoord(*(far[name].to_numpy() * unit for name, unit in PLACE.items()))
    assert rows["separation_pc"].to_numpy() == pytest.approx(stars.separation_3d(others).pc, rel=1e-9)


def test_lethal_distances_are_those_of_the_references_and_type_ia_is_5_6_times_as_lethal_by_construction():
    kinds = catalogues.kinds()
    assert kinds.lethal_distance[kinds.at("SNII")] == 8.0
    assert (kinds.lethal_distance[kinds.at("SNIa")] / 8.0) ** 3 == pytest.approx(5.6, rel=0.01)
    assert sterilisation.critical_distance(kinds.hazards.energy) == pytest.approx(kinds.lethal_distance, rel=1e-12)
    assert np.isin(kinds.basis, ("published", "derived", "assumed")).all() and all(kinds.references)
    assert [kinds.of_class(name) for name in ("SNIa-91bg", "AGN")] == [kinds.at("SNIa"), -1]
