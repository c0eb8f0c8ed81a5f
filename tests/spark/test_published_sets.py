"""Published data sets become light curves in nJy, each flux once; hosts know no truth; and truth reaches labels alone."""

from __future__ import annotations

import datetime as dt
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from deeprubin_spark.jobs import ingest_elasticc, ingest_magnitudes, ingest_plasticc, ingest_spcc
from pyspark.sql import functions as F

from deeprubin_spark.errors import NoInputError
from deeprubin_spark.ingestion import elasticc, magnitudes, plasticc, published_points, spcc
from deeprubin_spark.kernels import sky
from deeprubin_spark.preprocessing.features import features
from deeprubin_spark.schemas import HOSTS, LABELS, LIGHTCURVE_BASE, LIGHTCURVE_SEGMENTS, RUNS
from deeprubin_spark.schemas.features import rule_of
from deeprubin_spark.schemas.packed_points import packed_rows
from deeprubin_spark.tables import Warehouse
from tests.conftest import DATA, places, settings_at

FLUXCAL = 10.0 ** (0.4 * (31.4 - 27.5))
SAMPLE, TABLES, TEXTS, ALERTS = DATA / "plasticc_sample", DATA / "spcc" / "tables", DATA / "spcc" / "dat", DATA / "elasticc"
LABELLED_ON = dt.date(2022, 11, 14)
NIGHT = dt.date(2020, 1, 1)
POINT_NAMES = [field.name for field in LIGHTCURVE_SEGMENTS.column("points").fields]


def segment_rows(found):
    """lightcurve_segments rows of a published set, by object."""
    frame = found.measurements.transform(published_points.segments(found.survey, found.night, found.places))
    return {row["object_id"]: row.asDict(recursive=True) for row in frame.collect()}


def host_rows(found):
    return (
        {row["object_id"]: row.asDict() for row in published_points.host_rows(found.hosts, found.survey).collect()} if found.hosts else {}
    )


def label_rows(found):
    return {(row["object_id"], row["source"]): (row["label"], row["class"]) for row in found.labels.collect()}


def points_of(row, kind):
    return [point for point in row["points"] if point["kind"] == kind]


def write_magnitudes(folder: Path, types=("SN Ia", "SN Ia-91bg")) -> tuple[str, str]:
    """Synthetic light curves of two supernovae and a list in the form of the Bright Transient Survey."""
    curves = pa.table(
        {
            "object_id": ["ZTF1", "ZTF1", "ZTF1", "ZTF2", "ZTF2"],
            "time": [58863.5, 58864.5, 58866.5, 59000.25, 59001.25],
            "mag": [20.0, 19.0, 18.5, 18.0, 17.0],
            "magerr": [0.2, 0.1, 0.05, 0.1, 99.999],
            "band": ["R", "g", "i", "g", "R"],
        }
    )
    pq.write_table(curves, folder / "curves.parquet")
    (folder / "list.csv").write_text(
        f"ZTFID,IAUID,RA,Dec,type,redshift\nZTF1,SN1,08:29:47.59,+33:54:22.8,{types[0]},0.06\n"
        f"ZTF2,SN2,00:00:00.0,-00:30:00.0,{types[1]},0.1\nZTF3,SN3,01:00:00.0,+01:00:00.0,SN II,0.1\n"
    )
    return str(folder / "curves.parquet"), str(folder / "list.csv")


@pytest.fixture(scope="module")
def found(spark, tmp_path_factory):
    """Each carried set as its reader finds it."""
    curves, listed = write_magnitudes(tmp_path_factory.mktemp("magnitudes"))
    return {
        "plasticc": plasticc.published(spark, str(SAMPLE)),
        "spcc": spcc.published(spark, str(TABLES)),
        "spcc text": spcc.published(spark, str(TEXTS)),
        "elasticc": elasticc.published(spark, str(ALERTS)),
        "magnitudes": magnitudes.published(spark, "ztf_labelled", curves, listed, LABELLED_ON, False),
    }


@pytest.fixture(scope="module")
def made(found):
    """lightcurve_segments rows of each."""
    return {name: segment_rows(one) for name, one in found.items()}


def test_every_flux_is_kept_once_as_a_detection_or_as_forced_photometry(made):
    for name, rows in made.items():
        assert rows, name
        for row in rows.values():
            exposures = [(point["exposure_mjd"], point["band"]) for point in row["points"]]
            assert exposures == sorted(set(exposures), key=lambda one: (one[0], "ugrizy".index(one[1]))), (
                "one point an exposure, in order of time"
            )
            assert row["n_alerts"] == len(points_of(row, "detection"))
            assert {point["kind"] for point in row["points"]} <= {"detection", "forced"}
            for point in row["points"]:
                assert np.isfinite(point["flux_njy"]) and point["flux_err_njy"] > 0.0
                assert point["limit_njy"] == 5.0 * point["flux_err_njy"]
                assert point["source_id"] == (point["packet_id"] if point["kind"] == "detection" else None)
                assert point["known_night"] == row["night"]


def test_the_points_lie_packed_beside_themselves(made):
    for rows in made.values():
        for row in rows.values():
            points = [tuple(point[name] for name in POINT_NAMES) for point in row["points"]]
            assert row["packed"] == packed_rows(points, LIGHTCURVE_SEGMENTS.column("points"))


def test_healpix_is_that_of_the_place(made):
    for rows in made.values():
        for row in rows.values():
            assert row["healpix"] == sky.healpix(np.array([row["ra"]]), np.array([row["dec"]]))[0]


def test_plasticc_keeps_all_six_bands_in_njy_and_the_pipelines_detections(made):
    table = pq.read_table(SAMPLE / "lightcurves.parquet").to_pandas()
    for number, curve in table.groupby("object_id"):
        row = made["plasticc"][str(number)]
        curve = curve.sort_values(["mjd", "passband"])
        assert [point["band"] for point in row["points"]] == ["ugrizy"[band] for band in curve["passband"]]
        assert [point["kind"] == "detection" for point in row["points"]] == (curve["detected_bool"] == 1).tolist()
        np.testing.assert_allclose([point["flux_njy"] for point in row["points"]], curve["flux"].astype(float) * FLUXCAL, rtol=1e-12)
        np.testing.assert_allclose(
            [point["flux_err_njy"] for point in row["points"]], curve["flux_err"].astype(float) * FLUXCAL, rtol=1e-12
        )


def test_a_galactic_object_of_plasticc_has_no_host_redshift_and_an_extragalactic_one_has(found):
    hosts, labels = host_rows(found["plasticc"]), label_rows(found["plasticc"])
    galactic = {"Microlensing", "EB", "Mira", "M-dwarf", "RRL"}
    assert len(hosts) == 28
    for object_id, host in hosts.items():
        is_galactic = labels[object_id, "plasticc_truth"][1] in galactic
        assert (host["photo_z"] is None) == (host["photo_z_err"] is None) == is_galactic
        assert host["ebv"] > 0.0


def test_spcc_text_files_and_tables_give_equal_rows(found, made):
    text, tables = made["spcc text"], made["spcc"]
    assert len(text) == 6
    assert text == {object_id: tables[object_id] for object_id in text}
    assert host_rows(found["spcc text"]) == {object_id: host for object_id, host in host_rows(found["spcc"]).items() if object_id in text}
    expected = {key: label for key, label in label_rows(found["spcc"]).items() if key[0] in text}
    assert label_rows(found["spcc text"]) == expected


def test_spcc_in_njy_is_fluxcal_times_36_and_5_sigma_is_a_detection(made):
    row = made["spcc text"]["17"]
    first = (TEXTS / "DES_SN000017.DAT").read_text().split("\nOBS:")[1].split()
    assert row["points"][0]["mjd"] == float(first[0]) and row["points"][0]["band"] == first[1]
    assert row["points"][0]["flux_njy"] == pytest.approx(float(first[3]) * FLUXCAL, rel=1e-6)
    for point in row["points"]:
        assert (point["kind"] == "detection") == (abs(point["flux_njy"]) >= 5.0 * point["flux_err_njy"])


def test_the_spectroscopic_sample_of_spcc_has_both_labels_and_they_agree(found):
    labels = label_rows(found["spcc"])
    spectroscopic = {key[0]: value for key, value in labels.items() if key[1] == spcc.SPECTROSCOPIC}
    assert spectroscopic == {"1292": ("22", "SNII"), "2542": ("1", "SNIa"), "2598": ("1", "SNIa"), "396420": ("1", "SNIa")}
    assert all(labels[object_id, spcc.TRUTH][1] == value[1] for object_id, value in spectroscopic.items())
    assert labels["556", spcc.TRUTH] == ("IIn", "SNII") and labels["760", spcc.TRUTH] == ("Ib", "SNIbc")


def test_fluxes_that_spcc_says_are_missing_are_left_out(found, made):
    table = pq.read_table(TABLES / "lightcurves.parquet")
    of_one = table.filter(pc.equal(table["snid"], 396420))
    missing = pc.sum(pc.equal(of_one["flux_err"], -9.0)).as_py()
    assert missing > 0 and len(made["spcc"]["396420"]["points"]) == len(of_one) - missing


def test_alerts_of_an_object_are_joined_to_one_light_curve(made):
    detected, forced = {}, {}
    for file in sorted(ALERTS.glob("*.parquet")):
        for alert in pq.read_table(file).to_pylist():
            object_id = str(alert["diaSource"]["diaObjectId"])
            for source in [alert["diaSource"], *alert["prvDiaSources"]]:
                detected.setdefault(object_id, {})[source["diaSourceId"]] = source
            for source in alert["prvDiaForcedSources"] or []:
                forced.setdefault(object_id, {})[source["diaForcedSourceId"]] = source
    assert set(made["elasticc"]) == set(detected) and len(detected) == 9
    for object_id, row in made["elasticc"].items():
        sources = detected[object_id]
        assert {point["source_id"] for point in points_of(row, "detection")} == set(sources)
        # A forced flux of a detection's exposure has the detection's id, and is the same number.
        assert {point["packet_id"] for point in points_of(row, "forced")} == set(forced.get(object_id, {})) - set(sources)
        for point in points_of(row, "detection"):
            source = sources[point["source_id"]]
            assert point["flux_njy"] == source["psFlux"] and point["band"] == source["filterName"].lower()
            assert point["mjd"] == pytest.approx(source["midPointTai"] - 37.0 / 86400.0, abs=1e-9), "UTC, not TAI"


def test_elasticcs_models_are_labels_with_the_class_they_are_counted_under(found):
    labels = label_rows(found["elasticc"])
    assert sorted(labels.values()) == sorted(
        [("10", "SNIa")] * 3 + [("32", "SNII")] + [("36", "SNII")] * 2 + [("50", "Kilonova")] + [("51", "Kilonova")] * 2
    )


def test_alerts_without_the_truth_give_light_curves_without_labels(spark, tmp_path, made):
    for file in ALERTS.glob("*.parquet"):
        pq.write_table(
            pq.read_table(file, columns=["diaSource", "prvDiaSources", "prvDiaForcedSources", "diaObject"]), tmp_path / file.name
        )
    one = elasticc.published(spark, str(tmp_path))
    assert one.labels.count() == 0 and segment_rows(one) == made["elasticc"]


def test_a_magnitude_becomes_a_flux_and_a_missing_one_nothing(found, made):
    row = made["magnitudes"]["ZTF1"]
    assert [(point["mjd"], point["band"]) for point in row["points"]] == [(58863.5, "r"), (58864.5, "g"), (58866.5, "i")]
    flux = 10.0 ** ((31.4 - np.array([20.0, 19.0, 18.5])) / 2.5)
    np.testing.assert_allclose([point["flux_njy"] for point in row["points"]], flux, rtol=1e-12)
    np.testing.assert_allclose(
        [point["flux_err_njy"] for point in row["points"]], flux * np.array([0.2, 0.1, 0.05]) * np.log(10.0) / 2.5, rtol=1e-12
    )
    assert len(made["magnitudes"]["ZTF2"]["points"]) == 1, "an error of 99.999 is no measurement"
    assert (row["ra"], row["dec"]) == pytest.approx((127.448292, 33.906333), abs=1e-6)
    assert made["magnitudes"]["ZTF2"]["dec"] == pytest.approx(-0.5)
    assert label_rows(found["magnitudes"])["ZTF1", "ztf_bts"] == ("SN Ia", "SNIa")
    assert label_rows(found["magnitudes"])["ZTF2", "ztf_bts"] == ("SN Ia-91bg", "SNIa-91bg")


def test_a_star_is_measured_against_its_median_flux(spark, tmp_path):
    mag = [16.0, 16.5, 17.0, 15.0, 15.0, 15.0]
    table = {"object_id": ["7"] * 6, "time": np.arange(6.0), "mag": mag, "magerr": [0.01] * 6, "band": list("gggrrr")}
    pq.write_table(pa.table(table), tmp_path / "curves.parquet")
    (tmp_path / "periods.csv").write_text("Num,Type,Per\n7,ab,0.61\n")
    one = magnitudes.published(spark, "sdss_labelled", str(tmp_path / "curves.parquet"), str(tmp_path / "periods.csv"), LABELLED_ON, True)
    row = segment_rows(one)["7"]
    flux = 10.0 ** ((31.4 - np.array(mag)) / 2.5)
    np.testing.assert_allclose([point["apparent_flux_njy"] for point in row["points"]], flux, rtol=1e-12)
    np.testing.assert_allclose([point["flux_njy"] for point in row["points"]], flux - np.repeat(flux[[1, 3]], 3), atol=1e-6)
    assert [point["kind"] for point in row["points"]] == ["detection", "forced", "detection", "forced", "forced", "forced"]
    assert row["ra"] is None and row["healpix"] is None, "this list does not say where its stars are"
    assert label_rows(one) == {("7", "sdss_s82_rrlyrae"): ("RRAB", "RRL")}


def test_an_object_whose_place_is_unknown_has_features(spark, warehouse, tmp_path):
    times = np.arange(30.0)
    table = {"object_id": ["7"] * 30, "time": times, "mag": 16.0 + np.sin(times), "magerr": [0.01] * 30, "band": ["g", "r"] * 15}
    pq.write_table(pa.table(table), tmp_path / "curves.parquet")
    (tmp_path / "periods.csv").write_text("Num,Type,Per\n7,ab,0.61\n")
    one = magnitudes.published(spark, "sdss_labelled", str(tmp_path / "curves.parquet"), str(tmp_path / "periods.csv"), LABELLED_ON, True)
    made = one.measurements.transform(published_points.segments(one.survey, one.night, one.places))
    base = spark.createDataFrame([], LIGHTCURVE_BASE.spark_schema())
    rule = rule_of("sdss_labelled")
    rows = features(made, base, made, warehouse.read(rule.table), rule).collect()
    assert [(row["object_id"], row["status"]) for row in rows] == [("7", "ok")]


def measurement_frame(spark, rows):
    """MEASUREMENTS rows from (object_id, mjd, band, flux, error, is_detection, source_id)."""
    columns = ", ".join(published_points.MEASUREMENTS.split(", ")[:7])
    return published_points.measured(spark.createDataFrame(rows, columns))


def test_a_detection_beats_the_forced_flux_of_its_exposure_and_copies_count_once(spark):
    nowhere = spark.createDataFrame([("a", 1.0, 2.0)], "object_id string, ra double, dec double")
    rows = [
        ("a", 2.0, "g", 5.0, 1.0, False, 12),
        ("a", 2.0, "g", 5.0, 1.0, True, 12),
        ("a", 2.0, "g", 5.0, 1.0, True, 12),
        ("a", 2.0, "r", 3.0, 1.0, False, 13),
        ("a", 1.0, "g", 4.0, 1.0, True, 11),
        ("a", 3.0, "g", float("nan"), 1.0, True, 14),
        ("a", 4.0, "g", 1.0, 0.0, True, 15),
        ("a", 5.0, "q", 1.0, 1.0, True, 16),
        ("b", 1.0, "g", None, 1.0, False, 17),
    ]
    for order in (rows, rows[::-1]):
        made = measurement_frame(spark, order).repartition(2).transform(published_points.segments("spcc", NIGHT, nowhere)).collect()
        assert [row["object_id"] for row in made] == ["a"], "b has no measurement"
        points = [(point["mjd"], point["band"], point["kind"], point["source_id"], point["packet_id"]) for point in made[0]["points"]]
        assert points == [(1.0, "g", "detection", 11, 11), (2.0, "g", "detection", 12, 12), (2.0, "r", "forced", None, 13)]


def test_where_nobody_says_what_was_detected_it_is_what_is_5_sigma_from_zero(spark):
    rows = [("a", 1.0, "g", 5.0, 1.0, None, None), ("a", 2.0, "g", -5.0, 1.0, None, None), ("a", 3.0, "g", 4.9, 1.0, None, None)]
    rows.append(("a", 4.0, "g", 1.0, 1.0, True, None))
    kinds = [row["is_detection"] for row in measurement_frame(spark, rows).sort("mjd").collect()]
    assert kinds == [True, True, False, True]


def altered(table: pa.Table, names) -> pa.Table:
    """The table with the named columns told otherwise: those of the next object, and numbers one more."""
    for name in names:
        values = table[name].to_pylist()
        values = values[1:] + values[:1]
        if pa.types.is_floating(table.schema.field(name).type):
            values = [None if value is None else value + 1.0 for value in values]
        table = table.set_column(table.column_names.index(name), name, pa.array(values, table.schema.field(name).type))
    return table


def altered_plasticc(folder: Path) -> None:
    objects = pq.read_table(SAMPLE / "metadata.parquet")
    truth = [name for name in objects.column_names if name.startswith(("true_", "tflux_"))]
    pq.write_table(altered(objects, ["target", "libid_cadence", "hostgal_specz", "distmod", *truth]), folder / "metadata.parquet")
    curves = pq.read_table(SAMPLE / "lightcurves.parquet")
    pq.write_table(altered(curves, ["target"]), folder / "lightcurves.parquet")


def altered_spcc_tables(folder: Path) -> None:
    objects = pq.read_table(TABLES / "metadata.parquet")
    truth = [name for name in objects.column_names if name.startswith(("true_", "redshift_")) or name == "sntype"]
    pq.write_table(altered(objects, truth), folder / "metadata.parquet")
    shutil.copy(TABLES / "lightcurves.parquet", folder)


def altered_spcc_texts(folder: Path) -> None:
    """Another truth in the lines SIM_..., in the types and redshifts, and in the column SIM_MAG."""
    for file in TEXTS.glob("*.DAT"):
        lines = []
        for line in file.read_text().splitlines():
            key = line.partition(":")[0]
            if key == "SIM_COMMENT":
                line = line.replace("= II ", "= Ic ").replace("= Ia ", "= II ").replace("= Ib ", "= Ia ").replace("= IIn ", "= Ia ")
            elif key.startswith(("SIM_", "REDSHIFT_", "SEARCH_")):
                line = f"{key}: 9.75 +- 9.75"
            elif key == "SNTYPE":
                line = "SNTYPE: 33"
            elif key == "OBS":
                line = line.rsplit(maxsplit=1)[0] + "  12.345"
            lines.append(line)
        (folder / file.name).write_text("\n".join(lines) + "\n")


def altered_elasticc(folder: Path) -> None:
    for file in ALERTS.glob("*.parquet"):
        rows = pq.read_table(file).to_pylist()
        for row in rows:
            row |= {
                name: 60 if name == "GENTYPE" else value + 1 for name, value in row.items() if name.isupper() or name.startswith("SIM_")
            }
            row["diaObject"] |= {"hostgal_zspec": 0.123, "z_final": 0.456}
        pq.write_table(pa.Table.from_pylist(rows), folder / file.name)


@pytest.mark.parametrize(
    ("name", "alter", "read"),
    [
        ("plasticc", altered_plasticc, lambda spark, folder: plasticc.published(spark, folder)),
        ("spcc", altered_spcc_tables, lambda spark, folder: spcc.published(spark, folder)),
        ("spcc text", altered_spcc_texts, lambda spark, folder: spcc.published(spark, folder)),
        ("elasticc", altered_elasticc, lambda spark, folder: elasticc.published(spark, folder)),
        (
            "magnitudes",
            lambda folder: write_magnitudes(folder, ("SN II", "TDE")),
            lambda spark, folder: magnitudes.published(
                spark, "ztf_labelled", f"{folder}/curves.parquet", f"{folder}/list.csv", LABELLED_ON, False
            ),
        ),
    ],
)
def test_another_truth_changes_labels_and_nothing_else(spark, found, made, tmp_path, name, alter, read):
    """Features are made of segments and hosts alone, so what does not reach these can reach no feature."""
    alter(tmp_path)
    other = read(spark, str(tmp_path))
    assert segment_rows(other) == made[name]
    assert host_rows(other) == host_rows(found[name])
    before, after = label_rows(found[name]), label_rows(other)
    assert sum(after.get(key) != label for key, label in before.items()) >= len(before) / 2


def test_a_folder_that_holds_no_such_set_is_exit_66(spark, tmp_path):
    for read in (plasticc.published, spcc.published, elasticc.published):
        with pytest.raises(NoInputError, match="expected"):
            read(spark, str(tmp_path))
    with pytest.raises(NoInputError, match="expected alerts with diaSource.diaObjectId"):
        elasticc.published(spark, str(TABLES))
    with pytest.raises(NoInputError, match="expected Parquet or CSV with the columns objectId"):
        magnitudes.objects_of(spark, str(TABLES / "metadata.parquet"))


def test_each_job_fills_its_survey_and_says_what_it_left_out(spark, tmp_path):
    sets = [argument for value in places(tmp_path) for argument in ("--set", value)]
    (tmp_path / "dat").mkdir()
    shutil.copytree(TEXTS, tmp_path / "dat", dirs_exist_ok=True)
    (tmp_path / "dat" / "README.DAT").write_text("not SNANA's\n")
    curves, listed = write_magnitudes(tmp_path)
    assert ingest_plasticc.main(["--data", str(SAMPLE), *sets]) == 0
    for _ in range(2):  # a second run leaves the same
        assert ingest_spcc.main(["--data", str(tmp_path / "dat"), *sets]) == 0
    assert ingest_elasticc.main(["--data", str(ALERTS), *sets]) == 0
    flags = ["--survey", "ztf_labelled", "--light-curves", curves, "--list", listed, "--labelled-on", "2022-11-14"]
    assert ingest_magnitudes.main([*flags, *sets]) == 0
    warehouse = Warehouse(spark, settings_at(tmp_path).warehouse)

    def per_survey(table):
        return {row["survey"]: row["count"] for row in warehouse.read(table).groupBy("survey").count().collect()}

    assert per_survey(LIGHTCURVE_SEGMENTS) == {"plasticc": 28, "spcc": 6, "elasticc": 9, "ztf_labelled": 2}
    assert per_survey(HOSTS) == {"plasticc": 28, "spcc": 6, "elasticc": 9}
    assert per_survey(LABELS) == {"plasticc": 28, "spcc": 6, "elasticc": 9, "ztf_labelled": 3}
    counts = {row["job"]: row["counts"] for row in warehouse.read(RUNS).orderBy(F.col("started_at")).collect()}
    assert counts["ingest_spcc"]["unreadable_files"] == 1 and counts["ingest_spcc"]["objects"] == 6
    assert counts["ingest_magnitudes"] == {"objects": 2, "without_light_curve": 1, "points": 4, "detections": 4, "points_left_out": 1}


def test_a_dry_run_writes_nothing(spark, tmp_path, capsys):
    sets = [argument for value in places(tmp_path) for argument in ("--set", value)]
    assert ingest_spcc.main(["--data", str(TABLES), "--dry-run", *sets]) == 0
    assert "would read 10 objects and replace survey 'spcc' of lightcurve_segments and hosts" in capsys.readouterr().err
    assert not (tmp_path / "warehouse" / "lightcurve_segments").exists()
