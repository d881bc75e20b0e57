/* SPDX-License-Identifier: LGPL-2.1-or-later */
// A virtio-mmio device with a pool: as virtio.asl, and the reference.
// aml.sh: device=2 pool=1 base=1 irq=1
DefinitionBlock ("", "SSDT", 2, "XENVR", "VIRTIORS", 1)
{
    External (\_SB.VP00, DeviceObj)

    Device (\_SB.VR00)
    {
        Name (_HID, "LNRO0005")
        Name (_UID, "VR00")
        Name (_CCA, One)
        Name (_CRS, ResourceTemplate ()
        {
            Memory32Fixed (ReadWrite, 0x51A7B0D3, 0x00000200)
            Interrupt (ResourceConsumer, Level, ActiveLow, Shared)
            {
                0x7E3C9A15
            }
        })
        Name (_DSD, Package ()
        {
            ToUUID ("daffd814-6eba-4d8c-8a91-bc9bbf4aa301"),
            Package ()
            {
                Package () { "memory-region", \_SB.VP00 }
            }
        })
    }
}
