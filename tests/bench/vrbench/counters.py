# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a request costs, from counters before and after."""

import statistics

# Columns of the table, in order. Those of the first kind are exact at any
# time; the backend's reach the toolstack's domain once a second. The product
# counts these itself; the interrupts each domain's Linux counts.
AT_ONCE = ("exits", "iommu")
KERNELS = ("guest_irq", "driver_irq", "dom0_irq")
LATER = ("grant_ops", "copied", "requests")
COUNTS = AT_ONCE + KERNELS + LATER
# Programs in dom0 that the measuring itself keeps busy.
OWN_PROGRAMS = ("evtchn:xenstored", "evtchn:xenconsoled")
BEHIND_IOMMU = ("dynamic", "mixed")


def interrupts(text):
    """Interrupts by name from /proc/interrupts, all processors added."""
    found = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) > 2 and words[0].endswith(":"):
            count = 0
            for word in words[1:]:
                if not word.isdigit():
                    break
                count += int(word)
            found[words[-1]] = found.get(words[-1], 0) + count
    return found


def figure(text, word):
    """The sum of the interrupts of that name, or of that name and a part."""
    return sum(n for name, n in interrupts(text).items()
               if name == word or name.startswith(word + "-"))


def of_programs(text):
    """How often event channels have woken programs in dom0, or the driver
    domain's blkback or backend."""
    return sum(n for name, n in interrupts(text).items()
               if name.startswith("evtchn:") and name not in OWN_PROGRAMS or
               name.startswith("blkif"))


def processor(text, names):
    """Microseconds of processor time that each domain has used, by Xen, which
    counts in nanoseconds."""
    return dict(zip(names, (int(ns) / 1000 for ns in text.split())))


def find(shown, name):
    """A device that `vrctl show --json` knows."""
    return next(d for d in shown["devices"] if d["id"] == name)


def at_once(shown, name):
    """The counters of a device that are exact now. The virtio-iommu is shared
    by the guest's devices: nothing else may run when it is counted."""
    dev = find(shown, name)
    c = dev["counters"]
    count = {"exits": c["mmio_reads"] + c["mmio_writes"], "iommu": 0}
    if dev["mode"] in BEHIND_IOMMU:
        iommu = shown["iommu"]["counters"]
        count["iommu"] = iommu["requests"]
        count["exits"] += iommu["mmio_reads"] + iommu["mmio_writes"]
    return count


def later(shown, name):
    """The backend's counters of a device."""
    c = find(shown, name)["counters"]
    return {"grant_ops": c["backend_grant_ops"], "copied": c["copied_bytes"],
            "requests": c["requests"]}


def minus(after, before):
    """What was added to each counter."""
    return {key: after[key] - before[key] for key in after}


class Tally:
    """All runs of one path at one point."""

    def __init__(self):
        self.rates = []   # I/Os a second, run by run
        self.ios = 0
        self.seconds = 0.0
        self.latency = []  # us
        self.count = {}

    def run(self, result, count):
        """Add a run: ioload's figures, and what was counted meanwhile."""
        self.rates.append(result["ios"] / result["secs"])
        self.latency.append(result["lat_us"])
        self.ios += result["ios"]
        self.seconds += result["secs"]
        self.add(count)

    def add(self, count):
        """Add to the counters alone."""
        for key, value in count.items():
            self.count[key] = self.count.get(key, 0) + value

    def summary(self):
        """Medians, and counts for each I/O."""
        return {"iops": statistics.median(self.rates),
                "latency_us": statistics.median(self.latency),
                "runs": len(self.rates), "ios": self.ios,
                "per_io": {k: v / self.ios for k, v in self.count.items()}}


def ratio(own, reference):
    """The median of the ratios of runs that were made side by side. A slow
    path has fewer runs: the first ones."""
    return statistics.median(a / b for a, b in zip(own, reference))
