#!/bin/sh
# run.sh TEST... -- looks whether the house is in order, runs cmocka programs, shows what failed and what was skipped, ends with one
# line of counts.
# Exit status 1 if anything failed.
cd "$(dirname "$0")/.." || exit 1
log=$(mktemp) && trap 'rm -f "$log"' EXIT
passed=0 failed=0 skipped=0
if tests/house.sh; then passed=1; else failed=1; fi
printf '%-28s %3d passed %3d failed %3d skipped\n' house $passed $failed 0
for test in "$@"; do
    CMOCKA_MESSAGE_OUTPUT=TAP "$test" >"$log" 2>&1
    status=$?
    p=$(grep -c '^ok [0-9]* - ' "$log")
    s=$(grep -c '^ok [0-9]* # SKIP\|^not ok [0-9]* # SKIP' "$log")
    f=$(grep -c '^not ok [0-9]* - ' "$log")
    if [ $status -ne 0 ] && [ "$f" -eq 0 ]; then f=1; fi       # it died before it could say so
    if [ "$f" -gt 0 ]; then cat "$log"; fi
    grep '# SKIP\|^skipped:' "$log"
    printf '%-28s %3d passed %3d failed %3d skipped\n' "$(basename "$test")" "$p" "$f" "$s"
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
done
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
