# N moves of the RAM-backed BAR2 (64-bit, prefetchable) of 00:04.0 between two addresses. One unit: decode off, both
# halves of the BAR written, decode on (four config writes, eight port accesses), then one word read and written at the
# new place. The word must be what the previous place was given: the memory moves, its content stays.
        .include "boot.inc"

        .set    PLACE_A, 0xE0000000
        .set    PLACE_B, 0xE1000000
main:
        movl    $PLACE_A, %esi
        CONFIG_WRITE DEVICE + 0x18, %esi
        CONFIG_WRITE DEVICE + 0x1C, $0
        CONFIG_WRITE DEVICE + 0x04, $2
        movl    %ecx, (%esi)
1:      xorl    $(PLACE_A ^ PLACE_B), %esi
        CONFIG_WRITE DEVICE + 0x04, $0
        CONFIG_WRITE DEVICE + 0x18, %esi
        CONFIG_WRITE DEVICE + 0x1C, $0
        CONFIG_WRITE DEVICE + 0x04, $2
        cmpl    %ecx, (%esi)
        jne     2f
        decl    %ecx
        movl    %ecx, (%esi)
        jnz     1b
        FINISH  EXIT_DONE
2:      FINISH  EXIT_WRONG
