// word FILE OFFSET [VALUE]: reads the 32-bit word at OFFSET of a BAR's file in sysfs, or of /dev/mem, or writes VALUE there. Prints what it read.
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

int main(int count, char **words) {
    if (count < 3) {
        fprintf(stderr, "word FILE OFFSET [VALUE]\n");
        return 2;
    }
    int file = open(words[1], O_RDWR | O_SYNC);
    uint64_t offset = strtoull(words[2], NULL, 0);
    volatile uint8_t *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, (off_t)(offset & ~4095ull));
    if (page == MAP_FAILED) {
        perror(words[1]);
        return 1;
    }
    volatile uint32_t *word = (volatile uint32_t *)(page + (offset & 4092));
    if (count > 3) {
        *word = (uint32_t)strtoul(words[3], NULL, 0);
    } else {
        printf("0x%08X\n", *word);
    }
    return 0;
}
