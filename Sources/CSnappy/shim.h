/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_CSNAPPY_SHIM_H
#define GODWIT_CSNAPPY_SHIM_H
#include <snappy-c.h>
#endif
