#!/bin/sh
# run-unit.sh TEST...: runs each unit test binary given, as many at once as there are processors; prints failures in
# full, successes as one line. Exits non-zero if any failed.
if [ "$1" = --one ]; then
	if out=$("$2" 2>&1); then
		printf '%-36s %s\n' "${2##*/}" "$(printf '%s\n' "$out" | sed -n 's/.*\[  PASSED  \] \([0-9]*\).*/\1 passed/p' | tail -n 1)"
		exit 0
	fi
	printf '%s\nFAILED: %s\n' "$out" "$2"
	exit 1
fi
if printf '%s\n' "$@" | xargs -P "$(($(nproc) * 2))" -n 1 "$0" --one; then
	echo "unit test programs: $# run, all passed"
else
	echo "unit test programs: $# run, some failed (see FAILED above)"
	exit 1
fi
