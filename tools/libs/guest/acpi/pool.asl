/* SPDX-License-Identifier: LGPL-2.1-or-later */
// A pool: docs/bindings/acpi.md. Minimum, maximum and length are placeholders.
// aml.sh: pool=2 min=1 max=1 length=1
DefinitionBlock ("", "SSDT", 2, "XENVR", "VIRTIORS", 1)
{
    Device (\_SB.VP00)
    {
        Name (_HID, "PRP0001")
        Name (_UID, "VP00")
        Name (_CRS, ResourceTemplate ()
        {
            QWordMemory (ResourceConsumer, PosDecode, MinFixed, MaxFixed,
                Cacheable, ReadWrite,
                0x0000000000000000,
                0x1A2B3C4D50000000,
                0x1A2B7D9FA1C6BFFF,
                0x0000000000000000,
                0x0000415251C6C000,
                , , , AddressRangeReserved, TypeStatic)
        })
        Name (_DSD, Package ()
        {
            ToUUID ("daffd814-6eba-4d8c-8a91-bc9bbf4aa301"),
            Package ()
            {
                Package () { "compatible", "restricted-dma-pool" }
            }
        })
    }
}
