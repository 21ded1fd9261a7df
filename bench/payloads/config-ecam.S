# N reads of the vendor and device id of 00:04.0 through the ECAM window, which the payload opens at 0xB0000000 by
# PCIEXBAR (Q35 00:00.0 offset 0x60: bit 0 enable, bits 2:1 = 00 for 256 MiB). One unit: one 4-byte read, one exit.
# The window must agree with CF8/CFC about what is there.
        .include "boot.inc"

        .set    ECAM, 0xB0000000
main:
        CONFIG_WRITE BRIDGE + 0x64, $0
        CONFIG_WRITE BRIDGE + 0x60, $ECAM + 1
        CONFIG_READ DEVICE
        movl    %eax, %ebx
        movl    $ECAM + (4 << 15), %esi         # bus 0, device 4, function 0, offset 0
1:      movl    (%esi), %eax
        decl    %ecx
        jnz     1b
        cmpl    %eax, %ebx
        jne     2f
        cmpl    $0xFFFFFFFF, %eax
        je      2f
        FINISH  EXIT_DONE
2:      FINISH  EXIT_WRONG
