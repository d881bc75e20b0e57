DefinitionBlock ("", "SSDT", 2, "XENVR", "VIRTIORS", 0x00000001)
{
    External (_SB_.PCI0.S27_, DeviceObj)
    External (_SB_.PCI0.S29_, DeviceObj)

    Device (\_SB.VRIO)
    {
        Name (_HID, "LNRO0005")  // _HID: Hardware ID
        Name (_UID, "VRIO")  // _UID: Unique ID
        Name (_CCA, One)  // _CCA: Cache Coherency Attribute
        Name (_CRS, ResourceTemplate ()  // _CRS: Current Resource Settings
        {
            Memory32Fixed (ReadWrite,
                0xFEB00A00,         // Address Base
                0x00000200,         // Address Length
                )
            Interrupt (ResourceConsumer, Level, ActiveLow, Shared, ,, )
            {
                0x00000025,
            }
        })
    }

    Device (\_SB.VP00)
    {
        Name (_HID, "PRP0001")  // _HID: Hardware ID
        Name (_UID, "VP00")  // _UID: Unique ID
        Name (_CRS, ResourceTemplate ()  // _CRS: Current Resource Settings
        {
            QWordMemory (ResourceConsumer, PosDecode, MinFixed, MaxFixed, Cacheable, ReadWrite,
                0x0000000000000000, // Granularity
                0x0000000100000000, // Range Minimum
                0x00000001000FFFFF, // Range Maximum
                0x0000000000000000, // Translation Offset
                0x0000000000100000, // Length
                ,, , AddressRangeReserved, TypeStatic)
        })
        Name (_DSD, Package (0x02)  // _DSD: Device-Specific Data
        {
            ToUUID ("daffd814-6eba-4d8c-8a91-bc9bbf4aa301") /* Device Properties for _DSD */,
            Package (0x01)
            {
                Package (0x02)
                {
                    "compatible",
                    "restricted-dma-pool"
                }
            }
        })
    }

    Scope (\_SB.PCI0.S27)
    {
        Name (_DSD, Package (0x02)  // _DSD: Device-Specific Data
        {
            ToUUID ("daffd814-6eba-4d8c-8a91-bc9bbf4aa301") /* Device Properties for _DSD */,
            Package (0x01)
            {
                Package (0x02)
                {
                    "memory-region",
                    \_SB.VP00
                }
            }
        })
    }

    Device (\_SB.VP02)
    {
        Name (_HID, "PRP0001")  // _HID: Hardware ID
        Name (_UID, "VP02")  // _UID: Unique ID
        Name (_CRS, ResourceTemplate ()  // _CRS: Current Resource Settings
        {
            QWordMemory (ResourceConsumer, PosDecode, MinFixed, MaxFixed, Cacheable, ReadWrite,
                0x0000000000000000, // Granularity
                0x0000000108000000, // Range Minimum
                0x00000001082FFFFF, // Range Maximum
                0x0000000000000000, // Translation Offset
                0x0000000000300000, // Length
                ,, , AddressRangeReserved, TypeStatic)
        })
        Name (_DSD, Package (0x02)  // _DSD: Device-Specific Data
        {
            ToUUID ("daffd814-6eba-4d8c-8a91-bc9bbf4aa301") /* Device Properties for _DSD */,
            Package (0x01)
            {
                Package (0x02)
                {
                    "compatible",
                    "restricted-dma-pool"
                }
            }
        })
    }

    Scope (\_SB.PCI0.S29)
    {
        Name (_DSD, Package (0x02)  // _DSD: Device-Specific Data
        {
            ToUUID ("daffd814-6eba-4d8c-8a91-bc9bbf4aa301") /* Device Properties for _DSD */,
            Package (0x01)
            {
                Package (0x02)
                {
                    "memory-region",
                    \_SB.VP02
                }
            }
        })
    }

    Device (\_SB.VP03)
    {
        Name (_HID, "PRP0001")  // _HID: Hardware ID
        Name (_UID, "VP03")  // _UID: Unique ID
        Name (_CRS, ResourceTemplate ()  // _CRS: Current Resource Settings
        {
            QWordMemory (ResourceConsumer, PosDecode, MinFixed, MaxFixed, Cacheable, ReadWrite,
                0x0000000000000000, // Granularity
                0x000000010C000000, // Range Minimum
                0x000000010C3FFFFF, // Range Maximum
                0x0000000000000000, // Translation Offset
                0x0000000000400000, // Length
                ,, , AddressRangeReserved, TypeStatic)
        })
        Name (_DSD, Package (0x02)  // _DSD: Device-Specific Data
        {
            ToUUID ("daffd814-6eba-4d8c-8a91-bc9bbf4aa301") /* Device Properties for _DSD */,
            Package (0x01)
            {
                Package (0x02)
                {
                    "compatible",
                    "restricted-dma-pool"
                }
            }
        })
    }

    Device (\_SB.VR04)
    {
        Name (_HID, "LNRO0005")  // _HID: Hardware ID
        Name (_UID, "VR04")  // _UID: Unique ID
        Name (_CCA, One)  // _CCA: Cache Coherency Attribute
        Name (_CRS, ResourceTemplate ()  // _CRS: Current Resource Settings
        {
            Memory32Fixed (ReadWrite,
                0xFEB00800,         // Address Base
                0x00000200,         // Address Length
                )
            Interrupt (ResourceConsumer, Level, ActiveLow, Shared, ,, )
            {
                0x00000024,
            }
        })
    }
}

