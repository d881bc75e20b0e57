/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The payload of the small kernel image that hvmload gives to QEMU. Debian's
 * own real-mode code, in front of it, has asked the BIOS what it asks on any
 * boot and jumps here in protected mode, with %esi at the boot parameters. The
 * kernel is in memory already: note where the initramfs is, switch to 64 bits
 * as Documentation/arch/x86/boot.rst wants it, and go.
 *
 * It stands at STUB_AT, so addresses in it are known to the assembler. The
 * words after stub_values are filled in by hvmload.c: see struct values.
 */
#include "stub.h"

#define AT(label) (STUB_AT + (label) - stub)

    .section .rodata
    .globl stub, stub_values, stub_end
    .hidden stub, stub_values, stub_end

    .code32
stub:
    movl AT(initrd), %eax
    movl %eax, 0x218(%esi)          /* hdr.ramdisk_image */
    movl AT(initrd_size), %eax
    movl %eax, 0x21c(%esi)          /* hdr.ramdisk_size */

    lgdt AT(gdt_pointer)
    movl %cr4, %eax
    orl $0x20, %eax                 /* PAE */
    movl %eax, %cr4
    movl AT(page_table), %eax
    movl %eax, %cr3
    movl $0xc0000080, %ecx          /* EFER */
    rdmsr
    orl $0x100, %eax                /* LME */
    wrmsr
    movl %cr0, %eax
    orl $0x80000000, %eax           /* PG */
    movl %eax, %cr0
    ljmp $0x10, $AT(long_mode)

    .code64
long_mode:
    movl $0x18, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    movl %esi, %esi
    movl AT(entry), %eax
    jmp *%rax

    .balign 8
gdt:
    .quad 0, 0
    .quad 0x00af9a000000ffff        /* 0x10: code, 64 bits */
    .quad 0x00cf92000000ffff        /* 0x18: data */
gdt_pointer:
    .word gdt_pointer - gdt - 1
    .long AT(gdt)

    .balign 4
stub_values:
initrd:
    .long 0
initrd_size:
    .long 0
page_table:
    .long 0
entry:
    .long 0
stub_end:

    .section .note.GNU-stack, "", @progbits
