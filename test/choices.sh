#!/bin/sh
# choices.sh DIR NAME=VALUE…: what is built in DIR is up to date, and would not be with any of these given to make.
set -eu
dir=$1
shift

make -q B="$dir" all || {
	echo "choices: $dir is not up to date right after it was made" >&2
	exit 1
}
for choice; do
	if make -q B="$dir" "$choice" all; then
		echo "choices: make $choice would leave $dir as it is" >&2
		exit 1
	fi
done
echo "choices: in order"
