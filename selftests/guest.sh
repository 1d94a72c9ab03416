#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# fastpath-vmm boots Debian's kernel, in a machine that QEMU emulates: selftests/guest/linux.c, and
# selftests/guest/devices, which goes through selftests/guest.d/. Neither KVM nor root is needed here.
set -u

top=$(realpath "$(dirname "$0")/..")
build=${FASTPATH_BUILD:-$top/build}
qemu=$top/build/qemu

# The results of several programs, as if of one.
as_one() {
	awk '/^(1\.\.|TAP version)/ { next }
		/^(not )?ok / { sub(/ok( [0-9]+)?/, "ok " ++n) }
		{ print }
		END { print "1.." n }' "$@"
}

if ! [ -x "$qemu/qemu-system-x86_64" ]; then
	echo "1..0 # SKIP no QEMU: $(tail -n 1 "$top/build/qemu.why" 2>/dev/null || echo 'run .ci/qemu build/qemu')"
	exit 0
fi
FASTPATH_BUILD=$build "$top/selftests/nested/boot" "$qemu/vmlinuz" "$qemu/modules" "$build/guest" \
	"190 selftests/guest/linux" "600 selftests/guest/devices" || exit 1
echo "TAP version 13"
as_one "$build/guest/linux.tap" "$build/guest/devices.tap"
