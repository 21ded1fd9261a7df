/*
 * The floor: the least that a monitor can do for the payloads here. One vCPU, one RAM slot, one ROM slot, no interrupt
 * controllers, and one PCI function at 00:04.0 whose registers sit in an array. BAR0 reads a constant; BAR2 is memory
 * that moves with the BAR. It checks nothing a well-behaved payload does not need, and is no monitor to learn from.
 *
 * Usage: floor IMAGE RAM_MIB     The exit code is the debug-exit port's: (value << 1) | 1.
 */
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SLOT_RAM, SLOT_ROM, SLOT_BAR };

#define BAR_SIZE (1u << 20)
#define DEVICE_ID 0x11E81234u

static int vm;
static void *bar_memory;
static uint32_t latch;              /* CF8 */
static uint32_t device[64] = { [0] = DEVICE_ID };
static uint32_t bridge[64] = { [0] = 0x29C08086u };
static uint64_t ecam = 1, bar0 = 1; /* 1: nowhere */
static uint64_t bar2;               /* 0: no slot */

static int fail(const char *what)
{
    perror(what);
    return 2;
}

static int set_slot(uint32_t slot, uint64_t at, uint64_t size, void *host, uint32_t flags)
{
    struct kvm_userspace_memory_region r = {
        .slot = slot, .flags = flags, .guest_phys_addr = at, .memory_size = size, .userspace_addr = (uint64_t)host,
    };
    return ioctl(vm, KVM_SET_USER_MEMORY_REGION, &r);
}

static void decode_changed(void)
{
    int on = device[1] & 2;
    bar0 = on && device[4] ? device[4] & ~15u : 1;
    uint64_t to = on ? (uint64_t)device[7] << 32 | (device[6] & ~15u) : 0;
    if (to == bar2)
        return;
    if (bar2)
        set_slot(SLOT_BAR, bar2, 0, bar_memory, 0);
    if (to)
        set_slot(SLOT_BAR, to, BAR_SIZE, bar_memory, 0);
    bar2 = to;
}

static uint32_t *config_register(uint32_t address)
{
    uint32_t function = address >> 8 & 0xFFFF;
    uint32_t *registers = function == 0x20 ? device : function == 0 ? bridge : NULL;
    return registers ? &registers[address >> 2 & 63] : NULL;
}

static void config_write(uint32_t value)
{
    uint32_t *r = config_register(latch);
    if (!r)
        return;
    *r = value;
    if (r == &device[1] || (device[1] & 2))
        decode_changed();
    else if (r == &bridge[24])
        ecam = value & 1 ? value & 0xF0000000u : 1;
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return fputs("usage: floor IMAGE RAM_MIB\n", stderr), 2;
    uint64_t ram_size = 0;
    for (const char *p = argv[2]; *p >= '0' && *p <= '9'; p++)
        ram_size = ram_size * 10 + (uint64_t)(*p - '0');
    ram_size <<= 20;

    int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC), image = open(argv[1], O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (kvm < 0)
        return fail("/dev/kvm");
    if (image < 0 || fstat(image, &st) < 0)
        return fail(argv[1]);
    if ((vm = ioctl(kvm, KVM_CREATE_VM, 0)) < 0)
        return fail("KVM_CREATE_VM");
    ioctl(vm, KVM_SET_TSS_ADDR, 0xFEFFD000ul);
    uint64_t identity = 0xFEFFC000ul;
    ioctl(vm, KVM_SET_IDENTITY_MAP_ADDR, &identity);

    uint64_t rom_size = (uint64_t)st.st_size;
    void *ram = mmap(NULL, ram_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    void *rom = mmap(NULL, rom_size, PROT_READ | PROT_WRITE, MAP_PRIVATE, image, 0);
    bar_memory = mmap(NULL, BAR_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (ram == MAP_FAILED || rom == MAP_FAILED || bar_memory == MAP_FAILED)
        return fail("mmap");
    if (set_slot(SLOT_RAM, 0, ram_size, ram, 0) < 0 ||
        set_slot(SLOT_ROM, 0x100000000ull - rom_size, rom_size, rom, KVM_MEM_READONLY) < 0)
        return fail("KVM_SET_USER_MEMORY_REGION");

    int vcpu = ioctl(vm, KVM_CREATE_VCPU, 0), run_size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
    if (vcpu < 0 || run_size < 0)
        return fail("KVM_CREATE_VCPU");
    struct kvm_run *run = mmap(NULL, (size_t)run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
    if (run == MAP_FAILED)
        return fail("mmap");

    for (;;) {
        if (ioctl(vcpu, KVM_RUN, 0) < 0)
            return fail("KVM_RUN");
        if (run->exit_reason == KVM_EXIT_MMIO) {
            if (run->mmio.is_write)
                continue;
            uint64_t at = run->mmio.phys_addr;
            uint32_t value = 0xFFFFFFFFu, *r;
            if (at - bar0 < BAR_SIZE)
                value = 0x010000EDu;
            else if (at - ecam < 1u << 28 && (r = config_register((uint32_t)((at - ecam) >> 4 & 0xFFFF00) | (at & 0xFF))))
                value = *r;
            memcpy(run->mmio.data, &value, 4);
        } else if (run->exit_reason == KVM_EXIT_IO) {
            uint32_t *data = (uint32_t *)((char *)run + run->io.data_offset), *r;
            int out = run->io.direction == KVM_EXIT_IO_OUT;
            if (run->io.port == 0xCF8 && out)
                latch = *data;
            else if (run->io.port == 0xCFC && out)
                config_write(*data);
            else if (run->io.port == 0xCFC)
                *data = (latch >> 31) && (r = config_register(latch)) ? *r : 0xFFFFFFFFu;
            else if (run->io.port == 0xF4 && out)
                return (int)(*data << 1 | 1) & 0xFF;
        } else {
            fprintf(stderr, "floor: exit reason %u\n", run->exit_reason);
            return 3;
        }
    }
}
