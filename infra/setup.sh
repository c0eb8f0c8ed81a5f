#!/usr/bin/env bash
# Bring the virtual environment, the jars and (for training) Horovod to what the locks say; do nothing, without a network, where they are.
#
#     infra/setup.sh night       what a night needs
#     infra/setup.sh train       and Petastorm, Horovod
#     infra/setup.sh dev         and the tests and checks
#
# Each step leaves a stamp, named after the hash of what it installed, as its last act: an interrupted set-up goes on where it stopped,
# a changed lock runs its step again. All messages go to standard error, so that `make -s sql` can be piped.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/places.sh"
cd "$checkout"
level="${1:?usage: infra/setup.sh night|train|dev}"
python="$DEEPRUBIN_VENV/bin/python"
stamps="$DEEPRUBIN_VENV/.deeprubin"
exec 1>&2
[ -t 2 ] && quiet=() || quiet=(-q)

stamp() {  # step, the files that decide what it installs
  local step="$1"
  shift
  echo "$stamps/$step-$(sha256sum "$@" | sha256sum | cut -c1-16)"
}

pip_install() {
  "$python" -m pip install "${quiet[@]}" --disable-pip-version-check --no-input "$@"
}

make_environment() {
  echo "venv      making $DEEPRUBIN_VENV with ${PYTHON:-python3.11}: 5 s"
  "${PYTHON:-python3.11}" -m venv "$DEEPRUBIN_VENV"
}

install_lock() {  # level, lock, its size and time in words
  echo "packages  installing $(grep -c '^[^ #].*==' "$2") of $2: $3"
  # First what installs the rest, so that source distributions are built by the locked setuptools and not by whatever is newest.
  awk '/^(packaging|pip|setuptools|wheel)==/ { keep = 1 } keep { print } !/\\$/ { keep = 0 }' "$2" > "$stamps/installers.txt"
  pip_install --no-deps --require-hashes -r "$stamps/installers.txt"
  pip_install --no-deps --no-build-isolation --require-hashes -r "$2"
}

install_package() {
  echo "package   installing deeprubin-spark from this checkout, editable: 5 s"
  # Without the warning that the package also stands in the working directory: that is where editable ones stand.
  PYTHONWARNINGS=ignore pip_install --no-deps --no-build-isolation --editable .
  "$python" -m pip check --disable-pip-version-check > "$stamps/check.txt" || { cat "$stamps/check.txt"; exit 1; }
}

step() {  # stamp, command and its arguments
  local done="$1"
  shift
  if [ ! -e "$done" ]; then
    "$@"
    : > "$done"
  fi
}

size_of() {
  case "$1" in
    night) echo "3.1 GB to download (PyTorch's CUDA build is 2.7 of it), 6.6 GB on disk, 3 to 10 minutes" ;;
    train) echo "3.2 GB to download where nothing is there yet, 30 MB after 'night'" ;;
    dev) echo "3.3 GB to download where nothing is there yet, 100 MB after 'night'" ;;
    *) echo "infra/setup.sh: unknown level $1; expected night, train or dev"; exit 2 ;;
  esac
}

size="$(size_of "$level")"
"$checkout/infra/prerequisites.sh" "$level"
mkdir -p "$stamps"
exec 9> "$stamps/lock"
flock -n 9 || { echo "set-up    another one is at work on $DEEPRUBIN_VENV; waiting for it"; flock 9; }

step "$stamps/environment" make_environment
# Of night ⊂ train ⊂ dev only the widest asked for is installed, and the narrower ones count as done with it.
lock="infra/locks/$level-py311.txt"
wanted="$(stamp "$level" "$lock")"
if [ ! -e "$wanted" ]; then
  install_lock "$level" "$lock" "$size"
  for narrower in night train dev; do
    : > "$(stamp "$narrower" "infra/locks/$narrower-py311.txt")"
    [ "$narrower" != "$level" ] || break
  done
fi
step "$(stamp package pyproject.toml setup.py)" install_package
if [ ! -d "$DEEPRUBIN_JARS" ] || [ ! -e "$(stamp jars infra/locks/jars-*.sha256)" ]; then
  echo "jars      Delta, Avro and Kafka in $DEEPRUBIN_JARS: 23 MB and 20 to 60 s where they are not there yet"
  "$python" infra/fetch_jars.py "$DEEPRUBIN_JARS"
  : > "$(stamp jars infra/locks/jars-*.sha256)"
fi
compile_kernels() {
  echo "kernels   compiling what a night calls: 1 to 3 minutes, once"
  "$python" infra/compile_kernels.py
}
step "$(stamp kernels deeprubin_spark/kernels/*.py infra/compile_kernels.py)" compile_kernels
if [ "$level" != night ]; then
  step "$(stamp horovod infra/locks/horovod.txt infra/locks/train-py311.txt)" infra/build_horovod.sh "$python"
fi
