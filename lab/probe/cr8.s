# A ROM of 64 KiB for the emulator of the lab's machine, which tells whether a guest of its guest may write CR8 while a virtual interrupt waits: KVM asks for such
# an interrupt when it wants to know when its guest takes one, and 64-bit OVMF writes CR8 at the end of each interrupt. It starts a guest of three
# instructions by AMD's SVM (AMD APM volume 2, chapter 15 and appendix B) and prints "sound" on the first serial port when that has come back as it should,
# "wrong" when it has not. An emulator with QEMU's fault ends instead. Then it resets the machine. Needs 1 MiB of RAM.
.set vmcb, 0x11000
.set host_save, 0x10000
.set serial, 0x3f8
.set base, 0xffff0000

.text
image:
.code32
# Flat 32-bit segments, marked as used already: a ROM cannot be marked.
gdt:
    .quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff
gdt_pointer:
    .word gdt_pointer - gdt - 1
    .long base + gdt - image

protected:
    mov $0x10, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    mov $0xc0000080, %ecx               # EFER: SVME
    xor %edx, %edx
    mov $0x1000, %eax
    wrmsr
    mov $0xc0010117, %ecx               # VM_HSAVE_PA
    mov $host_save, %eax
    wrmsr
    movl $1 << 24, vmcb + 0x00c         # intercept HLT
    movl $1, vmcb + 0x010               # and VMRUN, as it must
    movl $0x20000, vmcb + 0x040         # I/O and MSR permission maps, not used
    movl $0x24000, vmcb + 0x048
    movl $1, vmcb + 0x058               # ASID
    movl $0x010f0100, vmcb + 0x060      # V_INTR_MASKING; V_IRQ waits, with the highest priority
    movl $0x0c9b0008, vmcb + 0x410      # CS: flat, 32 bits
    movl $0xffffffff, vmcb + 0x414
    movl $0x0c930010, vmcb + 0x420      # SS, DS
    movl $0xffffffff, vmcb + 0x424
    movl $0x0c930010, vmcb + 0x430
    movl $0xffffffff, vmcb + 0x434
    movl $0x1000, vmcb + 0x4d0          # EFER
    movl $0x11, vmcb + 0x558            # CR0: protected mode
    movl $0x400, vmcb + 0x560           # DR7, DR6
    movl $0xffff0ff0, vmcb + 0x568
    movl $2, vmcb + 0x570               # RFLAGS: interrupts off, so that it keeps waiting
    movl $base + guest - image, vmcb + 0x578
    mov $vmcb, %eax
    vmrun
    mov $base + wrong - image, %esi
    cmpl $0x78, vmcb + 0x070            # EXITCODE: HLT
    jne print
    mov $base + sound - image, %esi
print:
    mov $serial, %edx
    mov $6, %ecx
    rep outsb
    mov $0xcf9, %edx                    # reset
    mov $6, %al
    out %al, %dx
    hlt

guest:
    xor %eax, %eax
    mov %eax, %cr8
    hlt

sound:
    .ascii "sound\n"
wrong:
    .ascii "wrong\n"

.code16
.org 0xff80
real:
    lgdtl %cs:gdt_pointer - image
    mov %cr0, %eax
    or $1, %al
    mov %eax, %cr0
    ljmpl $8, $base + protected - image

.org 0xfff0
    jmp real
.org 0x10000
