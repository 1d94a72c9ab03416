#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# QEMU's vfio-user client attaches our devices, and a Linux guest in it uses them: all of
# selftests/guest.d/, and what is QEMU's own. It runs under TCG; neither KVM nor root is needed. QEMU,
# the guest's kernel and its busybox are what .ci/qemu unpacked.
set -u

top=$(realpath "$(dirname "$0")/..")
build=${FASTPATH_BUILD:-$top/build}
qemu=$top/build/qemu
parts=$top/selftests/guest.d
ask=$build/selftests/guest/ask
initrd=initramfs
monitor=qemu
. "$top/selftests/guest/host.sh"

testdevs=(testdev,socket=1.sock,id=1 testdev,socket=2.sock,id=2 testdev,socket=3.sock,id=3)

qmp() {
	local line deadline=$((SECONDS + 10))
	echo "$1" >&"$to_qmp"
	while next_line "$from_qmp" $deadline; do
		case $line in
		*'"return"'*) return 0 ;;
		*'"error"'*) echo "# $line" && return 1 ;;
		esac
	done
	return 1
}

plug_in() {
	qmp '{"execute":"qmp_capabilities"}' &&
		qmp "{\"execute\":\"device_add\",\"arguments\":$(vfio_user '"bus":"spare"' 3.sock)}"
}

# An access before that has been seen to end it: docs/peers.md.
qemu_has_noticed() {
	[ "$(grep -c 'failed to read header: EOF' vm.log)" = 2 ]
}

the_server_dies() {
	serve "${testdevs[@]}"
	boot 1 1.sock 2.sock
	kill_server
	check "QEMU notices, for each of its devices" await 10 qemu_has_noticed
	guest 'checks gone 0' 'checks gone 1'
	serve "${testdevs[@]}"
	guest 'checks gone 0'
	check "a device of the next server is plugged in" plug_in
	guest 'checks await 3' 'checks id 2' 'checks config 2' 'checks registers 2' \
		'checks doorbells 2' 'checks io-tests 2' 'checks dma 2' 'checks msix 2'
	power_off
}

# Linux's vfio-pci, for which there has to be an IOMMU.
vfio_modules='modules irqbypass vfio_virqfd vfio vfio_iommu_type1 vfio-pci-core vfio-pci'

the_next_client_has_a_driver_and_an_iommu() {
	append='intel_iommu=on iommu=pt' boot 1 1.sock 2.sock -- -device intel-iommu,caching-mode=on
	guest 'checks count 2' 'checks registers 0' 'checks dma 0' "$vfio_modules" \
		'checks vfio 0' 'checks vfio 1'
	power_off
	# QEMU unmaps whole address spaces, whether or not anything is mapped.
	check "the server has refused nothing but unmapping what is not mapped" \
		no_refusals 'DMA_UNMAP.*No such file|further refusals'
	end_server
}

echo "TAP version 13"
if ! [ -x "$qemu/qemu-system-x86_64" ]; then
	echo "1..0 # SKIP no QEMU: $(tail -n 1 "$top/build/qemu.why" 2>/dev/null || echo 'run .ci/qemu build/qemu')"
	exit 0
fi
begin
"$top/selftests/guest/initramfs" "$qemu" "$build/guest-checks" >initramfs || give_up "an initramfs"
all_parts
the_server_dies
the_next_client_has_a_driver_and_an_iommu
the_end
