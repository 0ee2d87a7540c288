// Exits 0 where an AMX matrix product is right, 1 where it is wrong, 2 where AMX may not be used;
// dies where the compiler dropped stores to the tile configuration.
#include <immintrin.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>
#include <sys/syscall.h>
struct tile_config {
    uint8_t palette = 0, start_row = 0, reserved[14] = {0};
    uint16_t colsb[16] = {0};
    uint8_t rows[16] = {0};
};
static int8_t a[1024], b[1024];
static int32_t sums[256];
// Leaves garbage where the configuration will lie, so that a dropped store shows.
static void __attribute__((noinline)) dirty() { volatile char stack[4096]; for (auto &c : stack) c = 0x5a; }
static void __attribute__((noinline)) configure() {
    alignas(64) tile_config config = {};
    config.palette = 1;
    config.rows[0] = 16; config.colsb[0] = 64;
    config.rows[1] = 16; config.colsb[1] = 64;
    config.rows[2] = 16; config.colsb[2] = 64;
    _tile_loadconfig(&config);
}
int main() {
    if (syscall(SYS_arch_prctl, 0x1023, 18)) return 2;
    memset(a, 1, sizeof a);
    memset(b, 2, sizeof b);
    dirty();
    configure();
    _tile_zero(0);
    _tile_loadd(1, a, 64);
    _tile_loadd(2, b, 64);
    _tile_dpbssd(0, 1, 2);
    _tile_stored(0, sums, 64);
    return sums[0] != 128;
}
