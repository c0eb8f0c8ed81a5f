#!/usr/bin/env bash
# Name what this machine lacks for `night`, `train` or `dev`, each with the line that brings it; exit 1 where anything is missing.
#
#     infra/prerequisites.sh LEVEL
#
# PYTHON (default python3.11) names the interpreter, which must be 3.11: the locks are for it. Java: JAVA_HOME if set, else PATH.
set -uo pipefail
level="${1:?usage: infra/prerequisites.sh night|train|dev}"
python="${PYTHON:-python3.11}"
java="${JAVA_HOME:+$JAVA_HOME/bin/}java"
missing=0

lacks() {  # what, the command that brings it
  echo "missing   $1; bring it with:   $2" >&2
  missing=1
}

version="$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)"
if [ "$version" != 3.11 ]; then
  lacks "Python 3.11 ($python is ${version:-not there})" "apt-get install -y python3.11 python3.11-venv   (or name one: make PYTHON=/path/to/python3.11)"
elif ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
  lacks "Python's venv module" "apt-get install -y python3.11-venv"
fi

java_version="$("$java" -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p' | head -1)"
if [ "${java_version:-0}" -lt 17 ]; then
  lacks "Java 17 or later ($java is ${java_version:-not there})" "apt-get install -y openjdk-17-jdk-headless"
fi

if [ "$level" != night ]; then
  command -v "${CXX:-g++}" >/dev/null || lacks "a C++17 compiler (${CXX:-g++})" "apt-get install -y g++"
  command -v make >/dev/null || lacks "make" "apt-get install -y make"
  if [ "$version" = 3.11 ] && ! "$python" -c 'import os, sys, sysconfig
sys.exit(not os.path.exists(os.path.join(sysconfig.get_paths()["include"], "Python.h")))'; then
    lacks "Python's C headers" "apt-get install -y python3.11-dev"
  fi
fi
exit "$missing"
