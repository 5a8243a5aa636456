/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_CCRC32C_H
#define GODWIT_CCRC32C_H

#include <stddef.h>
#include <stdint.h>

/* CRC-32C (Castagnoli, reflected polynomial 0x82f63b78) of the n bytes at data, continuing from crc, which is 0 at
 * the beginning or the checksum of the bytes before. Uses the processor's instruction where there is one. data may be
 * NULL when n is 0. */
uint32_t godwit_crc32c(uint32_t crc, const void *data, size_t n);

/* The same without special instructions: the fallback, and the twin that tests compare with. */
uint32_t godwit_crc32c_portable(uint32_t crc, const void *data, size_t n);

/* What godwit_crc32c runs on here: "sse4.2", "armv8-crc" or "portable". */
const char *godwit_crc32c_implementation(void);

#endif
