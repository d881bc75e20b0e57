# SPDX-License-Identifier: LGPL-2.1-or-later
"""The machine that is surveyed: plain QEMU, one guest with every device."""

import contextlib
import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import tarfile
import time

from vre2e import build

HERE = os.path.realpath(os.path.join(os.path.dirname(__file__), ".."))
FIRST_SLOT = 3
MEMORY = 1024

# Each device: the driver's module, if it is none that the kernel has built in,
# and QEMU's arguments. {pci} stands for where it is and what all have.
DEVICES = {
    "blk": (("virtio_blk",), [
        "-blockdev", "raw,node-name=disk,file.driver=file,"
                     "file.filename=blk.raw,cache.no-flush=on",
        "-device", "virtio-blk-pci,drive=disk,{pci}"]),
    "scsi": (("virtio_scsi", "sd_mod"), [
        "-device", "virtio-scsi-pci,id=scsi,{pci}",
        "-blockdev", "raw,node-name=sdisk,file.driver=file,"
                     "file.filename=scsi.raw,cache.no-flush=on",
        "-device", "scsi-hd,bus=scsi.0,drive=sdisk"]),
    "net": (("virtio_net",), [
        "-netdev", "hubport,id=net,hubid=0",
        "-device", "virtio-net-pci,netdev=net,host_mtu=65521,"
                   "mac=52:54:00:00:00:01,{pci}"]),
    "console": ((), [
        "-device", "virtio-serial-pci,id=vser,{pci}",
        "-chardev", "file,id=lines,path=lines",
        "-device", "virtconsole,bus=vser.0,chardev=lines,nr=0",
        "-chardev", "file,id=bulk,path=bulk",
        "-device", "virtserialport,bus=vser.0,chardev=bulk,nr=2,name=bulk"]),
    "rng": (("virtio_rng",), [
        "-object", "rng-builtin,id=rng",
        "-device", "virtio-rng-pci,rng=rng,{pci}"]),
    "9p": (("9pnet_virtio", "9p"), [
        "-fsdev", "local,id=fs,path=share,security_model=mapped-file",
        "-device", "virtio-9p-pci,fsdev=fs,mount_tag=survey,{pci}"]),
    "input": (("virtio_input", "evdev"), [
        "-device", "virtio-keyboard-pci,{pci}"]),
    "gpu": (("virtio-gpu",), ["-device", "virtio-gpu-pci,{pci}"]),
    "crypto": (("virtio_crypto", "algif_skcipher"), [
        "-object", "cryptodev-backend-builtin,id=crypto",
        "-device", "virtio-crypto-pci,cryptodev=crypto,{pci}"]),
    # Its driver does not use the DMA API, and refuses to say otherwise.
    "balloon": (("virtio_balloon",), [
        "-device", "virtio-balloon-pci,id=balloon,{place}"]),
    "mem": (("virtio_mem",), [
        "-object", "memory-backend-ram,id=more,size=512M",
        "-device", "virtio-mem-pci,id=mem,memdev=more,{pci}"]),
    "pmem": (("virtio_pmem", "nd_pmem"), [
        "-object", "memory-backend-ram,id=keep,size=64M,share=on",
        "-device", "virtio-pmem-pci,memdev=keep,{pci}"]),
}
PEER = ["-netdev", "hubport,id=peer,hubid=0",
        "-device", "virtio-net-pci,netdev=peer,host_mtu=65521,"
                   "mac=52:54:00:00:00:02,{pci}"]
# For QEMU's log: what each queue got and gave back, and whose it is.
EVENTS = ("virtqueue_pop", "virtqueue_fill", "virtio_queue_notify",
          "virtio_set_status")
APPEND = ("console=ttyS0 rdinit=/init loglevel=4 mitigations=off nokaslr "
          "init_on_alloc=0 cryptomgr.notests=1 iommu.strict=1 panic=-1 "
          "initcall_blacklist=i8042_init,jent_mod_init")
FIRST_MODULES = ("virtio-iommu", "ahci", "sd_mod", "crc32c_generic", "ext4")


class Failed(Exception):
    """The survey could not be made; the text says why."""


def address(number):
    return f"0000:00:{FIRST_SLOT + number:02x}.0"


def compiled(out, cc="gcc"):
    """The two programs of the guest."""
    made = []
    for name, sources in (("record", ("record.c", "events.c")),
                          ("load", ("load.c",))):
        target = os.path.join(out, name)
        build.run(cc, "-std=gnu11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra",
                  "-Werror", "-static", "-pthread", "-I/usr/include/libdrm",
                  "-o", target,
                  *(os.path.join(HERE, source) for source in sources))
        made.append(target)
    return made


def image(out):
    """The guest's initramfs."""
    root = os.path.join(out, "root")
    shutil.rmtree(root, ignore_errors=True)
    for folder in ("bin", "proc", "sys", "dev", "tmp", "modules"):
        os.makedirs(os.path.join(root, folder))
    shutil.copy(build.host_path("busybox"), os.path.join(root, "bin"))
    for program in compiled(out):
        shutil.copy(program, os.path.join(root, "bin"))
    build.e2fs(root)
    shutil.copy(os.path.join(HERE, "init"), root)
    shutil.copytree(os.path.join(HERE, "loads"), os.path.join(root, "loads"))
    names = [*FIRST_MODULES, *(name for modules, _ in DEVICES.values()
                               for name in modules)]
    for number, path in enumerate(build.debian_modules(*names)):
        name = os.path.basename(path).removesuffix(".xz")
        with open(os.path.join(root, "modules", f"{number:02}-{name}"),
                  "wb") as file:
            file.write(build.module_data(path))
    with open(os.path.join(root, "devices"), "w", encoding="ascii") as file:
        print(*(f"{name}={address(number)}"
                for number, name in enumerate(DEVICES)), file=file)
        print(address(len(DEVICES)), file=file)
    os.chmod(os.path.join(root, "init"), 0o755)
    target = os.path.join(out, "survey.cpio")
    build.run(os.path.join(build.ROOT, "tests/host/mkinitramfs"), root, target)
    return target


def arguments(initramfs, bounce):
    """QEMU's command line. bounce: no IOMMU; the kernel copies everything."""
    command = [
        "qemu-system-x86_64", "-M", "q35", "-cpu", "max", "-accel",
        "tcg,thread=single", "-icount", "shift=0", "-nodefaults", "-display",
        "none", "-no-reboot", "-m", f"{MEMORY},maxmem=4G", "-serial", "stdio",
        "-qmp", "unix:qmp,server=on,wait=off",
        "-kernel", build.host_path("kernel-debian"), "-initrd", initramfs,
        "-append", APPEND + " swiotlb=force" * bounce,
        "-drive", "if=none,id=out,format=raw,cache=unsafe,file=out.raw",
        "-device", "ide-hd,drive=out", "-D", "qemu.trace"]
    if not bounce:
        command += ["-device", "virtio-iommu-pci,addr=02"]
    for event in EVENTS:
        command += ["-trace", event]
    parts = [*(arguments for _, arguments in DEVICES.values()), PEER]
    for number, part in enumerate(parts):
        place = f"addr={FIRST_SLOT + number:02x}"
        pci = place + ",iommu_platform=on,disable-legacy=on"
        command += [word.format(pci=pci, place=place) for word in part]
    return command


class Monitor:
    """QEMU's, to type on its keyboard and to take memory away."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.file = self.socket.makefile("rw")
        self.file.readline()
        self.ask("qmp_capabilities")

    def ask(self, command, **more):
        print(json.dumps({"execute": command, "arguments": more}),
              file=self.file, flush=True)
        while True:
            answer = json.loads(self.file.readline())
            if "error" in answer:
                raise Failed(f"QEMU: {command}: {answer['error']['desc']}")
            if "return" in answer:
                return answer["return"]

    def tell(self, what, value):
        """What a load asks for, see loads/session."""
        if what == "keys":
            for _ in range(int(value)):
                for down in (True, False):
                    self.ask("input-send-event", events=[{
                        "type": "key", "data": {
                            "down": down,
                            "key": {"type": "qcode", "data": "a"}}}])
        elif what == "balloon":
            self.ask("balloon", value=int(value) << 20)
        elif what == "mem":
            self.ask("qom-set", path="/machine/peripheral/mem",
                     property="requested-size", value=int(value))
        else:
            raise Failed(f"the guest asks for {what}")


def drive(qemu, monitor, say, limit):
    """Follows the guest's console. Returns what it says of itself."""
    told = {}
    for line in qemu.stdout:
        line = line.strip()
        word, _, rest = line.partition(" ")
        if time.monotonic() > limit:
            raise Failed("it takes too long")
        if word == "@tell":
            monitor.tell(*rest.split())
            print("done", file=qemu.stdin, flush=True)
        elif word == "@begin":
            say(f"recording {rest}")
        elif word == "@failed":
            raise Failed(f"{rest} was not recorded, see the console")
        elif word in ("@net", "@pool"):
            name, value = rest.split()
            told[name] = int(value)
        elif word == "@end":
            return told
        elif re.search("Kernel panic|BUG:", line):
            raise Failed(line)
    raise Failed("QEMU has ended")


def record(out, say, bounce=False, seconds=1200):
    """Boots the machine and leaves in out/records a file for each device, and
    out/qemu.trace. Returns what the guest counted itself: packets or, with
    bounce, the most slots of the pool that were in use."""
    os.makedirs(out, exist_ok=True)
    initramfs = image(out)
    for name, size in (("out.raw", 256 << 20), ("blk.raw", 1 << 30),
                       ("scsi.raw", 1 << 30)):
        with open(os.path.join(out, name), "wb") as file:
            file.truncate(size)
    shutil.rmtree(os.path.join(out, "share"), ignore_errors=True)
    os.mkdir(os.path.join(out, "share"))
    with contextlib.suppress(FileNotFoundError):
        os.unlink(os.path.join(out, "qmp"))
    log = os.path.join(out, "qemu.log")
    say("booting the surveyed machine"
        + ", with bounce buffers instead of an IOMMU" * bounce)
    with open(log, "w", encoding="utf-8") as errors, subprocess.Popen(
            arguments(initramfs, bounce), cwd=out, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=errors, text=True,
            errors="replace") as qemu:
        try:
            limit = time.monotonic() + seconds
            while not os.path.exists(os.path.join(out, "qmp")):
                if qemu.poll() is not None:
                    with open(log, encoding="utf-8") as file:
                        raise Failed(file.read())
                time.sleep(0.1)
            with open(os.path.join(out, "console.log"), "w",
                      encoding="utf-8") as copy:
                told = drive(Console(qemu, copy), Monitor(
                    os.path.join(out, "qmp")), say, limit)
            qemu.wait(60)
        finally:
            qemu.kill()
    with tarfile.open(os.path.join(out, "out.raw"), "r:") as tar:
        for member in tar:
            if member.isfile():
                member.name = os.path.basename(member.name)
                tar.extract(member, os.path.join(out, "records"))
    for name in ("out.raw", "blk.raw", "scsi.raw"):
        os.unlink(os.path.join(out, name))
    return told


class Console:
    """QEMU's standard input and output; what it says is kept."""

    def __init__(self, qemu, copy):
        self.stdin = qemu.stdin
        self.lines = qemu.stdout
        self.copy = copy

    @property
    def stdout(self):
        for line in self.lines:
            self.copy.write(line)
            self.copy.flush()
            yield line


def inputs():
    """A hash of all that a record depends on."""
    digest = hashlib.sha256()
    names = ["events.c", "events.h", "record.c", "load.c", "init",
             "vrsurvey/machine.py"]
    names += sorted("loads/" + name
                    for name in os.listdir(os.path.join(HERE, "loads")))
    for name in names:
        with open(os.path.join(HERE, name), "rb") as file:
            digest.update(name.encode() + file.read())
    for part in ("kernel-debian", "modules-debian"):
        digest.update(build.host_path(part).encode())
    version = subprocess.run(["qemu-system-x86_64", "--version"],
                             stdout=subprocess.PIPE, check=True).stdout
    digest.update(version)
    return digest.hexdigest()[:12]
