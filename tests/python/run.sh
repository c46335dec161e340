#!/usr/bin/env bash
# run.sh COMMAND ...: runs it with the Python of the virtual environment LUNA_PYTHON first in the path; 77 without one.
[ -n "${LUNA_PYTHON:-}" ] || { echo "LUNA_PYTHON names no Python with tests/python/requirements.txt; ./dev test does"; exit 77; }
PATH=$(dirname "$LUNA_PYTHON"):$PATH exec "$@"
