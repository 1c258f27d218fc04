#!/bin/sh
# Installs the Debian packages that are missing, by name; does nothing when all are there. On another distribution it
# says which it would want and fails.
#   deps.sh build    what `make` needs
#   deps.sh demo     that, and what the demonstration needs
#   deps.sh vm       what the machine of `make check-vm` needs, but for its kernel
#   deps.sh test     that, and what the tests need
#   deps.sh bench    what `make` and the benchmarks need: other VPN clients, libraries, tools
#
# Debian enables the services of nginx, tftpd-hpa and ocserv where systemd runs. They are not started now, but are at the
# next boot: `systemctl disable nginx tftpd-hpa ocserv` ends that.
set -eu

build="gcc make pkg-config libc6-dev libcrypt-dev linux-libc-dev libmbedtls-dev libnl-3-dev libcjson-dev libc-ares-dev libedit-dev zlib1g-dev"
build="$build libmicrohttpd-dev libdeflate-dev"
run="python3 iproute2 openssl faketime util-linux"
vm="qemu-system-x86 busybox-static cpio e2fsprogs libcmocka-dev"
test="$run $vm python3-pytest python3-jsonschema curl tftpd-hpa nginx nftables procps strace clang libclang-rt-dev cppcheck mandoc nettle-dev libssl-dev"
bench="strace openvpn ocserv openconnect socat iperf3 iputils-ping linux-perf libssl-dev nettle-dev libsodium-dev nftables git time rauc squashfs-tools"

case ${1:-} in
build) wanted=$build ;;
demo) wanted="$build $run" ;;
vm) wanted="$build $run $vm" ;;
test) wanted="$build $test" ;;
bench) wanted="$build $run $bench" ;;
*)
	echo "usage: $0 build|demo|vm|test|bench" >&2
	exit 2
	;;
esac

if ! command -v dpkg-query > /dev/null || ! command -v apt-get > /dev/null; then
	echo "This is no Debian. Install these (Debian's names) yourself, then run make all and test/demo, or make check-all:" >&2
	echo "  $wanted" >&2
	exit 1
fi

missing=
for package in $wanted; do
	case $(dpkg-query -W -f '${Status}' "$package" 2> /dev/null) in
	"install ok installed") ;;
	*) missing="$missing $package" ;;
	esac
done
[ -n "$missing" ] || exit 0

echo "Installing:$missing"
if [ "$(id -u)" -ne 0 ]; then
	echo "Installing packages takes root: sudo make deps" >&2
	exit 1
fi
export DEBIAN_FRONTEND=noninteractive

# Servers that tests start themselves are not to run on this machine: no service is started while these are installed,
# unless somebody has rules of his own for that.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
	trap 'rm -f $policy' EXIT
	trap 'exit 1' HUP INT TERM
	printf '#!/bin/sh\nexit 101\n' > $policy
	chmod 755 $policy
fi
apt-get update -q
# shellcheck disable=SC2086 # a list of names
apt-get install -q -y --no-install-recommends $missing
