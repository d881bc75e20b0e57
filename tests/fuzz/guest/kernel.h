/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * As much of a kernel as the guest module's files need to run in a process, and
 * be watched there. Stands for all of the kernel's headers that they include
 * (tests.mk). Nothing is Linux's own but the names.
 */
#ifndef TEST_KERNEL_H
#define TEST_KERNEL_H

#include <errno.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

/* For who looks at a find. */
#define REQUIRE(x, what)                                                       \
    do {                                                                       \
        if (!(x)) {                                                            \
            fprintf(stderr, "%s:%d: %s (%s)\n", __FILE__, __LINE__, what, #x); \
            abort();                                                           \
        }                                                                      \
    } while (0)

/* The oldest that uses all of what is here. */
#define KERNEL_VERSION(a, b, c) (((a) << 16) + ((b) << 8) + (c))
#define LINUX_VERSION_CODE      KERNEL_VERSION(6, 12, 0)

/* ---- types, arithmetic ---- */

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef uint16_t __le16;
typedef uint32_t __le32;
typedef uint64_t __le64;
typedef uint64_t phys_addr_t;
typedef uint64_t dma_addr_t;
typedef unsigned int gfp_t;

#define PAGE_SHIFT      12
#define PAGE_SIZE       4096UL
#define XEN_PAGE_SIZE   PAGE_SIZE
#define SMP_CACHE_BYTES 64
#define BITS_PER_BYTE   8
#define BITS_PER_LONG   64
#define SZ_32K          0x8000
#define SZ_64K          0x10000
#define SZ_128K         0x20000
#define SZ_1M           0x100000
#define SZ_2M           0x200000
#define SZ_1G           0x40000000
#define UINT_MAX        (~0u)
#define GFP_KERNEL      0u

#define __percpu
#define __packed __attribute__((packed))
#define ____cacheline_aligned_in_smp

#define min(a, b)               ((a) < (b) ? (a) : (b))
#define max(a, b)               ((a) > (b) ? (a) : (b))
#define min_t(t, a, b)          min((t)(a), (t)(b))
#define clamp_t(t, v, low, top) max((t)(low), min((t)(v), (t)(top)))
#define DIV_ROUND_UP(a, b)      (((a) + (b)-1) / (b))
#define rounddown(a, b)         ((a) / (b) * (b))
#define PAGE_MASK               (~(PAGE_SIZE - 1))
#define ALIGN(a, b)             (((a) + (b)-1) / (b) * (b))
#define round_down(a, b)        ((a) & ~((__typeof__(a))(b)-1))
#define PAGE_ALIGN(a)           (((a) + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1))
#define PAGE_ALIGNED(a)         (!((a) & (PAGE_SIZE - 1)))
#define BIT_ULL(n)              (1ULL << (n))
#define DMA_BIT_MASK(n)         ((n) == 64 ? ~0ULL : (1ULL << (n)) - 1)
#define BITS_TO_LONGS(n)        DIV_ROUND_UP(n, BITS_PER_LONG)
#define READ_ONCE(x)            __atomic_load_n(&(x), __ATOMIC_RELAXED)
#define WRITE_ONCE(x, v)        __atomic_store_n(&(x), v, __ATOMIC_RELAXED)
#define noinline
#define likely(x)   (x)
#define unlikely(x) (x)
#define container_of(p, type, member)                                          \
    ((type *)((char *)(p)-offsetof(type, member)))
#define le16_to_cpu(x) (x)
#define le32_to_cpu(x) (x)
#define le64_to_cpu(x) (x)
#define cpu_to_le32(x) (x)

static inline unsigned int fls64(u64 v)
{
    return v ? 64 - __builtin_clzll(v) : 0;
}

static inline size_t roundup_pow_of_two(size_t n)
{
    return n > 1 ? (size_t)1 << fls64(n - 1) : 1;
}

static inline size_t rounddown_pow_of_two(size_t n)
{
    return (size_t)1 << (fls64(n) - 1);
}

/* ---- memory ---- */

static inline void *kcalloc(size_t n, size_t size, gfp_t gfp)
{
    (void)gfp;
    return calloc(n, size);
}

#define kvcalloc           kcalloc
#define kzalloc(size, gfp) kcalloc(1, size, gfp)

static inline void kfree(const void *p)
{
    free((void *)p);
}

#define kvfree kfree

#define MEMREMAP_WB 1

/* Kept for the next time: fresh memory costs more than all the rest. */
static inline void *memremap(phys_addr_t base, size_t size, int flags)
{
    static struct {
        void *p;
        size_t size;
    } kept[8];
    unsigned int i;

    (void)base;
    (void)flags;
    for (i = 0; kept[i].p && kept[i].size != size; i++)
        REQUIRE(i < 7, "too many sizes");
    if (!kept[i].p)
        kept[i].p = aligned_alloc(PAGE_SIZE, size);
    kept[i].size = size;
    REQUIRE(kept[i].p, "memory");
    memset(kept[i].p, 0xa5, size); /* somebody else's */
    return kept[i].p;
}

static inline void memunmap(void *p)
{
    (void)p;
}

static inline void clear_page(void *p)
{
    REQUIRE(PAGE_ALIGNED((uintptr_t)p), "clears what is not a page");
    memset(p, 0, PAGE_SIZE);
}

/* ---- bits ---- */

static inline bool kernel_bit(const unsigned long *map, size_t i)
{
    return READ_ONCE(map[i / BITS_PER_LONG]) >> i % BITS_PER_LONG & 1;
}

/* Others come between a look at the bitmap and what is done about it. */
static bool kernel_busy;

/* @n zeros in a row, of which the first is at @mask + 1's multiple, @offset
 * added. More than @end: there are none. */
static inline unsigned long bitmap_find_next_zero_area_off(
    const unsigned long *map, unsigned long end, unsigned long i,
    unsigned int n, unsigned long mask, unsigned long offset)
{
    unsigned long k;

    for (;; i = k + 1) {
        i = ((i + offset + mask) & ~mask) - offset;
        if (i + n > end)
            return end + 1;
        for (k = i; k < i + n && !kernel_bit(map, k); k++)
            ;
        if (k < i + n)
            continue;
        if (kernel_busy)
            sched_yield();
        return i;
    }
}

static inline void bitmap_set(unsigned long *map, unsigned int i,
                              unsigned int n)
{
    for (; n; i++, n--) {
        REQUIRE(!kernel_bit(map, i), "takes what is taken");
        map[i / BITS_PER_LONG] |= 1UL << i % BITS_PER_LONG;
    }
}

/* How many of the first @n are set. */
static inline unsigned int bitmap_weight(const unsigned long *map,
                                         unsigned int n)
{
    unsigned int i, set = 0;

    for (i = 0; i < n; i++)
        set += kernel_bit(map, i);
    return set;
}

#define __ffs(word) ((unsigned int)__builtin_ctzl(word))
#define try_cmpxchg_acquire(p, old, new)                                       \
    __atomic_compare_exchange_n(p, old, new, false, __ATOMIC_ACQUIRE,          \
                                __ATOMIC_RELAXED)
/* Of the operation that follows: what looks for races knows no fences. */
#define smp_mb__before_atomic() ((void)0)

typedef unsigned long atomic_long_t;

static inline void kernel_give_back(unsigned long *word, unsigned long mask,
                                    int order)
{
    unsigned long old = __atomic_fetch_and(word, ~mask, order);

    REQUIRE((old & mask) == mask, "gives back what is not taken");
}

#define atomic_long_andnot(mask, word)                                         \
    kernel_give_back(word, mask, __ATOMIC_RELEASE)
static inline bool test_and_set_bit_lock(unsigned int i, unsigned long *map)
{
    const unsigned long bit = 1UL << i % BITS_PER_LONG;

    return __atomic_fetch_or(&map[i / BITS_PER_LONG], bit, __ATOMIC_ACQUIRE) &
           bit;
}

#define clear_bit_unlock(i, map)                                               \
    kernel_give_back((map) + (i) / BITS_PER_LONG, 1UL << (i) % BITS_PER_LONG,  \
                     __ATOMIC_RELEASE)

/* ---- processors, locks ---- */

static unsigned int kernel_cpus = 1;
static __thread unsigned int kernel_cpu;

#define num_possible_cpus()      kernel_cpus
#define raw_smp_processor_id()   kernel_cpu
#define for_each_possible_cpu(i) for ((i) = 0; (i) < kernel_cpus; (i)++)
#define alloc_percpu(type)       kcalloc(kernel_cpus, sizeof(type), GFP_KERNEL)
#define free_percpu              kfree
#define per_cpu_ptr(p, cpu)      (&(p)[cpu])
#define raw_cpu_ptr(p)           per_cpu_ptr(p, kernel_cpu)
/* The first one's, which is as good where all are added up. */
#define this_cpu_inc(x)    this_cpu_add(x, 1)
#define this_cpu_add(x, n) ((void)__atomic_fetch_add(&(x), n, __ATOMIC_RELAXED))

typedef struct {
    bool taken;
} spinlock_t;

static inline void spin_lock_init(spinlock_t *lock)
{
    lock->taken = false;
}

static inline void kernel_lock(spinlock_t *lock)
{
    REQUIRE(!lock->taken, "takes a lock that it has");
    lock->taken = true;
}

static inline void kernel_unlock(spinlock_t *lock)
{
    REQUIRE(lock->taken, "lets go of a lock that it has not");
    lock->taken = false;
}

#define spin_lock_irqsave(lock, flags)      ((void)((flags) = 0), kernel_lock(lock))
#define spin_unlock_irqrestore(lock, flags) ((void)(flags), kernel_unlock(lock))
#define mutex_lock                          kernel_lock
#define mutex_unlock                        kernel_unlock
#define DEFINE_MUTEX(name)                  spinlock_t name

typedef struct {
    u64 n;
} atomic64_t;

static inline void atomic64_inc(atomic64_t *v)
{
    __atomic_fetch_add(&v->n, 1, __ATOMIC_RELAXED);
}

/* ---- lists ---- */

struct list_head {
    struct list_head *next, *prev;
};

#define LIST_HEAD(name)                   struct list_head name = {&(name), &(name)}
#define list_entry(p, type, member)       container_of(p, type, member)
#define list_first_entry(l, type, member) list_entry((l)->next, type, member)
#define list_for_each_entry(p, head, member)                                   \
    for ((p) = list_first_entry(head, __typeof__(*(p)), member);               \
         &(p)->member != (head);                                               \
         (p) = list_first_entry(&(p)->member, __typeof__(*(p)), member))
#define list_for_each_entry_safe(p, q, head, member)                           \
    for ((p) = list_first_entry(head, __typeof__(*(p)), member),               \
        (q) = list_first_entry(&(p)->member, __typeof__(*(p)), member);        \
         &(p)->member != (head); (p) = (q),                                    \
        (q) = list_first_entry(&(q)->member, __typeof__(*(p)), member))

static inline void list_add_tail(struct list_head *node, struct list_head *head)
{
    node->prev = head->prev;
    node->next = head;
    head->prev->next = node;
    head->prev = node;
}

static inline void list_del(struct list_head *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
}

/* ---- errors, messages, parameters ---- */

#define ERR_PTR(e) ((void *)(intptr_t)(e))
#define PTR_ERR(p) ((int)(intptr_t)(p))
#define IS_ERR(p)  ((uintptr_t)(p) > (uintptr_t)-4096)

#define IS_ENABLED(x)                           1
#define module_param_named(name, v, type, mode) struct kernel_parameter
#define MODULE_PARM_DESC(name, text)            struct kernel_parameter

static unsigned int kernel_warnings; /* a driver's mistake was noticed */

#define dev_WARN_ONCE(dev, cond, ...) ((void)(dev), (cond) && ++kernel_warnings)
#define dev_err(dev, ...)             ((void)(dev))
#define dev_warn(dev, ...)            ((void)(dev))
#define dev_err_ratelimited(dev, ...) ((void)(dev))
#define pr_info(...)                  ((void)0)
#define pr_warn(...)                  ((void)0)

/* ---- devices and their memory ---- */

#define DMA_MAPPING_ERROR      (~(dma_addr_t)0)
#define DMA_ATTR_SKIP_CPU_SYNC 0x20UL

enum dma_data_direction {
    DMA_BIDIRECTIONAL,
    DMA_TO_DEVICE,
    DMA_FROM_DEVICE,
    DMA_NONE,
};

struct page {
    void *address;
    phys_addr_t phys;
};

struct scatterlist {
    struct page *page;
    unsigned int offset, length;
    dma_addr_t dma_address;
    unsigned int dma_length;
};

#define sg_page(sg)        ((sg)->page)
#define sg_dma_address(sg) ((sg)->dma_address)
#define sg_dma_len(sg)     ((sg)->dma_length)
#define for_each_sg(sgl, sg, n, i)                                             \
    for ((i) = 0, (sg) = (sgl); (i) < (n); (i)++, (sg)++)
#define page_to_phys(p)       ((p)->phys)
#define page_address(p)       ((p)->address)
#define is_pci_p2pdma_page(p) ((void)(p), false)

struct device;

struct dma_map_ops {
    void *(*alloc)(struct device *, size_t, dma_addr_t *, gfp_t, unsigned long);
    void (*free)(struct device *, size_t, void *, dma_addr_t, unsigned long);
    dma_addr_t (*map_page)(struct device *, struct page *, unsigned long,
                           size_t, enum dma_data_direction, unsigned long);
    void (*unmap_page)(struct device *, dma_addr_t, size_t,
                       enum dma_data_direction, unsigned long);
    int (*map_sg)(struct device *, struct scatterlist *, int,
                  enum dma_data_direction, unsigned long);
    void (*unmap_sg)(struct device *, struct scatterlist *, int,
                     enum dma_data_direction, unsigned long);
    void (*sync_single_for_cpu)(struct device *, dma_addr_t, size_t,
                                enum dma_data_direction);
    void (*sync_single_for_device)(struct device *, dma_addr_t, size_t,
                                   enum dma_data_direction);
    void (*sync_sg_for_cpu)(struct device *, struct scatterlist *, int,
                            enum dma_data_direction);
    void (*sync_sg_for_device)(struct device *, struct scatterlist *, int,
                               enum dma_data_direction);
    int (*dma_supported)(struct device *, u64);
    u64 (*get_required_mask)(struct device *);
    size_t (*max_mapping_size)(struct device *);
};

#define CONFIG_ARCH_HAS_DMA_OPS
#define set_dma_ops(dev, ops)    ((void)((dev)->dma_ops = (ops)))
#define device_iommu_mapped(dev) ((void)(dev), false)

struct fwnode_handle;
struct iommu_fwspec;

struct device {
    const struct dma_map_ops *dma_ops;
    struct device *parent;
    struct fwnode_handle *fwnode;
    struct iommu_fwspec *fwspec;
    const void *driver;
};

#endif /* TEST_KERNEL_H */
