# SPDX-License-Identifier: LGPL-2.1-or-later
"""Wrong configurations of network devices, for input.py: rows as there."""

from vre2e.host import device, dynamic, mixed


def net(make=device, **keys):
    """The string of a network device."""
    return make(**{"id": "net0", "type": "net", "target": None, "size": "4M"
                   if make is device else None, **keys})


def refused(name, pattern, **keys):
    """A row: one device with keys that cannot be."""
    return (name, [net(**keys)], {}, r"\[0\].*" + pattern)


ROWS = [
    refused("mac without colons", "mac=00163e000001", mac="00163e000001"),
    refused("mac too short", "mac=00:16:3e", mac="00:16:3e"),
    refused("mac with a seventh byte", "mac=00:16:3e:00:00:01:02",
            mac="00:16:3e:00:00:01:02"),
    refused("mac of no digits", "mac=00:16:3e:00:00:0g",
            mac="00:16:3e:00:00:0g"),
    refused("mac of a group", "mac=01:00:5e:00:00:01",
            mac="01:00:5e:00:00:01"),
    refused("mac that is zero", "mac=00:00", mac="00:00:00:00:00:00"),
    refused("bridge with a slash", "bridge=a/b", bridge="a/b"),
    refused("bridge that is no name", r"bridge=\.\.", bridge=".."),
    refused("vifname too long", "vifname=sixteencharacter",
            vifname="sixteencharacter"),
    refused("vifname with a blank", "vifname=my net", vifname="my net"),
    refused("vifname with a colon", "vifname=eth0:1", vifname="eth0:1"),
    refused("gatewaydev with a semicolon", "gatewaydev=eth0;",
            gatewaydev="eth0;"),
    refused("ip with a shell's words", r"ip=1\.2\.3\.4 \$", ip="1.2.3.4 $(id)"),
    refused("ip too long", "ip=1", ip="1.2.3.4 " * 40 + "1"),
    refused("script in a folder that is not named", "script=../fail",
            script="../fail"),
    refused("script that is a relative path", "script=a/b", script="a/b"),
    refused("mtu too small", "mtu=67", mtu=67),
    refused("mtu too large", "mtu=65522", mtu=65522),
    refused("mtu is no number", "mtu=jumbo", mtu="jumbo"),
    refused("rate without a unit", "rate=10", rate="10"),
    refused("rate of another time", "rate=10Mb/h", rate="10Mb/h"),
    refused("rate of nothing", "rate=0b/s", rate="0b/s"),
    refused("rate with a period of a minute", "rate=1Mb/s@60s",
            rate="1Mb/s@60s"),
    refused("rate with half a period", "rate=1Mb/s@", rate="1Mb/s@"),
    refused("offload is neither", "offload=perhaps", offload="perhaps"),
    refused("queue too small", "queue_size=32", queue_size=32),
    refused("pool too small for the receive queue", "size=512K.*832K",
            size="512K"),
    refused("pool too small for a long MTU", "size=1M.*1856K", size="1M",
            mtu=9000),
    refused("target of a network device", "target= is for type=block",
            target="/dev/xvdb"),
    refused("access of a network device", "access= is for type=block",
            access="ro"),
    refused("serial of a network device", "serial= is for type=block",
            serial="x"),
    refused("discard of a network device", "discard= is for type=block",
            discard="on"),
    refused("mode dynamic without aperture", "aperture", make=dynamic,
            aperture=None),
    refused("mixed without a pool", "size", make=mixed, size=None),
    ("mac of a disk", [device(mac="00:16:3e:00:00:01")], {},
     r"\[0\].*mac= is for type=net"),
    ("bridge of a disk", [device(bridge="br0")], {},
     r"\[0\].*bridge= is for type=net"),
    ("the same mac twice",
     [net(mac="00:16:3e:00:00:01"),
      net(id="net1", mac="00:16:3E:00:00:01")], {},
     r"\[1\].*mac=00:16:3e:00:00:01"),
    ("the same vifname twice",
     [net(vifname="web0"), net(id="net1", vifname="web0")], {},
     r"\[1\].*vifname=web0"),
]
