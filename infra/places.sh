# Where set-up puts things and jobs look for them; sourced by the Makefile's recipes and the scripts beside this file.
checkout="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
export DEEPRUBIN_VENV="${DEEPRUBIN_VENV:-$checkout/.venv}"
export DEEPRUBIN_CACHE="${DEEPRUBIN_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/deeprubin}"
export DEEPRUBIN_JARS="${DEEPRUBIN_JARS:-$DEEPRUBIN_CACHE/jars/$(sed -n 's/^pyspark==\([^ ]*\).*/\1/p' "$checkout/infra/locks/night-py311.txt")}"
export DEEPRUBIN_CONF="${DEEPRUBIN_CONF:-$checkout/conf}"
export PYSPARK_PYTHON="${PYSPARK_PYTHON:-$DEEPRUBIN_VENV/bin/python}"
