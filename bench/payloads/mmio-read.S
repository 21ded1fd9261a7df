# N 32-bit reads of the first register of BAR0 of 00:04.0. One unit: one read, one exit.
        .include "boot.inc"

        .set    BAR, 0xE0000000
main:
        CONFIG_WRITE DEVICE + 0x10, $BAR
        CONFIG_WRITE DEVICE + 0x04, $2          # memory decode on
        movl    $BAR, %esi
1:      movl    (%esi), %eax
        decl    %ecx
        jnz     1b
        FINISH  EXIT_DONE
