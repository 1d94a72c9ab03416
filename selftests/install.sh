#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# What `make install` puts somewhere is enough: programs, manual, and what a device of somebody's own
# needs, found by pkg-config alone.
set -u

top=$(realpath "$(dirname "$0")/..")
build=${FASTPATH_BUILD:-$top/build}
temp=$(mktemp -d)
pids=()
trap 'kill "${pids[@]}" 2>/dev/null; rm -rf "$temp"' EXIT
log=$temp/log
number=0

result() {
	local status=$1
	shift
	number=$((number + 1))
	if [ "$status" = 0 ]; then
		echo "ok $number - $*"
	else
		echo "not ok $number - $*"
		tail -n 20 "$log" | sed 's/^/# /'
	fi
}

if [ -n "${SAN:-}" ] || [ "$build" != "$top/build" ]; then
	echo '1..0 # SKIP the plain build is what is installed'
	exit
fi

make -C "$top" --no-print-directory install DESTDIR="$temp/root" >"$log" 2>&1
result $? 'make install DESTDIR= installs'
root=$temp/root/usr/local

for program in fastpathd fastpathctl fastpath-vmm fastpath-bench; do
	"$root/bin/$program" --version >"$log" 2>&1
	result $? "$program starts"
	ls "$root"/share/man/man*/$program.[18] >"$log" 2>&1
	result $? "$program has a manual page"
done
grep -q "^ExecStart=/usr/local/bin/fastpathd" "$root/lib/systemd/system/fastpathd@.service"
result $? 'the unit starts the installed fastpathd'
grep -q '"binary": "/usr/local/bin/fastpathd"' "$root/share/vfio-user/fastpathd.json"
result $? 'its description names it'

# ---- libraries ----

for library in libfastpath libfastpath-client; do
	readelf -d "$root/lib/$library.so" | grep -q "soname: \[$library.so.0\]" &&
		[ -e "$root/lib/$library.so.0" ]
	result $? "$library is found by its versioned name"
	case $library in
	*client) prefix=fpc_ header=fastpath-client.h ;;
	*) prefix=fp_ header=fastpath.h ;;
	esac
	nm -D --defined-only "$root/lib/$library.so" | awk '{ print $3 }' | grep -v "^$prefix" >"$log"
	[ ! -s "$log" ]
	result $? "$library has no symbols but ${prefix}*"
	nm -D --defined-only "$root/lib/$library.so" | awk '{ print $3 }' |
		while read -r symbol; do
			grep -qw "$symbol" "$root/include/$header" || echo "$symbol"
		done >"$log"
	[ ! -s "$log" ]
	result $? "$header declares what $library exports"
done

# ---- a device ----

awk '/^```c$/ { on = 1; next } /^```/ { on = 0 } on' "$top/README.md" >"$temp/hello.c"
export PKG_CONFIG_SYSROOT_DIR=$temp/root PKG_CONFIG_PATH=$root/lib/pkgconfig
cd "$temp" &&
	cc -Wall -Wextra -Werror -o hello hello.c $(pkg-config --cflags --libs fastpath) >"$log" 2>&1
result $? 'a device is built with pkg-config alone'
export LD_LIBRARY_PATH=$root/lib
./hello --device "hello,socket=$temp/socket" 2>"$log" &
pids+=($!)
for _ in $(seq 100); do
	[ -S socket ] && break
	read -rt 0.1 <> <(:)
done
"$root/bin/fastpathctl" probe "$temp/socket" >>"$log" 2>&1
result $? 'and is served'

if command -v systemd-socket-activate >/dev/null; then
	systemd-socket-activate -E LD_LIBRARY_PATH -l "$temp/passed" ./hello --device hello 2>"$log" &
	pids+=($!)
	for _ in $(seq 100); do
		[ -S passed ] && break
		read -rt 0.1 <> <(:)
	done
	"$root/bin/fastpathctl" probe "$temp/passed" >>"$log" 2>&1
	result $? 'started by its first client, too'
else
	number=$((number + 1))
	echo "ok $number - started by its first client, too # SKIP there is no systemd-socket-activate"
fi

# ---- completion ----

complete_words() { # PROGRAM PREVIOUS CURRENT
	PATH=$root/bin:$PATH bash -c '
		source "$0"
		compopt() { :; }
		COMP_WORDS=("$1" "$2" "$3") COMP_CWORD=2
		[ -n "$2" ] || COMP_CWORD=1
		_fastpath "$1" "$3" "${2:-$1}"
		echo "${COMPREPLY[@]}"' "$root/share/bash-completion/completions/$1" "$1" "$2" "$3"
}
[ "$(complete_words fastpathd '' --sock)" = --socket-path ]
result $? 'an option is completed'
[ "$(complete_words fastpathd --device test)" = testdev ]
result $? 'a device is completed'
[ "$(complete_words fastpathctl '' pro)" = probe ]
result $? 'a command is completed'
[ "$(complete_words fastpath-bench '' repo)" = report ]
result $? 'a command of fastpath-bench is completed'
[ "$(complete_words fastpath-bench throughput --dep)" = --depth ]
result $? 'and the options of it'
[ "$(complete_words fastpath-bench --color al)" = always ]
result $? 'and what an option of it can be'
echo "1..$number"
