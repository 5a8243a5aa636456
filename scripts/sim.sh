#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The simulation alone, in release mode. SEEDS=n runs n seeds, SEED=s replays one; both reach the tests as
# environment variables, and unset ones leave the tests' own defaults.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/shell.sh"

[ -n "${SEEDS:-}" ] || unset SEEDS
[ -n "${SEED:-}" ] || unset SEED
need_build_packages
need_swift
swift build "${test_build[@]}" --build-tests --explicit-target-dependency-import-check error
swift test "${test_build[@]}" --skip-build --disable-xctest --filter '^SimulationTests\.'
