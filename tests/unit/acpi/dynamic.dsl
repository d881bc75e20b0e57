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
                0xFEB00400,         // Address Base
                0x00000200,         // Address Length
                )
            Interrupt (ResourceConsumer, Level, ActiveLow, Shared, ,, )
            {
                0x00000022,
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
}
