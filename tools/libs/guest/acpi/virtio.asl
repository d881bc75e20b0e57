/* SPDX-License-Identifier: LGPL-2.1-or-later */
// A virtio-mmio device without a pool. "VR00" and the numbers in _CRS are
// placeholders: aml.sh finds them, acpi.c puts the device's own in their place.
// aml.sh: device=2 base=1 irq=1
DefinitionBlock ("", "SSDT", 2, "XENVR", "VIRTIORS", 1)
{
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
    }
}
