#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# swift format over all Swift sources: in place, or with --check only as a strict lint.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/shell.sh"

need_swift
places=(Package.swift Sources Tests)
[ -d benchmarks ] && [ -n "$(find benchmarks -name '*.swift' -not -path '*/.build*' -print -quit)" ] && places+=(benchmarks)
if [ "${1:-}" = --check ]; then
    swift format lint --strict --parallel --recursive "${places[@]}"
else
    swift format --in-place --parallel --recursive "${places[@]}"
fi
