DefinitionBlock ("", "SSDT", 2, "XENVR", "VIRTIORS", 0x00000001)
{
    Device (\_SB.VRIO)
    {
        Name (_HID, "LNRO0005")  // _HID: Hardware ID
        Name (_UID, "VRIO")  // _UID: Unique ID
        Name (_CCA, One)  // _CCA: Cache Coherency Attribute
        Name (_CRS, ResourceTemplate ()  // _CRS: Current Resource Settings
        {
            Memory32Fixed (ReadWrite,
                0xFEB00600,         // Address Base
                0x00000200,         // Address Length
                )
            Interrupt (ResourceConsumer, Level, ActiveLow, Shared, ,, )
            {
                0x00000023,
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

    Device (\_SB.VR00)
    {
        Name (_HID, "LNRO0005")  // _HID: Hardware ID
        Name (_UID, "VR00")  // _UID: Unique ID
        Name (_CCA, One)  // _CCA: Cache Coherency Attribute
        Name (_CRS, ResourceTemplate ()  // _CRS: Current Resource Settings
        {
            Memory32Fixed (ReadWrite,
                0xFEB00000,         // Address Base
                0x00000200,         // Address Length
                )
            Interrupt (ResourceConsumer, Level, ActiveLow, Shared, ,, )
            {
                0x00000020,
            }
        })
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

    Device (\_SB.VR01)
    {
        Name (_HID, "LNRO0005")  // _HID: Hardware ID
        Name (_UID, "VR01")  // _UID: Unique ID
        Name (_CCA, One)  // _CCA: Cache Coherency Attribute
        Name (_CRS, ResourceTemplate ()  // _CRS: Current Resource Settings
        {
            Memory32Fixed (ReadWrite,
                0xFEB00200,         // Address Base
                0x00000200,         // Address Length
                )
            Interrupt (ResourceConsumer, Level, ActiveLow, Shared, ,, )
            {
                0x00000021,
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

    Device (\_SB.VR02)
    {
        Name (_HID, "LNRO0005")  // _HID: Hardware ID
        Name (_UID, "VR02")  // _UID: Unique ID
        Name (_CCA, One)  // _CCA: Cache Coherency Attribute
        Name (_CRS, ResourceTemplate ()  // _CRS: Current Resource Settings
        {
            Memory32Fixed (ReadWrite,
                0xFEB00400,         // Address Base
                0x00000200,         // Address Length
                )
            Interrupt (ResourceConsumer, Level, ActiveLow, Shared, ,, )
            {
                0x00000022,
            }
        })
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
}
