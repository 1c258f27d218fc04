#!/bin/sh
# Which room may include which: an arrow that is not here is an error. Also: who may name a library, and that every
# header compiles alone.
set -u
cd "$(dirname "$0")/.." || exit 1
bad=0

say() {
	echo "layers: $1" >&2
	bad=$((bad + 1))
}

# room: rooms it may include besides itself
allowed() {
	case $1 in
	base) echo "base" ;;
	config) echo "config base" ;;
	trustlist) echo "trustlist base" ;;
	tun) echo "tun base" ;;
	package) echo "package trustlist base" ;;
	rollback) echo "rollback config base" ;;
	agent) echo "agent rollback package trustlist tun config base" ;;
	esac
}

for room in base config trustlist tun package rollback agent; do
	for found in $(grep -ohE '^#include "[a-z]+/' "$room"/*.[chS] | sort -u | sed 's/.*"\(.*\)\//\1/'); do
		case " $(allowed "$room") " in
		*" $found "*) ;;
		*) say "$room includes $found: $(grep -l "^#include \"$found/" "$room"/*.[ch] | tr '\n' ' ')" ;;
		esac
	done
done

# library: the files that may include it
only() {
	for file in $(grep -lE "^#include <$1" ./*/*.[ch]); do
		echo "$file" | grep -qE "^\./($2)$" || say "$file includes <$1...>"
	done
}
only mbedtls 'base/(mbed|gcm_replace)\.c|agent/tls\.c|trustlist/cert\.c|package/(cms|anchor)\.c'
# The Makefile knows by this which objects are another mbedTLS's.
for file in $(grep -lE '^.include ["<](mbedtls|psa)/' ./*/*.h ./test/*/*.h); do
	[ "$file" = ./test/unit/fake_manager.h ] || say "$file includes a header of mbedTLS"
done
only nettle 'base/gcm_nettle\.c'
only psa 'base/mbed\.c'
only netlink 'tun/netlink[a-z_]*\.[ch]|agent/apply_[a-z]+\.c'
only cjson 'base/json\.c|[a-z]+/[a-z_]*_json\.c'
only ares 'agent/resolve\.c'
only crypt 'base/password\.c'
only zlib 'agent/gzip\.c|package/[a-z]+\.c'
only libdeflate 'package/verify\.c'
only microhttpd 'agent/monitor\.c'
only histedit 'agent/fgfmctl\.c'
for call in clock_gettime gettimeofday 'time(NULL'; do
	for file in $(grep -lF "$call" ./*/*.c); do
		[ "$file" = ./base/clock.c ] || say "$file reads a clock itself ($call)"
	done
done

for header in */*.h; do
	${CC:-cc} -std=c11 -D_GNU_SOURCE -I. ${MBEDTLS_CFLAGS:-} -I/usr/include/libnl3 -fsyntax-only -x c "$header" ||
		say "$header does not compile alone"
done

[ "$bad" -eq 0 ] && echo "layers: in order"
[ "$bad" -eq 0 ]
