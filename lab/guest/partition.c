/* aperture-partition BDF    maps the BARs of a partition function and carries out the lines of standard input (partition.h); what it prints are lines too */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "partition.h"

static void print(const char *text) { fputs(text, stdout); }

static void print_number(unsigned number) { printf("%u", number); }

static void *map(const char *bdf, int bar)
{
    char path[80];
    struct stat state;
    snprintf(path, sizeof path, "/sys/bus/pci/devices/%s/resource%d", bdf, bar);
    int file = open(path, O_RDWR | O_SYNC | O_CLOEXEC);
    void *there = file < 0 || fstat(file, &state) < 0 ? MAP_FAILED : mmap(NULL, state.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (there == MAP_FAILED) {
        perror(path);
        exit(1);
    }
    close(file);
    return there;
}

int main(int argc, char **argv)
{
    char line[256];
    if (argc != 2) {
        fprintf(stderr, "usage: aperture-partition BDF\n");
        return 2;
    }
    registers = map(argv[1], 0);
    window = map(argv[1], 2);
    if (registers[IDENTIFICATION / 4] != PARTITION_MAGIC) {
        fprintf(stderr, "%s is no partition function\n", argv[1]);
        return 1;
    }
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = 0;
        if (*line && !obey(line)) {
            fprintf(stderr, "'%s' is nothing that a partition function does\n", line);
            return 2;
        }
        fflush(stdout);
    }
    return 0;
}
