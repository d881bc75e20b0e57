/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kexec KERNEL
 *
 * In a guest: has Linux start KERNEL in its place, at once, without telling
 * any program and without writing anything back.
 */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <linux/kexec.h>
#include <linux/reboot.h>
#include <sys/reboot.h>
#include <sys/syscall.h>

#define CMDLINE "console=hvc0"

int main(int argc, char **argv)
{
    int fd = argc == 2 ? open(argv[1], O_RDONLY) : -1;

    if (fd < 0) {
        fprintf(stderr, "usage: kexec KERNEL\n");
        return 2;
    }
    if (syscall(SYS_kexec_file_load, fd, -1, sizeof(CMDLINE), CMDLINE,
                KEXEC_FILE_NO_INITRAMFS)) {
        perror("kexec_file_load");
        return 1;
    }
    reboot(LINUX_REBOOT_CMD_KEXEC);
    perror("reboot");
    return 1;
}
