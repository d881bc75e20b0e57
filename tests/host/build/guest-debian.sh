#!/bin/bash
# A guest with Debian 12 on its disk: guest-debian.sh arm64|amd64
#   root.raw  ext4, sparse; systemd, udev, initramfs-tools, Debian's kernel 6.12
#             without the drivers that a guest has no use for
#   initrd    as Debian made it there, with virtio_iommu named
# The packages are unpacked here, where no program of another architecture can
# run, and configured by dpkg itself in a plain emulated machine: some minutes,
# once. A service runs /usr/local/sbin/agent if there is one.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/arch.sh"
. "$(dirname "$0")/apt.sh"

# What a minimal Debian is, and what makes it boot. The kernel is there already.
packages="?essential usr-is-merged systemd systemd-sysv udev kmod linux-base
    initramfs-tools e2fsprogs mount"
uuid=5f0c1d6e-3a52-4d0e-9a55-0d3b8a1c7e12
limit=1800 # seconds for the machine

case $arch in
arm64) machine=(qemu-system-aarch64 -M virt -cpu cortex-a57) console=ttyAMA0 ;;
amd64) machine=(qemu-system-x86_64 -M q35 -cpu max) console=ttyS0 ;;
esac

# dpkg's own record of a package that is unpacked: note DEB
note() {
    local name info=root/var/lib/dpkg/info
    name=$(dpkg-deb -f "$1" Package)
    {
        echo "Status: install ok unpacked"
        # These two are of the archive, not of the system.
        dpkg-deb -f "$1" | grep -vE '^(Filename|Status):'
        echo
    } >>root/var/lib/dpkg/status
    mkdir control
    dpkg-deb -e "$1" control
    # Nothing has to be asked about configuration files that are in place.
    rm -f control/control control/conffiles control/md5sums
    for file in control/*; do
        [ ! -e "$file" ] || mv "$file" "$info/$name.${file##*/}"
    done
    rmdir control
    dpkg-deb --fsys-tarfile "$1" | tar -t | sed 's,^\.,,; s,/$,,; s,^$,/.,' \
        >"$info/$name.list"
}

unpack() {
    local deb
    mkdir -p root/usr/{bin,sbin,lib} root/var/lib/dpkg/{info,updates,triggers}
    ln -s usr/bin usr/sbin usr/lib root/
    [ "$arch" = arm64 ] || { mkdir root/usr/lib64 && ln -s usr/lib64 root/; }
    : >root/var/lib/dpkg/available
    for deb in apt/cache/archives/*.deb "$debs"/linux-image-*.deb; do
        dpkg-deb --fsys-tarfile "$deb" |
            tar -C root -x --keep-directory-symlink
        note "$deb"
    done
    cp root/usr/share/base-passwd/passwd.master root/etc/passwd
    cp root/usr/share/base-passwd/group.master root/etc/group
    # Half of a minimal system, and of no use here.
    rm -rf root/usr/share/{doc,locale,man,info,zoneinfo} \
        root/lib/modules/*/kernel/{sound,drivers/{gpu,media,net,staging}} \
        root/lib/modules/*/kernel/drivers/{infiniband,scsi,usb,hid,iio,ata}
}

configure() {
    echo debian >root/etc/hostname
    echo "UUID=$uuid / ext4 errors=remount-ro 0 1" >root/etc/fstab
    : >root/etc/machine-id
    # An emulated guest takes its time.
    mkdir -p root/etc/systemd/system.conf.d
    printf '%s\n' '[Manager]' DefaultTimeout{Start,Stop}Sec=900 \
        DefaultDeviceTimeoutSec=900 >root/etc/systemd/system.conf.d/slow.conf
    mkdir -p root/etc/initramfs-tools/conf.d
    # docs/guest-kernels.md: what is not named is left out. The kernel names the
    # disk's driver by itself.
    printf '%s\n' virtio_iommu virtio_mmio virtio_blk \
        >root/etc/initramfs-tools/modules
    echo COMPRESS=gzip >root/etc/initramfs-tools/conf.d/compress
    cat >root/etc/systemd/system/vr-agent.service <<-'END'
		[Unit]
		ConditionFileIsExecutable=/usr/local/sbin/agent
		[Service]
		ExecStart=/usr/local/sbin/agent
		Restart=always
		[Install]
		WantedBy=multi-user.target
	END
    mkdir -p root/etc/systemd/system/multi-user.target.wants
    ln -s ../vr-agent.service root/etc/systemd/system/multi-user.target.wants/
}

# The machine's first system: mounts the disk and has dpkg do its work there.
first_system() {
    local name file number=0
    mkdir -p first/{bin,proc,sys,dev,target,modules}
    cp "$debian/busybox" first/bin/busybox
    for name in crc16 mbcache jbd2 crc32c_generic ext4 virtio_mmio virtio_blk; do
        file=$(find "$debian/modules" -name "$name.ko.xz")
        [ -n "$file" ] || continue # built in
        number=$((number + 1))
        xz -dc "$file" >"first/modules/$(printf %02d $number)-$name.ko"
    done
    install -m 755 "$HOST_DIR/build/guest-debian.init" first/init
    "$HOST_DIR/mkinitramfs" first first.cpio
}

build() {
    say "downloading a Debian 12 guest for $arch (about 60 MB)"
    apt_state "$arch" "" deb
    quiet log apt_run apt-get -qq -y --no-install-recommends \
        --download-only install $packages
    unpack
    configure
    first_system
    quiet log mke2fs -q -t ext4 -U "$uuid" -L root -d root out/root.raw 512M
    say "configuring it in an emulated machine (some minutes)"
    timeout "$limit" "${machine[@]}" -m 768 -smp 2 -nographic -no-reboot \
        -net none -kernel "$debian/vmlinuz" -initrd first.cpio \
        -append "console=$console loglevel=4 mitigations=off builder=$(id -u)" \
        -drive file=out/root.raw,format=raw,if=virtio,cache=unsafe \
        </dev/null >screen 2>&1 || :
    cat screen >>log
    grep -q "^guest-debian: configured" screen || {
        tail -n 25 screen >&2
        die "dpkg could not configure the guest"
    }
    debugfs -R "dump /boot/initrd out/initrd" out/root.raw >>log 2>&1
    [ -s out/initrd ] || die "the guest has made no initrd"
    fallocate --dig-holes out/root.raw
}

debs=$("$HOST_DIR/build/debs.sh" "$arch")
debian=$("$HOST_DIR/build/debian.sh" "$arch")
component "guest-debian-$arch" build "$(basename "$debs")" \
    "$(basename "$debian")" "$HOST_DIR/mkinitramfs" \
    "$HOST_DIR"/build/{apt,arch}.sh "$HOST_DIR/build/guest-debian.init"
