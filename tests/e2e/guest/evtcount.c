/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* In dom0: prints how many event channels it has, and those with domains. */
#include <stdio.h>

#include <xenctrl.h>

int main(void)
{
    xc_interface *xch = xc_interface_open(NULL, NULL, 0);
    unsigned int all = 0, unbound = 0, inter = 0;

    if (!xch)
        return 1;
    for (uint32_t port = 1; port < 4096; port++) {
        xc_evtchn_status_t s = {.dom = DOMID_SELF, .port = port};

        if (xc_evtchn_status(xch, &s))
            break;
        all += s.status != EVTCHNSTAT_closed;
        unbound += s.status == EVTCHNSTAT_unbound;
        inter += s.status == EVTCHNSTAT_interdomain && s.u.interdomain.dom;
    }
    printf("all=%u unbound=%u interdomain=%u\n", all, unbound, inter);
    xc_interface_close(xch);
    return 0;
}
