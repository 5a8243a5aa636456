#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Everything a change must pass, changing no source: format, tidiness, declared imports, tests.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/shell.sh"

need_swift
scripts/fix.sh --check
scripts/test.sh
