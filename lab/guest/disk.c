/* aperture-disk random|sequential DEVICE BYTES COUNT: COUNT direct reads of BYTES each, at random or consecutive places.
   Prints the number of reads, the microseconds they took, and the number that failed. One read is in flight at a time, so the
   time of one is the whole way: doorbell, DMA, interrupt, completion. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static uint64_t microseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* Fixed seed: every run asks for the same places (xorshift64, Marsaglia 2003). */
static uint64_t next(void)
{
    static uint64_t state = 0x9E3779B97F4A7C15;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "usage: aperture-disk random|sequential DEVICE BYTES COUNT\n");
        return 2;
    }
    int random = strcmp(argv[1], "random") == 0;
    size_t bytes = strtoul(argv[3], NULL, 0);
    uint64_t count = strtoul(argv[4], NULL, 0);
    int file = open(argv[2], O_RDONLY | O_DIRECT | O_CLOEXEC);
    off_t size = file < 0 ? 0 : lseek(file, 0, SEEK_END);
    void *buffer = NULL;
    if (size < (off_t)bytes || posix_memalign(&buffer, 4096, bytes) != 0) {
        perror(argv[2]);
        return 1;
    }
    memset(buffer, 0, bytes);
    uint64_t places = size / bytes, failed = 0, begin = microseconds();
    for (uint64_t i = 0; i < count; i++) {
        uint64_t place = (random ? next() : i) % places;
        if (pread(file, buffer, bytes, place * bytes) != (ssize_t)bytes)
            failed++;
    }
    printf("%llu %llu %llu\n", (unsigned long long)count, (unsigned long long)(microseconds() - begin), (unsigned long long)failed);
    return failed != 0;
}
