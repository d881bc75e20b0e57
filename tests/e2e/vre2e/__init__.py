"""End-to-end tests of virtio-restricted on an emulated Xen host."""
