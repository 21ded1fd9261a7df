/* What guests without an operating system share: the entry that PVH looks for, ports, the serial port, the configuration of bus 0. */
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned u32;

enum { CONFIG_ADDRESS = 0xCF8, CONFIG_DATA = 0xCFC, SERIAL = 0x3F8, PM_CONTROL = 0x604, SOFT_OFF = 7 << 10 | 1 << 13 };
enum { COMMAND = 4, MEMORY = 2, MASTER = 4, BAR0 = 0x10 };

/* The entry that PVH looks for: 32-bit, no paging, the start information in ebx (XEN_ELFNOTE_PHYS32_ENTRY is 18). */
__asm__(".section .note.pvh, \"a\", @note\n"
        ".long 4, 4, 18\n"
        ".asciz \"Xen\"\n"
        ".long start\n"
        ".text\n"
        ".globl start\n"
        "start: mov $stack_top, %esp\n"
        "push %ebx\n"
        "call enter\n"
        ".lcomm stack, 4096\n"
        ".set stack_top, stack + 4096\n");

static void out8(u16 port, u8 value) { __asm__ volatile("outb %0, %1" ::"a"(value), "Nd"(port)); }
static void out16(u16 port, u16 value) { __asm__ volatile("outw %0, %1" ::"a"(value), "Nd"(port)); }
static void out32(u16 port, u32 value) { __asm__ volatile("outl %0, %1" ::"a"(value), "Nd"(port)); }

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

/* select DEVICE REGISTER: what the data port means from now on. */
static void select(u32 device, u32 at) { out32(CONFIG_ADDRESS, 0x80000000u | device << 11 | at); }

static u32 config(u32 device, u32 at)
{
    select(device, at);
    return in32(CONFIG_DATA);
}

/* Ends the machine. */
static void power_off(void)
{
    out16(PM_CONTROL, SOFT_OFF);
    for (;;)
        __asm__ volatile("hlt");
}
