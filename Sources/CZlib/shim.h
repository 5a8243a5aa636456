/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_CZLIB_SHIM_H
#define GODWIT_CZLIB_SHIM_H
#include <zlib.h>
#endif
