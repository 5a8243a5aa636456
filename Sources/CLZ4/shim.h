/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_CLZ4_SHIM_H
#define GODWIT_CLZ4_SHIM_H
#include <lz4frame.h>
#endif
