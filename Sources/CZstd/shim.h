/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_CZSTD_SHIM_H
#define GODWIT_CZSTD_SHIM_H
#include <zstd.h>
#include <zstd_errors.h>
#endif
