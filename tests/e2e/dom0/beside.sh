# shellcheck shell=dash
# beside.sh COMMAND...: runs the commands beside each other and waits for all.
# Status 1 when one failed; the end of its output is printed.
dir=$(mktemp -d)
number=0
for command; do
    number=$((number + 1))
    {
        sh -c "$command" > "$dir/$number" 2>&1
        echo $? > "$dir/$number.status"
    } &
done
wait
status=0
while [ $number -gt 0 ]; do
    result=$(cat "$dir/$number.status")
    if [ "$result" != 0 ]; then
        echo "command $number ended with $result: $(tail -c 300 "$dir/$number")"
        status=1
    fi
    number=$((number - 1))
done
rm -r "$dir"
exit $status
