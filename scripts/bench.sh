#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The figures of benchmarks/RESULTS.md: benchmarks/run.sh makes them, on the optimised binary that people run.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/shell.sh"

scripts/build.sh
exec benchmarks/run.sh "$@"
