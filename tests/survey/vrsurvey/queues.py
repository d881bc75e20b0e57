# SPDX-License-Identifier: LGPL-2.1-or-later
"""The other side's count: what QEMU took from each device's queues, from its
own trace. It knows nothing of the guest's trace."""

import collections


class Count:
    """What a device's queues had in them."""

    def __init__(self):
        self.requests = 0   # given to the device
        self.pieces = 0     # buffers of these
        self.tables = 0     # requests that needed a table of their buffers
        self.answered = 0   # requests that the device has given back
        self.queues = collections.Counter()  # requests of each queue

    @property
    def mapped(self):
        """The mappings that a driver needs for them: each buffer is one, and
        so is a table of buffers (an indirect descriptor)."""
        return self.pieces + self.tables


def read(lines, names):
    """names: of the devices, as they follow each other on the bus, which is
    the order in which the guest's kernel comes to them. Returns a Count for
    each, of the time since its driver came last: what firmware did before,
    and an earlier driver, are not in it."""
    devices, owner, number = [], {}, {}
    counts = collections.defaultdict(Count)
    for line in lines:
        event, *words = line.split()
        if event == "virtio_set_status":
            _, device, _, status = words
            # The bus has found it (1), a driver comes (2). Firmware, which
            # uses some of them, says both at once.
            if status == "1" and device not in devices:
                devices.append(device)
            if status == "3":
                for queue in (q for q, d in owner.items() if d == device):
                    counts.pop(queue, None)
        elif event == "virtio_queue_notify":
            owner[words[5]] = words[1]
            number[words[5]] = words[3]
        elif event == "virtqueue_pop":
            count = counts[words[1]]
            pieces = int(words[5]) + int(words[7])
            count.requests += 1
            count.pieces += pieces
            count.tables += pieces > 1
        elif event == "virtqueue_fill":
            counts[words[1]].answered += 1
    total = {name: Count() for name in names}
    for queue, count in counts.items():
        device = owner.get(queue)
        if device in devices[:len(names)]:
            whole = total[names[devices.index(device)]]
            whole.requests += count.requests
            whole.pieces += count.pieces
            whole.tables += count.tables
            whole.answered += count.answered
            whole.queues[int(number[queue])] += count.requests
    return total
