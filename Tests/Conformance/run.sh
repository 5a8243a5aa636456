#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Real clients' own checks against three nodes of the release binary: what `make conformance` does.
#
#   CONFORMANCE=folder   where run-java.sh and run-kafka-python.sh are (default ../shared/conformance)
#   CLIENTS="java"       only these (default: java kafka-python)
#   ONLY=regex           only the Java checks whose names match; nothing is said about the rest
#   CONFORMANCE_HOME     where the clients are installed (default ~/.cache/godwit-conformance)
#
# KNOWN.md says which checks are not run and which are known to fail, each with its reason. Ends with 0 when nothing
# else failed. The clients' own output and the nodes' logs stay in .build/conformance/.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/shell.sh"
. Tests/Conformance/cluster.sh

conformance=${CONFORMANCE:-$root/../shared/conformance}
for script in run-java.sh run-kafka-python.sh lib/get-jars.sh; do
    [ -x "$conformance/$script" ] || die "$conformance/$script is not there.
The clients' checks are no part of this repository. Get the folder that holds run-java.sh and run-kafka-python.sh, and
say where it is:  make conformance CONFORMANCE=/path/to/conformance"
done
conformance=$(cd "$conformance" && pwd)
export CONFORMANCE_HOME=${CONFORMANCE_HOME:-$HOME/.cache/godwit-conformance}
clients=${CLIENTS:-java kafka-python}
reports=$root/.build/conformance

need_packages python3 python3-venv
[[ $clients != *java* ]] || command -v java >/dev/null || need_packages default-jdk-headless
[ -x "$program" ] || die "no $program; make build first"

rm -rf "$reports"
mkdir -p "$reports"
trap 'cluster_end "$reports"' EXIT
trap 'exit 130' INT TERM
verdict() { python3 Tests/Conformance/verdict.py "$@"; }
verdict self-check >/dev/null

# What the suites want of a broker: short sessions, no pause before the first rebalance, racks that are made use of.
settings=(
    'group.min.session.timeout.ms: 1000'
    'group.initial.rebalance.delay.ms: 0'
    'replica.selector.class: rack-aware'
)
# Many checks write records that are years old, which retention takes away under their eyes if it looks meanwhile; one
# waits three seconds for it to look. So that one has a cluster of its own.
retention='^producer\.retention-deletes$'
# start LINE...: three nodes with these settings too.
start() {
    cluster_start "${settings[@]}" "$@"
    export BOOTSTRAP=$bootstrap
    say "three nodes at $bootstrap"
}
# run_java FILE: the Java checks that ONLY and SKIP choose, their answers also in FILE.
run_java() {
    timeout -k 30 "${JAVA_SECONDS:-3000}" "$conformance/run-java.sh" | tee "$1" || true
    cat "$CONFORMANCE_HOME/run/java.err" >>"$reports/java.err" 2>/dev/null || true
}

start 'log.retention.check.interval: 1h'
answers=()
for client in $clients; do
    say ""
    say "== $client"
    case $client in
    java)
        answers+=("java=$reports/java.out")
        SKIP="$(verdict skip java)|$retention" run_java "$reports/java.out"
        ;;
    kafka-python)
        answers+=("kafka-python=$reports/kafka-python.xml")
        rm -f "$CONFORMANCE_HOME/run/kafka-python.xml"
        # The version it takes our API versions for: Produce reaches 13, ListOffsets not yet 11.
        KAFKA_VERSION=${KAFKA_VERSION:-4.1} PYTEST_ARGS="${PYTEST_ARGS:-} $(verdict skip kafka-python)" \
            "$conformance/run-kafka-python.sh" || true
        cp "$CONFORMANCE_HOME"/run/kafka-python.{xml,out} "$reports/" 2>/dev/null || true
        ;;
    *) die "no client '$client'; there are java and kafka-python" ;;
    esac
done

alone=()
if [[ $clients == *java* && producer.retention-deletes =~ ${ONLY:-.} ]]; then
    cluster_end "$reports"
    trap 'cluster_end "$reports/retention"' EXIT
    say ""
    say "== java, with retention that looks all the time"
    start 'log.retention.check.interval: 200ms'
    alone=("java=$reports/java-retention.out")
    ONLY=$retention run_java "$reports/java-retention.out"
fi

say ""
status=0
verdict judge ${ONLY:+--partly} "${answers[@]}" || status=$?
if [ ${#alone[@]} -gt 0 ]; then
    say "and by itself:"
    verdict judge --partly "${alone[@]}" || status=$?
fi
if [ "$status" -ne 0 ]; then say "Output of the clients and logs of the nodes: $reports"; fi
exit "$status"
