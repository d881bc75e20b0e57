/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hvmload: starts QEMU for an HVM guest, with the kernel in memory already.
 *
 * QEMU hands a kernel (kernel= in xl.cfg) to a Xen guest byte by byte, through
 * an emulated I/O port. On an emulated host each byte costs some 10 us, and a
 * guest takes minutes to boot. Also, the guest unpacks the kernel itself.
 *
 * So this program stands where libxl expects the device model, in the tests'
 * dom0 only. libxl has built the guest and keeps it paused. We copy the
 * unpacked kernel (a file vmlinux beside vmlinuz) and the initramfs into its
 * memory, put a kernel image of 21 kB in the place of -kernel, whose payload
 * (stub.S) jumps to the real one, drop -initrd, and become the real QEMU.
 * Whatever is unexpected is told in QEMU's log, and QEMU gets its arguments
 * as they came.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xenforeignmemory.h>

#include "stub.h"

#define REAL_QEMU    "/usr/libexec/xen-qemu-system-i386.real"
#define PAGE         4096ul
#define BATCH        256 /* pages mapped at a time */
#define INITRD_ALIGN (2ul << 20)
#define BOOT_MAGIC   0x53726448 /* "HdrS" */

struct file {
    const uint8_t *data;
    size_t size;
};

struct guest {
    xenforeignmemory_handle *fmem;
    uint32_t domid;
};

static bool map_file(const char *path, struct file *file)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    void *p = MAP_FAILED;

    if (fd >= 0 && !fstat(fd, &st) && st.st_size > 0) {
        p = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    }
    if (fd >= 0) {
        close(fd);
    }
    if (p == MAP_FAILED) {
        fprintf(stderr, "hvmload: %s: %s\n", path, strerror(errno));
        return false;
    }
    file->data = p;
    file->size = st.st_size;
    return true;
}

/* Copies to a page-aligned guest-physical address; zeroes from size to room. */
static bool put(const struct guest *g, uint64_t at, const void *data,
                size_t size, size_t room)
{
    const uint8_t *from = data;
    size_t done, here;
    xen_pfn_t pfn[BATCH];
    int err[BATCH];
    unsigned int i, n;
    uint8_t *p;

    for (done = 0; done < room; done += n * PAGE) {
        n = (room - done + PAGE - 1) / PAGE;
        n = n < BATCH ? n : BATCH;
        for (i = 0; i < n; i++) {
            pfn[i] = (at + done) / PAGE + i;
        }
        p = xenforeignmemory_map(g->fmem, g->domid, PROT_READ | PROT_WRITE, n,
                                 pfn, err);
        for (i = 0; p && i < n; i++) {
            if (err[i]) {
                xenforeignmemory_unmap(g->fmem, p, n);
                p = NULL;
            }
        }
        if (!p) {
            fprintf(stderr, "hvmload: the guest has no memory at %#lx\n",
                    (unsigned long)(at + done));
            return false;
        }
        here = size > done ? size - done : 0;
        here = here < n * PAGE ? here : n * PAGE;
        memcpy(p, from + done, here);
        memset(p + here, 0, n * PAGE - here);
        xenforeignmemory_unmap(g->fmem, p, n);
    }
    return true;
}

/* Copies the kernel's segments; *end: the first address behind them. */
static bool put_kernel(const struct guest *g, const struct file *elf,
                       uint64_t *entry, uint64_t *end)
{
    const Elf64_Ehdr *h = (const void *)elf->data;
    const Elf64_Phdr *ph;
    unsigned int i;

    *end = 0;
    if (elf->size < sizeof(*h) || memcmp(h->e_ident, ELFMAG, SELFMAG) ||
        h->e_ident[EI_CLASS] != ELFCLASS64 ||
        h->e_phoff + h->e_phnum * sizeof(*ph) > elf->size) {
        fprintf(stderr, "hvmload: the kernel is no ELF file\n");
        return false;
    }
    ph = (const void *)(elf->data + h->e_phoff);
    for (i = 0; i < h->e_phnum; i++, ph++) {
        if (ph->p_type != PT_LOAD) {
            continue;
        }
        if (ph->p_offset + ph->p_filesz > elf->size || ph->p_paddr % PAGE ||
            !put(g, ph->p_paddr, elf->data + ph->p_offset, ph->p_filesz,
                 ph->p_memsz)) {
            return false;
        }
        if (ph->p_paddr + ph->p_memsz > *end) {
            *end = ph->p_paddr + ph->p_memsz;
        }
    }
    *entry = h->e_entry;
    return true;
}

/* Page tables that map the first GiB to itself, at a page-aligned address. */
static bool put_page_tables(const struct guest *g, uint64_t at)
{
    static uint64_t table[3][PAGE / sizeof(uint64_t)];
    unsigned int i;

    table[0][0] = (at + PAGE) | 3;
    table[1][0] = (at + 2 * PAGE) | 3;
    for (i = 0; i < PAGE / sizeof(uint64_t); i++) {
        table[2][i] = ((uint64_t)i << 21) | 0x83;
    }
    return put(g, at, table, sizeof(table), sizeof(table));
}

/* The image for QEMU: the real-mode part of vmlinuz, and the stub. */
static int make_image(const struct file *vmlinuz, const struct values *values)
{
    size_t stub_size = stub_end - stub;
    uint32_t paragraphs = (stub_size + 15) / 16;
    uint8_t image[PAGE * 8 + PAGE];
    size_t setup;
    int fd;

    /* The header's size in sectors, 0 for 4, without the boot sector. */
    setup = vmlinuz->data[0x1f1] ? vmlinuz->data[0x1f1] : 4;
    setup = (setup + 1) * 512;
    if (setup > vmlinuz->size || setup + PAGE > sizeof(image)) {
        fprintf(stderr, "hvmload: the kernel's set-up code is too long\n");
        return -1;
    }
    memset(image, 0, sizeof(image));
    memcpy(image, vmlinuz->data, setup);
    memcpy(image + 0x1f4, &paragraphs, sizeof(paragraphs));
    memcpy(image + setup, stub, stub_size);
    memcpy(image + setup + (stub_values - stub), values, sizeof(*values));

    /* QEMU inherits the file, which has no name. */
    fd = memfd_create("kernel", 0);
    if (fd < 0 || write(fd, image, setup + PAGE) != (ssize_t)(setup + PAGE)) {
        perror("hvmload: image");
        return -1;
    }
    return fd;
}

/* Loads; the file to give to QEMU as its kernel, or -1. */
static int load(const struct guest *g, const char *kernel, const char *initrd)
{
    struct file vmlinuz, vmlinux, ramdisk = {0};
    struct values values = {0};
    size_t length = strlen(kernel);
    uint64_t entry, end;
    uint32_t magic;
    char *unpacked;

    if (!map_file(kernel, &vmlinuz)) {
        return -1;
    }
    if (vmlinuz.size < 0x1000 || kernel[length - 1] != 'z' ||
        (memcpy(&magic, vmlinuz.data + 0x202, 4), magic != BOOT_MAGIC)) {
        fprintf(stderr, "hvmload: %s is not a Linux vmlinuz\n", kernel);
        return -1;
    }
    unpacked = strdup(kernel);
    if (!unpacked) {
        return -1;
    }
    unpacked[length - 1] = 'x';
    if (!map_file(unpacked, &vmlinux) ||
        (initrd && !map_file(initrd, &ramdisk)) ||
        !put_kernel(g, &vmlinux, &entry, &end)) {
        return -1;
    }
    values.entry = entry;
    end = (end + INITRD_ALIGN - 1) & -INITRD_ALIGN;
    if (ramdisk.size) {
        values.initrd = end;
        values.initrd_size = ramdisk.size;
        if (!put(g, end, ramdisk.data, ramdisk.size, ramdisk.size)) {
            return -1;
        }
        end = (end + ramdisk.size + PAGE - 1) & -PAGE;
    }
    values.page_table = end;
    if (!put_page_tables(g, end)) {
        return -1;
    }
    fprintf(stderr, "hvmload: %s at %#lx, initrd of %zu bytes at %#x\n",
            unpacked, (unsigned long)entry, ramdisk.size, values.initrd);
    free(unpacked);
    return make_image(&vmlinuz, &values);
}

int main(int argc, char **argv)
{
    static char image[32];
    struct guest guest = {0};
    int i, kernel = 0, initrd = 0, domid = 0, fd;

    for (i = 1; i + 1 < argc; i++) {
        if (!strcmp(argv[i], "-kernel")) {
            kernel = i + 1;
        } else if (!strcmp(argv[i], "-initrd")) {
            initrd = i + 1;
        } else if (!strcmp(argv[i], "-xen-domid")) {
            domid = i + 1;
        }
    }
    if (kernel && domid) {
        guest.domid = strtoul(argv[domid], NULL, 10);
        guest.fmem = xenforeignmemory_open(NULL, 0);
        fd = guest.fmem
                 ? load(&guest, argv[kernel], initrd ? argv[initrd] : NULL)
                 : -1;
        if (fd >= 0) {
            snprintf(image, sizeof(image), "/proc/self/fd/%d", fd);
            argv[kernel] = image;
            for (i = initrd - 1; initrd && i + 2 <= argc; i++) {
                argv[i] = argv[i + 2];
            }
        }
        if (guest.fmem) {
            xenforeignmemory_close(guest.fmem);
        }
    }
    execv(REAL_QEMU, argv);
    perror("hvmload: " REAL_QEMU);
    return 127;
}
