/* aperture-torment decode BDF COUNT    turns memory decoding off and on COUNT times, through the function's config space
   aperture-torment garbage BDF SEED    writes noise to every byte of config space, byte by byte, then by words and double words at every
                                        place, aligned or not where the kernel lets it; puts the header back as it was
   Prints how many accesses the kernel carried out and the microseconds they took. No driver should be bound to the function. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { COMMAND = 4, DECODE_MEMORY = 2, HEADER = 64 };

static uint64_t microseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static uint64_t state;

static uint64_t next(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static uint64_t decode(int file, uint64_t count)
{
    uint16_t command, done = 0;
    uint64_t accesses = 0;
    if (pread(file, &command, 2, COMMAND) != 2)
        return 0;
    for (uint64_t i = 0; i < count; i++) {
        uint16_t off = command & ~DECODE_MEMORY, on = command | DECODE_MEMORY;
        accesses += pwrite(file, &off, 2, COMMAND) == 2;
        accesses += pwrite(file, &on, 2, COMMAND) == 2;
    }
    /* What was written last is what is there. */
    if (pread(file, &done, 2, COMMAND) != 2 || !(done & DECODE_MEMORY))
        return 0;
    pwrite(file, &command, 2, COMMAND);
    return accesses;
}

static uint64_t garbage(int file)
{
    uint8_t header[HEADER];
    uint64_t accesses = 0;
    off_t size = lseek(file, 0, SEEK_END);
    if (pread(file, header, HEADER, 0) != HEADER)
        return 0;
    for (size_t width = 1; width <= 4; width *= 2) {
        for (off_t at = 0; at + (off_t)width <= size; at++) {
            uint64_t noise = next();
            accesses += pwrite(file, &noise, width, at) == (ssize_t)width;
            accesses += pread(file, &noise, width, at) == (ssize_t)width;
        }
    }
    for (off_t at = HEADER - 4; at >= 4; at -= 4)
        pwrite(file, header + at, 4, at);
    return accesses;
}

int main(int argc, char **argv)
{
    char path[64];
    if (argc != 4) {
        fprintf(stderr, "usage: aperture-torment decode|garbage BDF NUMBER\n");
        return 2;
    }
    snprintf(path, sizeof path, "/sys/bus/pci/devices/%s/config", argv[2]);
    int file = open(path, O_RDWR | O_CLOEXEC);
    if (file < 0) {
        perror(path);
        return 1;
    }
    uint64_t number = strtoull(argv[3], NULL, 0), begin = microseconds();
    state = number * 2 + 1;
    uint64_t accesses = strcmp(argv[1], "decode") == 0 ? decode(file, number) : garbage(file);
    printf("%llu %llu\n", (unsigned long long)accesses, (unsigned long long)(microseconds() - begin));
    return accesses == 0;
}
