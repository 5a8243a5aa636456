#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Everything that CI runs: one release build of the program and all tests, with undeclared imports between targets
# as errors; then unit and simulation tests, then the system tests, which want the machine to themselves; then a few
# minutes of chaos on real nodes, where the machine allows it.
# FILTER=… runs only the tests whose names match.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/shell.sh"

need_build_packages
command -v kcat >/dev/null || need_packages kcat
need_swift
scripts/venv.sh

say "building everything once (release, with tests)"
swift build "${test_build[@]}" --build-tests --explicit-target-dependency-import-check error

run() { swift test "${test_build[@]}" --skip-build --disable-xctest "$@"; }

export GODWIT_TEST_PYTHON=$root/.build/venv/bin/python
status=0
if [ -n "${FILTER:-}" ]; then
    run --filter "$FILTER" || status=$?
else
    scripts/determinism.sh || status=$?
    run --skip '^SystemTests\.' || status=$?
    run --filter '^SystemTests\.' || status=$?
    built=$root/.build-test/release
    chaos=0
    BINARY=$built/godwit CHECKER=$built/history-check NATIVE=$built/history-load scripts/chaos.sh --smoke || chaos=$?
    # 3: the machine does not allow it, and the script has said why.
    if [ "$chaos" -ne 0 ] && [ "$chaos" -ne 3 ]; then status=$chaos; fi
fi
exit "$status"
