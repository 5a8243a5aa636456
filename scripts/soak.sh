#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Simulates clusters for HOURS (1), on JOBS processes (one a core), from a seed that nobody has tried before, and says
# once a minute how far it is. Seeds that break a promise are printed as they are found; PROFILE= keeps to one kind. In
# the end the marks of the code are listed that no run has hit: what the simulation does not reach it does not test.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/shell.sh"

need_build_packages
need_swift
swift build "${test_build[@]}" --product simulate
simulate=$(swift build "${test_build[@]}" --show-bin-path)/simulate
jobs=${JOBS:-$(nproc)}
seconds=$(awk -v hours="${HOURS:-1}" 'BEGIN { print int(hours * 3600) }')
first=${FROM:-$(($(date +%s) * 1000000))}
status=0
pids=()
said=$(mktemp)
trap 'rm -f "$said"' EXIT
for job in $(seq 0 $((jobs - 1))); do
    { "$simulate" --from $((first + job * 100000000)) --seconds "$seconds" --failures "${FAILURES:-20}" \
        ${PROFILE:+--profile "$PROFILE"} --marks | tee -a "$said"; } &
    pids+=($!)
done
for pid in "${pids[@]}"; do wait "$pid" || status=1; done
grep -rhoE 'Mark\.hit\("[^"]+"' --include='*.swift' Sources/{RaftCore,LogStorage,Replication,Broker,GodwitNode} |
    cut -d'"' -f2 | sort -u | while read -r mark; do
    grep -qF "mark $mark: " "$said" || say "never hit: $mark"
done
exit "$status"
