/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Records as files. Every access goes through a descriptor of the folder and
 * follows no link, so that no one can point us elsewhere. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "record.h"

/* More records than any host has guests: bounds a flooded folder. */
#define MAX_RECORDS 65536

char *vr_record_path(const char *uuid, char *buf)
{
    snprintf(buf, VR_PATH_LEN + 1, "%s/%s.json", VR_RUN_DIR, uuid);
    return buf;
}

/* A name that never fails for lack of room: uuid is checked by the caller. */
#define NAME_LEN (VR_UUID_LEN + 20)

static char *leaf(char *buf, const char *prefix, const char *uuid,
                  const char *suffix)
{
    snprintf(buf, NAME_LEN, "%s%.36s%s", prefix, uuid, suffix);
    return buf;
}

int vr_record_dir(const char *path, bool create, struct vr_err *err)
{
    struct stat st;
    int fd, rc;

    if (create && mkdir(path, 0700) && errno != EEXIST) {
        rc = -errno;
        vr_err_set(err, "%s: cannot make this folder: %s", path, strerror(-rc));
        return rc;
    }
    fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        rc = -errno;
        vr_err_set(err, "%s: cannot open this folder: %s", path, strerror(-rc));
        return rc;
    }
    if (fstat(fd, &st)) {
        rc = -errno;
        vr_err_set(err, "%s: %s", path, strerror(-rc));
        close(fd);
        return rc;
    }
    if (st.st_uid != geteuid() || (st.st_mode & 022)) {
        vr_err_set(err,
                   "%s: owner %u, mode %03o: others could write records here; "
                   "chown it to user %u and chmod 0700",
                   path, st.st_uid, st.st_mode & 0777, geteuid());
        close(fd);
        return -EPERM;
    }
    return fd;
}

static int write_all(int fd, const char *buf, size_t len)
{
    while (len) {
        ssize_t r = write(fd, buf, len);

        if (r < 0) {
            if (errno == EINTR)
                continue;
            return -errno;
        }
        buf += r;
        len -= r;
    }
    return 0;
}

int vr_record_save_at(int dir, const struct vr_record *rec, struct vr_err *err)
{
    char tmp[NAME_LEN], name[NAME_LEN], suffix[16], *json = NULL;
    int rc, fd = -1;

    rc = -EINVAL;
    if (!vr_uuid_valid(rec->uuid))
        goto out;
    rc = vr_record_to_json(rec, &json);
    if (rc)
        goto out;
    /* Of this process alone: broker and clean-up may write at once. */
    snprintf(suffix, sizeof(suffix), ".%d.tmp", (int)getpid());
    leaf(tmp, ".", rec->uuid, suffix);
    leaf(name, "", rec->uuid, ".json");
    if (unlinkat(dir, tmp, 0) && errno != ENOENT) {
        rc = -errno;
        goto out;
    }
    fd = openat(dir, tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                0600);
    if (fd < 0) {
        rc = -errno;
        goto out;
    }
    rc = write_all(fd, json, strlen(json));
    if (!rc && renameat(dir, tmp, dir, name))
        rc = -errno;
    if (rc)
        unlinkat(dir, tmp, 0);
out:
    if (rc)
        vr_err_set(err, "record of guest %s: cannot save it: %s", rec->name,
                   strerror(-rc));
    if (fd >= 0)
        close(fd);
    free(json);
    return rc;
}

/* Reads at most VR_RECORD_MAX + 1 bytes, so that a file too long shows. */
static int read_all(int fd, char **buf_out, size_t *len_out)
{
    char *buf = malloc(VR_RECORD_MAX + 1);
    size_t len = 0;

    if (!buf)
        return -ENOMEM;
    while (len < VR_RECORD_MAX + 1) {
        ssize_t r = read(fd, buf + len, VR_RECORD_MAX + 1 - len);

        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0) {
            int rc = -errno;

            free(buf);
            return rc;
        }
        if (!r)
            break;
        len += r;
    }
    *buf_out = buf;
    *len_out = len;
    return 0;
}

int vr_record_load_at(int dir, const char *uuid, struct vr_record *rec,
                      struct vr_err *err)
{
    char name[NAME_LEN], *json = NULL;
    struct stat st;
    int rc, fd = -1;
    size_t len = 0;

    memset(rec, 0, sizeof(*rec));
    if (!vr_uuid_valid(uuid)) {
        vr_err_set(err, "record: malformed uuid");
        return -EINVAL;
    }
    /* O_NONBLOCK: a fifo in the file's place must not hold us. */
    fd = openat(dir, leaf(name, "", uuid, ".json"),
                O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) {
        rc = -errno;
        vr_err_set(err, "no record of a guest with uuid %s: %s", uuid,
                   strerror(-rc));
        goto out;
    }
    if (fstat(fd, &st) || !S_ISREG(st.st_mode)) {
        rc = -EINVAL;
        vr_err_set(err, "record %s: not a regular file", name);
        goto out;
    }
    rc = read_all(fd, &json, &len);
    if (rc) {
        vr_err_set(err, "record %s: %s", name, strerror(-rc));
        goto out;
    }
    rc = vr_record_from_json(json, len, rec, err);
    if (rc)
        goto out;
    if (strcmp(rec->uuid, uuid)) {
        rc = -EINVAL;
        vr_err_set(err, "record %s: holds another guest, %s", name, rec->uuid);
    }
out:
    if (fd >= 0)
        close(fd);
    free(json);
    return rc;
}

/* What savers that were killed have left. */
static void remove_tmp(int dir, const char *uuid)
{
    int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *de;

    if (!d) {
        if (fd >= 0)
            close(fd);
        return;
    }
    while ((de = readdir(d)))
        if (de->d_name[0] == '.' && !strncmp(de->d_name + 1, uuid, VR_UUID_LEN))
            unlinkat(dir, de->d_name, 0);
    closedir(d);
}

void vr_record_remove_at(int dir, const char *uuid)
{
    /* In this order: whoever is killed half-way leaves a record, by which the
     * rest is found, and a lock that still guards it. */
    static const char *const suffix[] = {".stats", ".maps", ".pools", ".json",
                                         ".lock"};
    char name[NAME_LEN];
    unsigned int i;

    if (!vr_uuid_valid(uuid))
        return;
    remove_tmp(dir, uuid);
    for (i = 0; i < VR_ARRAY_SIZE(suffix); i++)
        unlinkat(dir, leaf(name, "", uuid, suffix[i]), 0);
}

int vr_record_list_at(int dir, char (**uuids)[VR_UUID_LEN + 1])
{
    char(*list)[VR_UUID_LEN + 1] = NULL;
    int n = 0, room = 0, rc, fd;
    struct dirent *de;
    DIR *d;

    *uuids = NULL;
    /* A descriptor of its own: closedir() closes it, and its position must
     * not be shared. */
    fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    d = fdopendir(fd);
    if (!d) {
        rc = -errno;
        close(fd);
        return rc;
    }
    while (n < MAX_RECORDS && (de = readdir(d))) {
        char uuid[VR_UUID_LEN + 1];

        if (strlen(de->d_name) != VR_UUID_LEN + 5 ||
            strcmp(de->d_name + VR_UUID_LEN, ".json"))
            continue;
        memcpy(uuid, de->d_name, VR_UUID_LEN);
        uuid[VR_UUID_LEN] = '\0';
        if (!vr_uuid_valid(uuid))
            continue;
        if (n == room) {
            void *p;

            room = room ? 2 * room : 16;
            p = realloc(list, room * sizeof(*list));
            if (!p) {
                free(list);
                closedir(d);
                return -ENOMEM;
            }
            list = p;
        }
        memcpy(list[n++], uuid, sizeof(uuid));
    }
    closedir(d);
    *uuids = list;
    return n;
}

int vr_record_save(const struct vr_record *rec, struct vr_err *err)
{
    int dir = vr_record_dir(VR_RUN_DIR, true, err);
    int rc;

    if (dir < 0)
        return dir;
    rc = vr_record_save_at(dir, rec, err);
    close(dir);
    return rc;
}

int vr_record_load(const char *uuid, struct vr_record *rec, struct vr_err *err)
{
    int dir = vr_record_dir(VR_RUN_DIR, false, err);
    int rc;

    memset(rec, 0, sizeof(*rec));
    if (dir < 0)
        return dir;
    rc = vr_record_load_at(dir, uuid, rec, err);
    close(dir);
    return rc;
}

void vr_record_remove(const char *uuid)
{
    int dir = vr_record_dir(VR_RUN_DIR, false, NULL);

    if (dir < 0)
        return;
    vr_record_remove_at(dir, uuid);
    close(dir);
}

int vr_record_list(char (**uuids)[VR_UUID_LEN + 1])
{
    int dir = vr_record_dir(VR_RUN_DIR, false, NULL);
    int rc;

    *uuids = NULL;
    if (dir == -ENOENT) /* no guest ever */
        return 0;
    if (dir < 0)
        return dir;
    rc = vr_record_list_at(dir, uuids);
    close(dir);
    return rc;
}

char *vr_proc_stat(pid_t pid, char *buf, size_t size)
{
    char path[32];
    ssize_t len;
    char *s;
    int fd;

    if (pid <= 0)
        return NULL;
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    len = read(fd, buf, size - 1);
    close(fd);
    if (len <= 0)
        return NULL;
    buf[len] = '\0';
    /* Field 2 is the program's name in parentheses and may hold anything:
     * field 3 follows the last one. */
    s = strrchr(buf, ')');
    return s && s[1] == ' ' ? s + 2 : NULL;
}

uint64_t vr_proc_start(pid_t pid)
{
    char buf[1024], *s = vr_proc_stat(pid, buf, sizeof(buf));
    unsigned long long start;
    int i;

    /* A zombie (field 3) works no more, whoever will reap it. */
    if (!s || *s == 'Z' || *s == 'X')
        return 0;
    for (i = 3; s && i < 22; i++) {
        s = strchr(s, ' ');
        if (s)
            s++;
    }
    if (!s || sscanf(s, "%llu", &start) != 1)
        return 0;
    return start;
}
