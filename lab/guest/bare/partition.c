/* A guest of a few instructions for a partition function on bus 0, started by the PVH protocol: says APERTURE ready, carries out the lines that come over the
   serial port (../partition.h), and powers off at "end". It has no paging, so the function's BARs have to be below 4 GiB. */
#include "bare.h"
#include "../partition.h"

enum { LINE_STATUS = SERIAL + 5, BAR2 = 0x18, PARTITION = 0x0002A9E7 };

static u8 in8(u16 port)
{
    u8 value;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static void off(const char *why)
{
    print(why);
    power_off();
}

static void read_line(char *line, u32 room)
{
    for (u32 at = 0;;) {
        while (!(in8(LINE_STATUS) & 1))
            __asm__ volatile("pause");
        char next = in8(SERIAL);
        if (next == '\n' || next == '\r') {
            line[at] = 0;
            return;
        }
        if (at + 1 < room)
            line[at++] = next;
    }
}

__attribute__((used)) void enter(void)
{
    char line[128];
    u32 device = 1;
    while (device < 32 && config(device, 0) != PARTITION)
        device++;
    if (device == 32)
        off("APERTURE no partition function on bus 0\n");
    if (config(device, BAR2 + 4) != 0)
        off("APERTURE the window is above 4 GiB, out of reach: pin it\n");
    registers = (volatile u32 *)(config(device, BAR0) & ~0xFu);
    window = (volatile u32 *)(config(device, BAR2) & ~0xFu);
    select(device, COMMAND);
    out16(CONFIG_DATA, MEMORY | MASTER);
    print("APERTURE ready\n");
    for (;;) {
        read_line(line, sizeof line);
        const char *at = line;
        if (next_word(&at, "end"))
            off("APERTURE end\n");
        if (*line && !obey(line))
            print("APERTURE what\n");
    }
}
