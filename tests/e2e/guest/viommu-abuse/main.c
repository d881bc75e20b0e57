// SPDX-License-Identifier: GPL-2.0
#include <linux/module.h>
#include <linux/proc_fs.h>
#include <linux/sched/clock.h>
#include <linux/uaccess.h>

#include "abuse.h"

#define REPORT 8192
#define WRONGS 12

static DEFINE_MUTEX(lock);
static char report[REPORT];
static size_t length;
static unsigned int wrongs;

static void line(const char *fmt, va_list ap)
{
    length += vscnprintf(report + length, REPORT - length - 1, fmt, ap);
    report[length++] = '\n';
}

void tell(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    if (length < REPORT - 256)
        line(fmt, ap);
    va_end(ap);
}

void wrong(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    if (wrongs++ < WRONGS) {
        length += scnprintf(report + length, REPORT - length, "WRONG ");
        line(fmt, ap);
    }
    va_end(ap);
}

static const struct {
    const char *name;
    void (*run)(unsigned long a, unsigned long b);
} commands[] = {
    {"requests", do_requests},   {"every-page", do_every_page},
    {"layouts", do_layouts},     {"rings", do_rings},
    {"registers", do_registers}, {"storm", do_storm},
    {"races", do_races},         {"kicks", do_kicks},
    {"overwrite", do_overwrite}, {"flip", do_flip},
    {"forge", do_forge},         {"forge-reset", do_forge_reset},
};

/* NAME [A [B]], decimal numbers */
static ssize_t on_write(struct file *file, const char __user *from, size_t n,
                        loff_t *pos)
{
    unsigned long a = 0, b = 0;
    char text[64], name[32];
    u64 begin = local_clock();
    unsigned int i;

    if (n >= sizeof(text) || copy_from_user(text, from, n))
        return -EINVAL;
    text[n] = '\0';
    if (sscanf(text, "%31s %lu %lu", name, &a, &b) < 1)
        return -EINVAL;
    for (i = 0; i < ARRAY_SIZE(commands); i++)
        if (!strcmp(name, commands[i].name))
            break;
    if (i == ARRAY_SIZE(commands))
        return -EINVAL;
    mutex_lock(&lock);
    length = wrongs = 0;
    commands[i].run(a, b);
    tell("%s: %u wrong, %llu ms", name, wrongs,
         (local_clock() - begin) / 1000000);
    mutex_unlock(&lock);
    return n;
}

static ssize_t on_read(struct file *file, char __user *to, size_t n,
                       loff_t *pos)
{
    return simple_read_from_buffer(to, n, pos, report, length);
}

static const struct proc_ops ops = {
    .proc_write = on_write,
    .proc_read = on_read,
};

static int __init abuse_init(void)
{
    int rc = dev_open();

    if (rc)
        return rc;
    if (!proc_create("viommu-abuse", 0600, NULL, &ops)) {
        dev_close();
        return -ENOMEM;
    }
    return 0;
}

/* Stays: the stock driver would find a device that it did not set up. */
module_init(abuse_init);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("A hostile driver of a virtio-iommu, for tests");
