/* SPDX-License-Identifier: LGPL-2.1-or-later */
// The pool of a PCI function: a property for the device that hvmloader's DSDT
// has for each slot. "S27_" is a placeholder for the slot's.
// aml.sh: pool=1 slot=1
DefinitionBlock ("", "SSDT", 2, "XENVR", "VIRTIORS", 1)
{
    External (\_SB.PCI0.S27, DeviceObj)
    External (\_SB.VP00, DeviceObj)

    Scope (\_SB.PCI0.S27)
    {
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
