/* Included before every source file of llama.cpp when GCC builds it for x86-64.
 *
 * GCC's amxtileintrin.h (seen in 12.2) tells the compiler that _tile_loadconfig reads 8 bytes. The
 * instruction reads 64, so the optimiser drops the stores to the other 56 and the first tile
 * instruction dies with SIGILL. Here the operand has its true size.
 */
#if defined(__GNUC__) && !defined(__clang__) && defined(__AMX_TILE__)
#include <immintrin.h>

static inline void codeserve_tile_loadconfig(const void *config) {
    __asm__ volatile("ldtilecfg\t%X0" : : "m"(*(const char(*)[64])config));
}
#define _tile_loadconfig codeserve_tile_loadconfig
#endif
