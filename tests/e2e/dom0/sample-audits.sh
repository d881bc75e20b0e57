# shellcheck shell=dash
# sample-audits.sh GUEST DEVICE NUMBER: so many audits while the guest works.
# Prints how many were right and how many pages of DEVICE were granted at the
# most; those that were wrong on stderr.
guest=$1 device=$2 number=$3
right=0
most=0
while [ "$number" -gt 0 ]; do
    if vrctl audit --pause --json "$guest" > /tmp/audit 2>&1 &&
        grep -q '"compared": true' /tmp/audit; then
        right=$((right + 1))
    else
        head -c 600 /tmp/audit >&2
    fi
    pages=$(sed -n "/\"device\": \"$device\"/,/granted/s/.*\"granted_pages\": \([0-9]*\).*/\1/p" /tmp/audit)
    [ "${pages:-0}" -le "$most" ] || most=$pages
    number=$((number - 1))
done
echo "$right $most"
