#!/bin/sh
# Runs each unit test binary given; prints failures in full, successes as one line. Exits non-zero if any failed.
failed=0
for bin in "$@"; do
	if out=$("$bin" 2>&1); then
		printf '%-36s %s\n' "${bin##*/}" "$(printf '%s\n' "$out" | sed -n 's/.*\[  PASSED  \] \([0-9]*\).*/\1 passed/p' | tail -n 1)"
	else
		printf '%s\n' "$out"
		echo "FAILED: $bin"
		failed=$((failed + 1))
	fi
done
echo "unit test programs: $# run, $failed failed"
[ "$failed" -eq 0 ]
