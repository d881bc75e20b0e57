/* SPDX-License-Identifier: LGPL-2.1-or-later */
// The virtio-iommu, a virtio-mmio device as well. VIOT names it by the base of
// its registers, so that must stand in this _CRS.
// aml.sh: base=1 irq=1
DefinitionBlock ("", "SSDT", 2, "XENVR", "VIRTIORS", 1)
{
    Device (\_SB.VRIO)
    {
        Name (_HID, "LNRO0005")
        Name (_UID, "VRIO")
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
