#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# fastpath-vmm boots Debian's kernel, in a machine that QEMU emulates: selftests/guest/linux.c. Neither
# KVM nor root is needed here.
set -u

top=$(realpath "$(dirname "$0")/..")
build=${FASTPATH_BUILD:-$top/build}
qemu=$top/build/qemu

if ! [ -x "$qemu/qemu-system-x86_64" ]; then
	echo "1..0 # SKIP no QEMU: $(tail -n 1 "$top/build/qemu.why" 2>/dev/null || echo 'run .ci/qemu build/qemu')"
	exit 0
fi
FASTPATH_BUILD=$build "$top/selftests/nested/boot" "$qemu/vmlinuz" "$qemu/modules" "$build/guest" \
	"280 selftests/guest/linux" || exit 1
cat "$build/guest/linux.tap"
