#!/bin/sh
# mbedtls36.sh DIR - mbedTLS 3.6 from Debian 13 in DIR, for a build and a test run beside the 2.28 of Debian 12:
#
#   eval make B=build-mbedtls36 $(test/mbedtls36.sh /tmp/mbedtls36) unit
#
# Prints the make variables, quoted for a shell, on standard output and nothing else; installs nothing, changes nothing outside DIR. The
# package comes from the Debian mirror this machine's apt is set up for, checked against the Debian archive's keys.
# Exits 1 with a line on standard error when it cannot be had.
set -eu

suite=trixie
keys=/usr/share/keyrings/debian-archive-keyring.gpg

fail() {
	echo "mbedtls36: $*" >&2
	exit 1
}

[ $# -eq 1 ] || fail "usage: mbedtls36.sh DIR"
for tool in apt-get dpkg; do
	command -v $tool >/dev/null || fail "$tool is needed: this fetches a Debian package"
done
[ -r $keys ] || fail "$keys is missing: install debian-archive-keyring"
mkdir -p "$1" || fail "cannot create $1"
dir=$(cd "$1" && pwd)

find_libs() {
	lib=$(find "$dir/root" -name libmbedcrypto.a 2>/dev/null | head -n 1)
	[ -n "$lib" ] && lib=${lib%/*}
}

# The archive itself, not its security or third-party companions: its address ends in /debian/.
mirror() {
	# shellcheck disable=SC2016 # the dollar belongs to apt
	apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep '/debian/*$' | head -n 1
}

fetch() {
	mirror=$(mirror)
	[ -n "$mirror" ] || fail "apt on this machine has no Debian mirror configured"
	mkdir -p "$dir/apt/lists/partial" "$dir/apt/cache/archives/partial"
	echo "deb [signed-by=$keys] $mirror $suite main" >"$dir/apt/sources.list"
	set -- -q -o "Dir::Etc::SourceList=$dir/apt/sources.list" -o Dir::Etc::SourceParts=- -o "Dir::State=$dir/apt" \
		-o "Dir::State::Lists=$dir/apt/lists" -o "Dir::Cache=$dir/apt/cache" -o APT::Sandbox::User= \
		-o Dir::State::status=/dev/null -o APT::Update::Error-Mode=any -o Acquire::Languages=none
	apt-get "$@" update >"$dir/log" 2>&1 || {
		tail -n 3 "$dir/log" >&2
		fail "no package lists of $suite from $mirror"
	}
	(cd "$dir" && apt-get "$@" download libmbedtls-dev) >>"$dir/log" 2>&1 || {
		tail -n 3 "$dir/log" >&2
		fail "no libmbedtls-dev of $suite from $mirror"
	}
	dpkg -x "$dir"/libmbedtls-dev_*.deb "$dir/root" || fail "the package from $mirror cannot be unpacked"
	rm -rf "$dir/apt"
}

find_libs || { fetch && find_libs; } || fail "no libmbedcrypto.a in the package"
grep -q '^#define MBEDTLS_VERSION_STRING  *"3\.6\.' "$dir/root/usr/include/mbedtls/build_info.h" ||
	fail "$dir does not hold mbedTLS 3.6"
echo "MBEDTLS_CFLAGS='-I$dir/root/usr/include'"
echo "MBEDTLS_LIBS='$lib/libmbedtls.a $lib/libmbedx509.a $lib/libmbedcrypto.a'"
