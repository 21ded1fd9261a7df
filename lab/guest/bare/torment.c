/* A guest of a few instructions for a passed-through NVMe drive on bus 0, started by the PVH protocol; its command line says what it does:
     decode COUNT    turns memory decoding off and on COUNT times, by the configuration ports (PCI 3.0, section 3.2.2.3.2). Now and then it looks whether
                     the registers answer while decoding is on, and only then. Prints: APERTURE torment decode ok|wrong ACCESSES, and powers off.
     load            reads from the drive, 32 requests in flight (NVM Express 1.4, sections 3.1, 5 and 6). Prints APERTURE loaded now once the first came back
                     without an error, or APERTURE load wrong, and never ends.
   It starts in a hundredth of the time that an operating system needs, and leaves the processor to what is under test. */
#include "bare.h"

enum { CLASS = 8, NVME = 0x010802 };
enum { VERSION = 8, CONTROL = 0x14, STATUS = 0x1C, QUEUE_SIZES = 0x24, QUEUES = 0x28, DOORBELLS = 0x1000 };
enum { DEPTH = 64, IN_FLIGHT = 32, PAGE = 4096, LOOK_EVERY = 50 };
enum { CREATE_SUBMISSION = 1, CREATE_COMPLETION = 5, READ = 2 };

static u32 load(u32 address) { return *(volatile u32 *)address; }
static void store(u32 address, u32 value) { *(volatile u32 *)address = value; }

static void decode(u32 device, u32 registers, u32 count)
{
    u16 off = MASTER, on = MASTER | MEMORY;
    u32 version = load(registers + VERSION), wrong = version == ~0u;
    select(device, COMMAND);
    for (u32 i = 0; i < count; i++) {
        out16(CONFIG_DATA, off);
        if (i % LOOK_EVERY == 0)
            wrong |= load(registers + VERSION) != ~0u;
        out16(CONFIG_DATA, on);
        if (i % LOOK_EVERY == 0)
            wrong |= load(registers + VERSION) != version;
    }
    wrong |= (u16)in32(CONFIG_DATA) != on;
    print(wrong ? "APERTURE torment decode wrong " : "APERTURE torment decode ok ");
    print_number(count * 2);
    print("\n");
    power_off();
}

struct command {
    u32 words[16];
};

struct completion {
    u32 result, reserved;
    u16 head, queue, id, status;
};

struct queue {
    u32 doorbell, tail, head;
    u16 phase;
    struct command *commands;
    volatile struct completion *completions;
};

static struct command commands[2][DEPTH] __attribute__((aligned(PAGE)));
/* Each queue on a page of its own, of which it uses the beginning. */
static volatile struct completion completions[2][PAGE / sizeof(struct completion)] __attribute__((aligned(PAGE)));
static u8 buffer[IN_FLIGHT][2 * PAGE] __attribute__((aligned(PAGE)));
static struct queue queues[2];

static void submit(struct queue *queue, u32 operation, u32 first, u32 second, u32 word10, u32 word11, u32 word12)
{
    u32 *words = queue->commands[queue->tail].words;
    for (u32 i = 0; i < 16; i++)
        words[i] = 0;
    words[0] = operation | queue->tail << 16;
    words[1] = operation == READ;
    words[6] = first;
    words[8] = second;
    words[10] = word10;
    words[11] = word11;
    words[12] = word12;
    queue->tail = (queue->tail + 1) % DEPTH;
    __asm__ volatile("" ::: "memory");
    store(queue->doorbell, queue->tail);
}

/* Waits for one completion; 0 when it is without an error. */
static u16 complete(struct queue *queue, u32 stride)
{
    volatile struct completion *done = &queue->completions[queue->head];
    while ((done->status & 1) != queue->phase)
        __asm__ volatile("pause");
    u16 status = done->status >> 1;
    queue->head = (queue->head + 1) % DEPTH;
    queue->phase ^= queue->head == 0;
    store(queue->doorbell + stride, queue->head);
    return status;
}

static void read_on(u32 registers)
{
    u32 stride = 4u << (load(registers + 4) & 0xF);
    for (u32 i = 0; i < 2; i++)
        queues[i] = (struct queue){registers + DOORBELLS + i * 2 * stride, 0, 0, 1, commands[i], completions[i]};
    store(registers + CONTROL, 0);
    while (load(registers + STATUS) & 1)
        ;
    store(registers + QUEUE_SIZES, (DEPTH - 1) << 16 | (DEPTH - 1));
    store(registers + QUEUES, (u32)commands[0]);
    store(registers + QUEUES + 4, 0);
    store(registers + QUEUES + 8, (u32)completions[0]);
    store(registers + QUEUES + 12, 0);
    /* Entries of 64 and 16 bytes, enabled. */
    store(registers + CONTROL, 6 << 16 | 4 << 20 | 1);
    while (!(load(registers + STATUS) & 1))
        ;
    submit(&queues[0], CREATE_COMPLETION, (u32)completions[1], 0, (DEPTH - 1) << 16 | 1, 1, 0);
    u16 status = complete(&queues[0], stride);
    submit(&queues[0], CREATE_SUBMISSION, (u32)commands[1], 0, (DEPTH - 1) << 16 | 1, 1 << 16 | 1, 0);
    status |= complete(&queues[0], stride);
    if (status != 0) {
        print("APERTURE load wrong\n");
        power_off();
    }
    for (u32 i = 0;; i++) {
        u8 *to = buffer[i % IN_FLIGHT];
        submit(&queues[1], READ, (u32)to, (u32)to + PAGE, i % 4096 * 16, 0, 15);
        if (i >= IN_FLIGHT - 1)
            status |= complete(&queues[1], stride);
        if (i == 4 * IN_FLIGHT)
            print(status == 0 ? "APERTURE loaded now\n" : "APERTURE load wrong\n");
    }
}

__attribute__((used)) void enter(u32 information)
{
    const char *line = (const char *)load(information + 24);
    u32 device = 1, count = 0;
    while (device < 32 && config(device, CLASS) >> 8 != NVME)
        device++;
    if (device == 32) {
        print("APERTURE torment no drive\n");
        power_off();
    }
    u32 registers = config(device, BAR0) & ~0xFu;
    if (config(device, BAR0 + 4) != 0) {
        print("APERTURE torment registers above 4 GiB, out of reach: pin them, as with bars=all=host\n");
        power_off();
    }
    select(device, COMMAND);
    out16(CONFIG_DATA, MASTER | MEMORY);
    for (const char *at = line; *at; at++)
        count = *at >= '0' && *at <= '9' ? count * 10 + (*at - '0') : 0;
    if (*line == 'd')
        decode(device, registers, count);
    else
        read_on(registers);
}
