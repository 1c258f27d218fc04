#!/bin/sh
# run-fuzz.sh SECONDS TARGET...: each libFuzzer target for that long, four beside each other, from its committed seeds.
# What is found is kept in build-san/findings and makes this fail.
set -u
seconds=$1
shift
findings=build-san/findings
mkdir -p "$findings"

run_one() {
	name=${1##*/}
	corpus=$(mktemp -d)
	if out=$("$1" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -artifact_prefix="$findings/$name-" \
		"$corpus" "test/fuzz/seeds/${name#fuzz_}" 2>&1); then
		printf '%-20s %s\n' "$name" "$(printf '%s\n' "$out" | tail -n 1)"
	else
		printf '%s\n' "$out" | tail -n 60
		echo "FAILED: $name"
		touch "$findings/failed"
	fi
	rm -rf "$corpus"
}

rm -f "$findings/failed"
while [ $# -gt 0 ]; do
	for _ in 1 2 3 4; do
		[ $# -gt 0 ] || break
		run_one "$1" &
		shift
	done
	wait
done
[ ! -e "$findings/failed" ]
