#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The simulation alone, in release mode: first the same seeds in two processes, whose events must be the same, then the
# tests. SEEDS=n runs n seeds of shards and NODE_SEEDS=n of whole nodes; SEED=s and NODE_SEED=s replay one. They reach
# the tests as environment variables, and unset ones leave the tests' own defaults.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/shell.sh"

for name in SEEDS SEED NODE_SEEDS NODE_SEED; do [ -n "${!name:-}" ] || unset "$name"; done
need_build_packages
need_swift
swift build "${test_build[@]}" --build-tests --explicit-target-dependency-import-check error
scripts/determinism.sh
swift test "${test_build[@]}" --skip-build --disable-xctest --filter '^SimulationTests\.'
