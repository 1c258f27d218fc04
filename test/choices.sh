#!/bin/sh
# choices.sh DIR: what is built in DIR is up to date, and is not when something else is asked for.
set -eu

stale() {
	if make -q B="$@" all; then
		echo "choices: make $2 would leave $1 as it is" >&2
		exit 1
	fi
}

make -q B="$1" all || { echo "choices: $1 is not up to date right after it was made" >&2; exit 1; }
stale "$1" GCM=nettle
stale "$1" MONITOR=no
echo "choices: in order"
