/* A guest of a few instructions for a partition function on bus 0, started by the PVH protocol: says APERTURE ready, carries out the lines that come over the
   serial port (../partition.h), and powers off at "end". It has no paging, so the function's BARs have to be below 4 GiB. */
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned u32;

#include "../partition.h"

enum { CONFIG_ADDRESS = 0xCF8, CONFIG_DATA = 0xCFC, SERIAL = 0x3F8, LINE_STATUS = SERIAL + 5, PM_CONTROL = 0x604, SOFT_OFF = 7 << 10 | 1 << 13 };
enum { COMMAND = 4, MEMORY_AND_MASTER = 6, BAR0 = 0x10, BAR2 = 0x18, PARTITION = 0x0002A9E7 };

/* The entry that PVH looks for: 32-bit, no paging (XEN_ELFNOTE_PHYS32_ENTRY is 18). */
__asm__(".section .note.pvh, \"a\", @note\n"
        ".long 4, 4, 18\n"
        ".asciz \"Xen\"\n"
        ".long start\n"
        ".text\n"
        ".globl start\n"
        "start: mov $stack_top, %esp\n"
        "call enter\n"
        ".lcomm stack, 4096\n"
        ".set stack_top, stack + 4096\n");

static void out8(u16 port, u8 value) { __asm__ volatile("outb %0, %1" ::"a"(value), "Nd"(port)); }
static void out16(u16 port, u16 value) { __asm__ volatile("outw %0, %1" ::"a"(value), "Nd"(port)); }
static void out32(u16 port, u32 value) { __asm__ volatile("outl %0, %1" ::"a"(value), "Nd"(port)); }

static u8 in8(u16 port)
{
    u8 value;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static u32 in32(u16 port)
{
    u32 value;
    __asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static void print(const char *text)
{
    while (*text)
        out8(SERIAL, *text++);
}

static void print_number(u32 number)
{
    char text[11], *at = text + 10;
    *at = 0;
    do
        *--at = '0' + number % 10;
    while ((number /= 10) != 0);
    print(at);
}

static void select(u32 device, u32 at) { out32(CONFIG_ADDRESS, 0x80000000u | device << 11 | at); }

static u32 config(u32 device, u32 at)
{
    select(device, at);
    return in32(CONFIG_DATA);
}

static void off(const char *why)
{
    print(why);
    out16(PM_CONTROL, SOFT_OFF);
    for (;;)
        __asm__ volatile("hlt");
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
    out16(CONFIG_DATA, MEMORY_AND_MASTER);
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
