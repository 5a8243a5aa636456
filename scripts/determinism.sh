#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs the same seeds in two processes, each with hash tables in an order of its own, and compares the digests of all
# their events. Needs the build of the tests.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/shell.sh"

unset SWIFT_DETERMINISTIC_HASHING
simulate=$(swift build "${test_build[@]}" --show-bin-path)/simulate
[ -x "$simulate" ] || die "there is no $simulate: make sim builds it"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"$simulate" --seeds "${GATE_SEEDS:-24}" --digests >"$scratch/one" &
"$simulate" --seeds "${GATE_SEEDS:-24}" --digests >"$scratch/two"
wait $!
if ! diff "$scratch/one" "$scratch/two"; then die "the same seed does not give the same run in another process"; fi
say "determinism: ${GATE_SEEDS:-24} seeds, the same events in two processes"
