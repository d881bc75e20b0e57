#!/bin/bash
# Linux's own schemas of the device-tree bindings that guests are told with, out
# of the kernel source: virtio/*.yaml
. "$(dirname "$0")/lib.sh"

extract() {
    local deb
    deb=$(ls "$("$HOST_DIR/build/linux-source.sh" linux-source-6.12)"/*.deb)
    say "unpacking the kernel's bindings"
    dpkg-deb --fsys-tarfile "$deb" |
        tar -xO --wildcards './usr/src/linux-source-*.tar.xz' |
        tar -C out -xJ --strip-components=4 --wildcards \
            '*/Documentation/devicetree/bindings/virtio/*.yaml'
}

component linux-bindings extract
