/* aperture-peer copy EDU ADDRESS NUMBER     has the DMA engine of QEMU's edu at EDU fetch 2 KiB that NUMBER tells from guest memory, and store them at ADDRESS
   aperture-peer fetch EDU ADDRESS NUMBER    the other way: looks whether the engine finds them at ADDRESS
   aperture-peer show DRIVE NUMBER           looks whether a processor finds them at the start of BAR 2
   copy prints "done" or "stuck", the others "ok" or "wrong" and the first word there. Addresses are the guest's.
   The engine (QEMU's docs/specs/edu) has its own 4 KiB buffer at 0x40000, and copies between that and the bus. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE = 4096, BYTES = 2048, WORDS = BYTES / 8, REGISTERS = 1 << 20, BUFFER = 0x40000 };
enum { SOURCE = 0x80, TARGET = 0x88, COUNT = 0x90, COMMAND = 0x98 };
enum { START = 1, FROM_BUFFER = 2 };

static void *map(const char *path, off_t at, size_t bytes)
{
    int file = open(path, O_RDWR | O_SYNC | O_CLOEXEC);
    void *there = file < 0 ? MAP_FAILED : mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, at);
    if (there == MAP_FAILED) {
        perror(path);
        exit(1);
    }
    close(file);
    return there;
}

/* The guest address of a page of this process (Documentation/admin-guide/mm/pagemap.rst: bits 54:0 of its entry). */
static uint64_t place_of(void *page)
{
    uint64_t entry = 0;
    int file = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    if (pread(file, &entry, sizeof entry, (uintptr_t)page / PAGE * sizeof entry) != sizeof entry || !(entry >> 63)) {
        perror("pagemap");
        exit(1);
    }
    close(file);
    return (entry & ((1ULL << 55) - 1)) * PAGE;
}

static uint64_t word(uint64_t number, int i)
{
    return 0xA9E7000000000000 | number << 32 | (uint64_t)i * 0x10001;
}

static int transfer(volatile uint8_t *edu, uint64_t source, uint64_t target, uint64_t command)
{
    *(volatile uint64_t *)(edu + SOURCE) = source;
    *(volatile uint64_t *)(edu + TARGET) = target;
    *(volatile uint64_t *)(edu + COUNT) = BYTES;
    *(volatile uint64_t *)(edu + COMMAND) = command | START;
    for (int i = 0; i < 500; i++) {
        if (!(*(volatile uint64_t *)(edu + COMMAND) & START))
            return 1;
        usleep(10000);
    }
    return 0;
}

static uint64_t *memory(void)
{
    uint64_t *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED | MAP_POPULATE, -1, 0);
    if (page == MAP_FAILED) {
        perror("memory");
        exit(1);
    }
    return page;
}

static volatile uint8_t *registers(const char *bdf)
{
    char path[80];
    snprintf(path, sizeof path, "/sys/bus/pci/devices/%s/resource0", bdf);
    return map(path, 0, REGISTERS);
}

static int compare(volatile uint64_t *there, uint64_t number)
{
    int wrong = 0;
    for (int i = 0; i < WORDS; i++)
        wrong |= there[i] != word(number, i);
    printf("%s 0x%016llx\n", wrong ? "wrong" : "ok", (unsigned long long)there[0]);
    return 0;
}

static int copy(const char *bdf, uint64_t address, uint64_t number)
{
    volatile uint8_t *edu = registers(bdf);
    uint64_t *page = memory();
    for (int i = 0; i < WORDS; i++)
        page[i] = word(number, i);
    int done = transfer(edu, place_of(page), BUFFER, 0) && transfer(edu, BUFFER, address, FROM_BUFFER);
    puts(done ? "done" : "stuck");
    return !done;
}

/* Zeros first: a transfer that fails leaves the buffer as it is. */
static int fetch(const char *bdf, uint64_t address, uint64_t number)
{
    volatile uint8_t *edu = registers(bdf);
    uint64_t *page = memory();
    page[0] = 0;
    int done = transfer(edu, place_of(page), BUFFER, 0) && transfer(edu, address, BUFFER, 0) && transfer(edu, BUFFER, place_of(page), FROM_BUFFER);
    return done ? compare(page, number) : (puts("stuck"), 1);
}

static int show(const char *bdf, uint64_t number)
{
    char path[80];
    snprintf(path, sizeof path, "/sys/bus/pci/devices/%s/resource2", bdf);
    return compare(map(path, 0, PAGE), number);
}

int main(int argc, char **argv)
{
    if (argc == 5 && strcmp(argv[1], "copy") == 0)
        return copy(argv[2], strtoull(argv[3], NULL, 0), strtoull(argv[4], NULL, 0));
    if (argc == 5 && strcmp(argv[1], "fetch") == 0)
        return fetch(argv[2], strtoull(argv[3], NULL, 0), strtoull(argv[4], NULL, 0));
    if (argc == 4 && strcmp(argv[1], "show") == 0)
        return show(argv[2], strtoull(argv[3], NULL, 0));
    fprintf(stderr, "usage: aperture-peer copy|fetch EDU ADDRESS NUMBER | aperture-peer show DRIVE NUMBER\n");
    return 2;
}
