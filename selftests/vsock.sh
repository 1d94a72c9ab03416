#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Programs that can go by vsock, in a Linux guest under QEMU: its kernel has a vsock loopback, which
# few hosts do. Neither KVM nor root is needed. QEMU and the guest's kernel are what .ci/qemu
# unpacked.
set -u

top=$(realpath "$(dirname "$0")/..")
build=${FASTPATH_BUILD:-$top/build}
qemu=$top/build/qemu
programs='transport commands'
seconds=120

skip() {
	echo "1..0 # SKIP $*"
	exit 0
}

[ -e "$qemu/modules/vsock_loopback.ko" ] ||
	skip "no QEMU: $(tail -n 1 "$top/build/qemu.why" 2>/dev/null || echo 'run .ci/qemu build/qemu')"
[ -z "${SAN:-}" ] || skip "sanitizers take too long in an emulated machine"

temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT
mkdir -p "$temp"/root/{bin,dev,proc,sys,tmp,build/selftests}
cd "$temp/root" || exit 1

cp "$qemu/busybox" bin
cp -r "$qemu/modules" .
cp "$build/fastpathd" build
for program in $programs; do
	cp "$build/selftests/$program" build/selftests
done
for library in $(ldd build/fastpathd build/selftests/* | sed -n 's|.*[\t ]\(/[^ ]*\) (.*|\1|p' | sort -u); do
	[ -e ".$library" ] || install -D "$library" ".$library"
done

cat >init <<-END
	#!/bin/busybox sh
	busybox mount -t proc proc /proc
	busybox mount -t sysfs sysfs /sys
	busybox mount -t devtmpfs dev /dev
	busybox ifconfig lo 127.0.0.1 up
	for module in vsock vmw_vsock_virtio_transport_common vsock_loopback; do
		busybox insmod /modules/\$module.ko
	done
	export FASTPATH_BUILD=/build FASTPATH_TEST_TRANSPORT=vsock
	for program in $programs; do
		/build/selftests/\$program >/log 2>&1
		echo "\$program ended with \$?"
		busybox cat /log
	done >/dev/ttyS1 2>&1
	busybox poweroff -f
END
chmod +x init
find . | "$qemu/busybox" cpio -o -H newc 2>/dev/null >../initramfs
cd "$temp" || exit 1

timeout -k 5 $seconds "$qemu/qemu-system-x86_64" -accel tcg,thread=multi -smp 2 -m 512M \
	-nodefaults -display none -no-reboot -serial file:console -serial file:said \
	-kernel "$qemu/vmlinuz" -initrd initramfs \
	-append "console=ttyS0 panic=-1 mitigations=off tsc=reliable no_timer_check" 2>qemu.log

number=0 failed=0

# check SENTENCE COMMAND...: the sentence is true if the command succeeds.
check() {
	local sentence=$1
	shift
	number=$((number + 1))
	if "$@"; then
		echo "ok $number - $sentence"
	else
		echo "not ok $number - $sentence"
		failed=1
	fi
}

for program in $programs; do
	check "$program, by vsock" grep -q "^$program ended with 0" said
done
has_loopback() {
	! grep -q 'no vsock loopback' said
}
check "and nothing of it is skipped for want of a loopback" has_loopback
echo "1..$number"
if [ $failed = 1 ]; then
	grep -hv 'RUN\|   OK  \|^ok' said
	tail -n 20 console qemu.log
fi | tr -d '\r' | sed 's/^/# /'
