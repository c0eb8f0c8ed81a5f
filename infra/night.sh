#!/usr/bin/env bash
# The night that `make night` shows: the carried real nights from archive to scores, then three queries and where the page is.
# Called by the Makefile with the environment set up.
set -euo pipefail
root="$(cd "$(dirname "$0")/.." && pwd)"
bin="$DEEPRUBIN_VENV/bin"
export DEEPRUBIN_CONF="$root/conf"
# These nights are so small that the JVM's second compiler would cost more than it gives.
places=(--env local --set "spark.java_options=-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=256m" --set "ingest.archive=[$root/tests/data/ztf/archive]" --set "warehouse.path=$root/warehouse" --set "report.path=$root/reports")

"$bin/deeprubin-ingest-labels" "${places[@]}" --list "$root/tests/data/ztf/object_labels.csv" --labelled-on 2026-11-22
"$bin/deeprubin-nightly" "${places[@]}" --nights "${NIGHTS:-2018-06-01:2025-03-02}"
"$bin/deeprubin" "${places[@]}" sql --file "$root/infra/night.sql"
echo
echo "The page of the night: $root/reports/ztf_2018-11-29.html"
echo "Ask more: make sql"
