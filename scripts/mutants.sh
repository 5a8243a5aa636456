#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Puts the bugs of Tests/History.md back, one after the other, and sees whether the tests notice. One build has all of
# them: `Mutant.isActive("T-V3")` in the sources asks for the one that this run is given. Each is tried with the tests
# that the table names for it, then with the random runs and the simulation. A mutant is killed by a test that fails or
# by a precondition that stops the process; one that only makes the tests hang counts as living. ONLY="T-V3 T-L8" tries those.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/shell.sh"

least=40
limit=${LIMIT:-120}        # seconds for the tests of one mutant
build=(--scratch-path "$root/.build-mutants" -Xswiftc -DMUTANTS)
targets='^(LogModel|RaftCore|LogStorage|Replication|MetadataCore|Broker|Simulation)Tests\.'
random='\.(RandomRunTests|MembersRunTests|RandomLogTests|RandomCleaningTests|SeedTests)/'
history=$root/Tests/History.md

export SWIFT_BACKTRACE=enable=no
need_build_packages
need_swift
if [ -z "${SKIP_BUILD:-}" ]; then swift build "${build[@]}" --build-tests; fi
tests=$root/.build-mutants/debug/godwitPackageTests.xctest
output=$(mktemp)
trap 'rm -f "$output"' EXIT

# run FILTER MUTANT SECONDS: 0 if all passed, 1 if not, 124 if it took too long.
run() {
    local status=0
    # In a shell of its own, so that nothing is said of a process that ends by a signal.
    (timeout --kill-after=5 "$3" "$tests" --testing-library swift-testing --filter "$1" --mutant "$2" \
        >"$output" 2>&1 </dev/null || exit $?) 2>/dev/null || status=$?
    if grep -q 'Test run with 0 tests ' "$output"; then die "no test is called $1"; fi
    case $status in
        0) ;;
        124 | 137) return 124 ;;
        *) return 1 ;;
    esac
}

# What brought the last run down: the first test that failed, or the precondition, or the signal.
killer() {
    local line
    line=$(grep -m 1 -oE '(Fatal error|Precondition failed): .*' "$output" | sed 's/^[^:]*: //' | cut -c 1-60) && { printf 'stopped: %s' "$line"; return; }
    line=$(grep -m 1 -oE 'Test [a-zA-Z0-9]+\(.*\) (recorded an issue|failed)' "$output" | sed -E 's/Test ([a-zA-Z0-9]+)\(.*/\1/') &&
        { printf '%s' "$line"; return; }
    printf 'stopped by a signal'
}

# The tests that the table names for a bug, as a filter.
named() {
    grep -E "^\| $1 \|" "$history" | grep -oE '`[A-Za-z]+Tests\.[A-Za-z0-9]+`' | tr -d '`' |
        sed -E 's|\.|/|; s|$|\\(|' | paste -sd '|'
}

mapfile -t mutants < <(grep -rhoE 'Mutant\.isActive\("T-[A-Z][0-9]+"\)' "$root/Sources" |
    grep -oE 'T-[A-Z][0-9]+' | sort -uV)
[ "${#mutants[@]}" -ge "$least" ] || die "only ${#mutants[@]} mutants in the sources, there must be $least"

if [ -z "${ONLY:-}" ]; then
    began=$SECONDS
    run "$targets" none 1200 || { tail -50 "$output"; die "the tests fail without a mutant"; }
    say "without a mutant all tests pass ($((SECONDS - began)) s)"
else
    read -ra mutants <<<"$ONLY"
fi

alive=0
printf '%-8s%-72s%s\n' mutant 'killed by' seconds
for mutant in "${mutants[@]}"; do
    began=$SECONDS
    filter=$(named "$mutant")
    [ -n "$filter" ] || die "Tests/History.md names no test for $mutant"
    status=0
    run "/?($filter)" "$mutant" "$limit" || status=$?
    if [ "$status" -eq 1 ]; then
        fate=$(killer)
    else
        status=0
        run "$random" "$mutant" 300 || status=$?
        if [ "$status" -eq 1 ]; then fate="$(killer) (random runs)"; else fate='NOTHING'; fi
    fi
    if [ "$fate" = NOTHING ]; then alive=$((alive + 1)); fi
    printf '%-8s%-72s%s\n' "$mutant" "$fate" $((SECONDS - began))
done
say "${#mutants[@]} mutants, $((${#mutants[@]} - alive)) killed"
[ "$alive" -eq 0 ] || die "$alive mutants live"
