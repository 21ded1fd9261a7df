# N reads of the vendor and device id of 00:04.0 through CF8/CFC. One unit: one 4-byte write of CF8 and one 4-byte
# read of CFC, as a guest does that reads a register it has not just read. All-ones (nothing there) is an error.
        .include "boot.inc"

main:
        movl    $DEVICE, %ebx
1:      movl    %ebx, %eax
        movw    $0xCF8, %dx
        outl    %eax, %dx
        movw    $0xCFC, %dx
        inl     %dx, %eax
        decl    %ecx
        jnz     1b
        cmpl    $0xFFFFFFFF, %eax
        je      2f
        FINISH  EXIT_DONE
2:      FINISH  EXIT_WRONG
