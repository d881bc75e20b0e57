/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The backend's main process over a xenstore of shared memory, with workers
 * that do nothing, or hang: who is started, who is killed, and how soon.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <xenstore.h>
#include <cmocka.h>

#include "backend/manager/devices.h"
#include "backend/say.h"

#define ROOT     "backend/" VR_NAME
#define DEV      ROOT "/5/disk0"
#define NODES    1200u
#define EVENTS   256u
#define LIMIT_MS 10000
#define SOON_MS  3000 /* far more than it takes; a loaded machine passes */

struct node {
    char path[128];
    char value[64];
};

struct store {
    pthread_mutex_t lock;
    struct node node[NODES]; /* free: empty path */
    char event[EVENTS][128];
    unsigned int put, got;
    unsigned int asked;  /* reads and lists of nodes so far */
    unsigned int starts; /* of workers */
    pid_t worker;        /* the last one */
    bool hang;           /* how the next ones behave */
    bool absent;         /* ... they do not find their target */
    const char *note;    /* ... they say this when they are connected */
    bool dumb;           /* ... they hang before they say anything */
    /* How xenstore behaves. */
    bool mute;         /* events are lost */
    int error;         /* of all reads and writes */
    unsigned int open; /* connections so far; each is known by its number */
    unsigned int dead; /* those up to this one are */
};

static struct store *s;
static int event_fd;
static pid_t main_pid;

/* ---- xenstore, as libxenstore shows it ---- */

static struct node *find(const char *path)
{
    unsigned int i;

    for (i = 0; i < NODES && strcmp(s->node[i].path, path) != 0; i++)
        ;
    return i < NODES ? &s->node[i] : NULL;
}

static void fire(const char *path)
{
    if (s->mute)
        return;
    snprintf(s->event[s->put++ % EVENTS], 128, "%s", path);
    eventfd_write(event_fd, 1);
}

static void set(const char *path, const char *value)
{
    struct node *n = find(path);

    if (!n)
        n = find("");
    snprintf(n->path, sizeof(n->path), "%s", path);
    snprintf(n->value, sizeof(n->value), "%s", value);
    fire(path);
}

static void put(const char *path, const char *value)
{
    pthread_mutex_lock(&s->lock);
    set(path, value);
    pthread_mutex_unlock(&s->lock);
}

static void drop(const char *prefix)
{
    unsigned int i;

    pthread_mutex_lock(&s->lock);
    for (i = 0; i < NODES; i++) {
        if (!strncmp(s->node[i].path, prefix, strlen(prefix)))
            s->node[i].path[0] = '\0';
    }
    fire(prefix);
    pthread_mutex_unlock(&s->lock);
}

struct xs_handle *xs_open(unsigned long flags)
{
    (void)flags;
    return (struct xs_handle *)(uintptr_t)++s->open;
}

/* Sets errno when nothing is to be had on this connection. */
static bool fails(const struct xs_handle *xs)
{
    s->asked++;
    errno = (uintptr_t)xs <= s->dead ? EBADF : s->error;
    return errno != 0;
}

void xs_close(struct xs_handle *xs)
{
    (void)xs;
}

void xs_daemon_destroy_postfork(struct xs_handle *xs)
{
    (void)xs;
}

int xs_fileno(struct xs_handle *xs)
{
    (void)xs;
    return event_fd;
}

bool xs_watch(struct xs_handle *xs, const char *path, const char *token)
{
    (void)xs;
    (void)token;
    pthread_mutex_lock(&s->lock);
    fire(path);
    pthread_mutex_unlock(&s->lock);
    return true;
}

char **xs_check_watch(struct xs_handle *xs)
{
    char **ev = NULL, *text;
    eventfd_t n;

    if ((uintptr_t)xs <= s->dead)
        return NULL;
    pthread_mutex_lock(&s->lock);
    eventfd_read(event_fd, &n);
    if (s->got != s->put) {
        ev = calloc(1, 2 * sizeof(*ev) + 128);
        text = (char *)(ev + 2);
        memcpy(text, s->event[s->got++ % EVENTS], 128);
        ev[XS_WATCH_PATH] = text;
        ev[XS_WATCH_TOKEN] = text + 127;
    }
    pthread_mutex_unlock(&s->lock);
    return ev;
}

void *xs_read(struct xs_handle *xs, xs_transaction_t t, const char *path,
              unsigned int *len)
{
    struct node *n;
    char *value = NULL;

    (void)t;
    if (fails(xs))
        return NULL;
    pthread_mutex_lock(&s->lock);
    n = find(path);
    if (n) {
        value = strdup(n->value);
        *len = strlen(value);
    }
    pthread_mutex_unlock(&s->lock);
    errno = ENOENT;
    return value;
}

bool xs_write(struct xs_handle *xs, xs_transaction_t t, const char *path,
              const void *data, unsigned int len)
{
    (void)t;
    (void)len;
    if (fails(xs))
        return false;
    put(path, data);
    return true;
}

char **xs_directory(struct xs_handle *xs, xs_transaction_t t, const char *path,
                    unsigned int *num)
{
    size_t len = strlen(path);
    unsigned int i, k;
    char **list, *text;

    (void)t;
    *num = 0;
    if (fails(xs))
        return NULL;
    list = calloc(1, NODES * (sizeof(*list) + 64));
    text = (char *)(list + NODES);
    pthread_mutex_lock(&s->lock);
    for (i = 0; i < NODES; i++) {
        const char *p = s->node[i].path;

        if (strncmp(p, path, len) || p[len] != '/')
            continue;
        snprintf(text, 64, "%.*s", (int)strcspn(p + len + 1, "/"), p + len + 1);
        for (k = 0; k < *num && strcmp(list[k], text) != 0; k++)
            ;
        if (k < *num)
            continue;
        list[(*num)++] = text;
        text += 64;
    }
    pthread_mutex_unlock(&s->lock);
    if (*num)
        return list;
    free(list);
    errno = ENOENT;
    return NULL;
}

/* ---- the worker ---- */

void vr_log(uint32_t g, const char *id, const char *fmt, ...)
{
    (void)g;
    (void)id;
    (void)fmt;
}

void vr_worker_main(const struct vr_xs_dev *dev, int sock,
                    const struct vr_worker_opts *opts)
{
    static const char hello[] = "Cserves";
    char note[32];
    sigset_t all;
    char c;

    (void)opts;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    while (s->dumb)
        usleep(1000);
    if (s->absent) {
        if (write(sock, "Wno target", 11) < 0)
            _exit(2);
        _exit(1);
    }
    if (dev->guest != 5 || write(sock, hello, sizeof(hello)) < 0)
        _exit(1);
    if (s->note) {
        snprintf(note, sizeof(note), "N%s", s->note);
        if (write(sock, note, strlen(note)) < 0)
            _exit(2);
    }
    __atomic_store_n(&s->worker, getpid(), __ATOMIC_SEQ_CST);
    __atomic_fetch_add(&s->starts, 1, __ATOMIC_SEQ_CST);
    if (!s->hang && read(sock, &c, 1) <= 0)
        _exit(0);
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    for (;;)
        pause();
}

/* ---- the toolstack ---- */

static int64_t now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * INT64_C(1000) + ts.tv_nsec / 1000000;
}

/* As one transaction: the folder, and all that is in it. */
static void publish(void)
{
    struct vr_xs_dev dev = {
        .guest = 5,
        .iova = {UINT64_C(0x1000000000), 32u << 20, 1000},
        .ctrl_gref = 9,
        .ctrl_port = 7,
    };
    struct vr_xs_kv kv[VR_XS_MAX_KV];
    char path[256];
    unsigned int i, n;

    dev.cfg.type = VR_TYPE_block;
    dev.cfg.mode = VR_MODE_DYNAMIC;
    strcpy(dev.cfg.id, "disk0");
    strcpy(dev.cfg.target, "/dev/null");
    dev.cfg.queues = 1;
    dev.cfg.queue_size = 128;
    dev.cfg.map_threshold = VR_NEVER_MAP;
    n = vr_xs_dev_format(&dev, kv);
    pthread_mutex_lock(&s->lock);
    set(DEV, "");
    for (i = 0; i < n; i++) {
        snprintf(path, sizeof(path), DEV "/%s", kv[i].key);
        set(path, kv[i].value);
    }
    pthread_mutex_unlock(&s->lock);
}

/* Waits for worker number @n; returns the milliseconds it took. */
static int64_t await_start(unsigned int n)
{
    int64_t start = now_ms();

    while (__atomic_load_n(&s->starts, __ATOMIC_SEQ_CST) < n) {
        assert_true(now_ms() - start < LIMIT_MS);
        usleep(200);
    }
    assert_int_equal(s->starts, n);
    return now_ms() - start;
}

static void await_gone(pid_t pid, int limit_ms)
{
    int64_t start = now_ms();

    while (!kill(pid, 0)) {
        assert_true(now_ms() - start < limit_ms);
        usleep(200);
    }
}

static void quiet(void)
{
    usleep(50000);
}

/* Its process runs before the toolstack is told. */
static void await_connected(void)
{
    int64_t start = now_ms();
    bool connected;

    do {
        struct node *n;

        assert_true(now_ms() - start < LIMIT_MS);
        usleep(200);
        pthread_mutex_lock(&s->lock);
        n = find(DEV "/state");
        connected = n && !strcmp(n->value, "4");
        pthread_mutex_unlock(&s->lock);
    } while (!connected);
}

static int start(unsigned int wait)
{
    const struct vr_worker_opts opts = {
        .io = {.cache = VR_CACHE_AUTO}, .wait = wait, .haste = 10};
    pthread_mutexattr_t attr;
    struct vr_err err;

    s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE,
             MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(&s->lock, &attr);
    event_fd = eventfd(0, EFD_NONBLOCK);
    main_pid = fork();
    assert_true(main_pid >= 0);
    if (!main_pid) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        _exit(vr_devices_serve(&opts, &err) ? 1 : 0);
    }
    return 0;
}

static int setup(void **state)
{
    (void)state;
    return start(0);
}

/* SIGTERM is to wait, for longer than any test, or only for a moment. */
static int setup_patient(void **state)
{
    (void)state;
    return start(10 * LIMIT_MS);
}

static int setup_brief(void **state)
{
    (void)state;
    return start(300);
}

static int teardown(void **state)
{
    int status;

    (void)state;
    /* A worker that hangs would be waited for. */
    s->hang = s->dumb = false;
    if (s->worker && !kill(s->worker, 0))
        put(DEV "/" VR_XS_KILL, "999");
    quiet();
    kill(main_pid, SIGINT);
    assert_int_equal(waitpid(main_pid, &status, 0), main_pid);
    assert_int_equal(status, 0);
    munmap(s, sizeof(*s));
    close(event_fd);
    return 0;
}

static void kills(void **state)
{
    char value[8];
    unsigned int i;
    int64_t took, worst = 0;

    (void)state;
    s->hang = true;
    put(DEV "/" VR_XS_KILL, "7"); /* meant for others */
    publish();
    await_start(1);
    await_connected();
    assert_int_equal(s->starts, 1);
    for (i = 0; i < 10; i++) {
        pid_t old = s->worker;

        snprintf(value, sizeof(value), "%u", 8 + i);
        put(DEV "/" VR_XS_KILL, value);
        took = await_start(2 + i);
        if (took > worst)
            worst = took;
        assert_int_not_equal(s->worker, old);
        assert_int_equal(kill(old, 0), -1);
        assert_string_equal(find(DEV "/state")->value, "4");
    }
    assert_true(worst < SOON_MS);
    print_message("from the counter to a new worker: %d ms at worst\n",
                  (int)worst);
}

/* The counter may also start at nothing. */
static void first_kill(void **state)
{
    (void)state;
    s->hang = true;
    publish();
    await_start(1);
    quiet();
    put(DEV "/" VR_XS_KILL, "1");
    assert_true(await_start(2) < SOON_MS);
}

static void no_kill(void **state)
{
    static const char *const path[] = {
        "/state",       "/error",       "/" VR_XS_KILL, "/" VR_XS_KILL,
        "/" VR_XS_KILL, "/" VR_XS_KILL, "/killer",      "/x"};
    static const char *const value[] = {"4",   "x",  "3", "",
                                        "abc", "-1", "9", "1"};
    char p[64];
    size_t i;

    (void)state;
    put(DEV "/" VR_XS_KILL, "3");
    publish();
    await_start(1);
    for (i = 0; i < VR_ARRAY_SIZE(path); i++) {
        snprintf(p, sizeof(p), DEV "%s", path[i]);
        put(p, value[i]);
    }
    put(ROOT "/6/disk0/kill", "5"); /* another guest's */
    put(ROOT "/5/disk1/kill", "5"); /* another device's */
    put("kill", "5");
    drop(DEV "/" VR_XS_KILL);
    quiet();
    assert_int_equal(s->starts, 1);
    assert_int_equal(kill(s->worker, 0), 0);
}

/* Withdrawn, but it does not end: no need to wait for the time limit. */
static void kill_stopping(void **state)
{
    pid_t old;

    (void)state;
    s->hang = true;
    publish();
    await_start(1);
    old = s->worker;
    put(DEV "/online", "0");
    put(DEV, "");
    quiet();
    assert_int_equal(kill(old, 0), 0);
    put(DEV "/" VR_XS_KILL, "1");
    await_gone(old, SOON_MS);
    assert_int_equal(s->starts, 1);
}

static void appears_and_vanishes(void **state)
{
    pid_t old;

    (void)state;
    publish();
    await_start(1);
    old = s->worker;
    await_connected();
    drop(DEV);
    await_gone(old, SOON_MS);
    publish();
    await_start(2);
    /* Killed by chance: started again, a little later. */
    kill(s->worker, SIGKILL);
    await_start(3);
}

/* Waits for a node's value; NULL: any but none. */
static void await_node(const char *path, const char *value, int limit_ms)
{
    int64_t start = now_ms();
    bool found;

    do {
        struct node *n;

        assert_true(now_ms() - start < limit_ms);
        usleep(1000);
        pthread_mutex_lock(&s->lock);
        n = find(path);
        found = n && (value ? !strcmp(n->value, value) : n->value[0] != '\0');
        pthread_mutex_unlock(&s->lock);
    } while (!found);
}

/* Nobody tells of a device that comes, nor of one that goes. */
static void lost_events(void **state)
{
    pid_t old;

    (void)state;
    quiet();
    s->mute = true;
    publish();
    await_start(1);
    await_connected();
    old = s->worker;
    put(DEV "/" VR_XS_KILL, "1");
    await_start(2);
    await_node(DEV "/error", "", LIMIT_MS); /* it is heard */
    assert_int_equal(kill(old, 0), -1);
    old = s->worker;
    drop(DEV);
    await_gone(old, LIMIT_MS);
    assert_int_equal(s->starts, 2);
}

/* It cannot be read when its event comes, nor later its state be written. */
static void store_fails(void **state)
{
    pid_t old;

    (void)state;
    quiet();
    s->error = EIO;
    publish();
    quiet();
    assert_int_equal(s->starts, 0);
    s->error = 0;
    await_start(1);
    await_connected();
    old = s->worker;
    s->error = EIO;
    put(DEV "/" VR_XS_KILL, "1");
    quiet();
    assert_int_equal(kill(old, 0), 0);
    s->error = 0;
    await_start(2);
    await_node(DEV "/error", "", SOON_MS);
    s->error = ENOMEM;
    kill(s->worker, SIGKILL);
    await_start(3);
    quiet();
    put(DEV "/state", "1");
    s->error = 0;
    await_connected();
}

/* libxenstore has given its connection up. */
static void dead_connection(void **state)
{
    pid_t old;

    (void)state;
    publish();
    await_start(1);
    await_connected();
    old = s->worker;
    s->dead = s->open;
    quiet();
    drop(DEV);
    await_gone(old, LIMIT_MS);
    assert_int_equal(s->open, s->dead + 1);
    publish();
    assert_true(await_start(2) < SOON_MS);
    await_connected();
}

static void slow_start(void **state)
{
    (void)state;
    s->dumb = true;
    publish();
    await_node(DEV "/error", NULL, 2 * LIMIT_MS);
    assert_null(find(DEV "/state"));
    drop(DEV);
}

/* The target is not there; nobody but the toolstack gives up. */
static void target_is_late(void **state)
{
    (void)state;
    s->absent = true;
    publish();
    await_node(DEV "/error", "no target", LIMIT_MS);
    assert_null(find(DEV "/state"));
    s->absent = false;
    await_start(1);
    await_node(DEV "/error", "", LIMIT_MS);
    await_connected();
    /* It goes while the device is in use. */
    s->absent = true;
    kill(s->worker, SIGKILL);
    await_node(DEV "/error", "no target", LIMIT_MS);
    await_node(DEV "/state", "4", LIMIT_MS);
    s->absent = false;
    await_start(2);
    await_node(DEV "/error", "", LIMIT_MS);
}

/* A connected worker has something to say. */
static void notes(void **state)
{
    (void)state;
    publish();
    await_start(1);
    await_connected();
    s->note = "it shrank";
    kill(s->worker, SIGKILL);
    await_node(DEV "/error", "it shrank", LIMIT_MS);
    await_node(DEV "/state", "4", LIMIT_MS);
    s->note = "";
    kill(s->worker, SIGKILL);
    await_start(3);
    await_node(DEV "/error", "", LIMIT_MS);
}

static void too_many(void **state)
{
    char path[64];
    unsigned int i;

    (void)state;
    pthread_mutex_lock(&s->lock);
    for (i = 0; i < 256; i++) {
        snprintf(path, sizeof(path), ROOT "/6/d%u", i);
        set(path, "");
    }
    pthread_mutex_unlock(&s->lock);
    await_node(ROOT "/6/d255/state", "6", LIMIT_MS);
    put(ROOT "/5/disk0", "");
    await_node(ROOT "/5/disk0/state", "6", LIMIT_MS);
    assert_non_null(strstr(find(ROOT "/5/disk0/error")->value, "another"));
}

/* Guests whose devices nobody can serve. */
static void add_others(unsigned int n)
{
    char path[64];
    unsigned int i;

    for (i = 0; i < n; i++) {
        snprintf(path, sizeof(path), ROOT "/%u/disk0", 6 + i);
        put(path, "");
    }
    snprintf(path, sizeof(path), ROOT "/%u/disk0/state", 5 + n);
    await_node(path, "6", LIMIT_MS);
    quiet();
}

/* Beside a hundred others a device costs no more requests than alone. Half of
 * each limit is for looks by the clock that come in between. */
static void asks_for_what_changed(void **state)
{
    unsigned int before, alone, beside;

    (void)state;
    quiet();
    before = s->asked;
    publish();
    await_connected();
    quiet();
    alone = s->asked - before;
    drop(DEV);
    add_others(100);
    before = s->asked;
    publish();
    await_start(2);
    quiet();
    beside = s->asked - before;
    print_message("requests for a new device: %u, beside 100 others %u\n",
                  alone, beside);
    assert_true(beside < 100);
    before = s->asked;
    drop(ROOT "/6");
    quiet();
    assert_true(s->asked - before < 100);
    put(DEV "/" VR_XS_KILL, "1");
    await_start(3);
    assert_true(s->asked - before < 100);
    /* Two or three looks by the clock. */
    before = s->asked;
    usleep(1200000);
    assert_true(s->asked - before < 150);
}

/* Without events every guest has its turn. */
static void takes_turns(void **state)
{
    pid_t old;

    (void)state;
    add_others(20);
    publish();
    await_start(1);
    await_connected();
    old = s->worker;
    s->mute = true;
    put(DEV "/" VR_XS_KILL, "1");
    await_start(2);
    assert_int_equal(kill(old, 0), -1);
}

static bool ended(void)
{
    siginfo_t info = {0};

    return !waitid(P_PID, main_pid, &info, WEXITED | WNOHANG | WNOWAIT) &&
           info.si_pid;
}

static void await_end(void)
{
    int64_t begin = now_ms();

    while (!ended()) {
        assert_true(now_ms() - begin < LIMIT_MS);
        usleep(1000);
    }
}

/* The guest's last writes come after the domain was told to go down. */
static void term_waits(void **state)
{
    pid_t old;

    (void)state;
    publish();
    await_start(1);
    await_connected();
    kill(main_pid, SIGTERM);
    quiet();
    kill(main_pid, SIGTERM); /* killall5 */
    quiet();
    assert_false(ended());
    assert_int_equal(kill(s->worker, 0), 0);
    /* It is still looked after. */
    old = s->worker;
    kill(old, SIGKILL);
    await_start(2);
    /* Others come too late. */
    put(ROOT "/6/late/frontend-id", "6");
    await_node(ROOT "/6/late/state", "6", LIMIT_MS);
    assert_non_null(strstr(find(ROOT "/6/late/error")->value, "shuts down"));
    assert_false(ended());
    drop(DEV);
    await_end();
    assert_int_equal(s->starts, 2);
}

static void term_without_guests(void **state)
{
    (void)state;
    publish();
    await_start(1);
    drop(DEV);
    await_gone(s->worker, SOON_MS);
    kill(main_pid, SIGTERM);
    await_end();
}

static void term_limit(void **state)
{
    (void)state;
    publish();
    await_start(1);
    await_connected();
    kill(main_pid, SIGTERM);
    await_end();
    assert_int_equal(kill(s->worker, 0), -1);
}

static void int_does_not_wait(void **state)
{
    (void)state;
    publish();
    await_start(1);
    await_connected();
    kill(main_pid, SIGTERM);
    quiet();
    kill(main_pid, SIGINT);
    await_end();
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define PATIENT(name)                                                          \
    cmocka_unit_test_setup_teardown(name, setup_patient, teardown)
#define BRIEF(name) cmocka_unit_test_setup_teardown(name, setup_brief, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(appears_and_vanishes),
        T(kills),
        T(first_kill),
        T(no_kill),
        T(kill_stopping),
        T(lost_events),
        T(store_fails),
        T(dead_connection),
        T(slow_start),
        T(too_many),
        T(target_is_late),
        T(notes),
        T(takes_turns),
        T(asks_for_what_changed),
        PATIENT(term_waits),
        PATIENT(term_without_guests),
        PATIENT(int_does_not_wait),
        BRIEF(term_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
