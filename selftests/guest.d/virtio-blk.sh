# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash disable=SC2154 # variables of selftests/guest/host.sh
# A disk of 64 sectors, with Linux's own driver.

on_host() {
	head -c 32768 /dev/urandom >disk
	serve virtio-blk,path=disk,socket=blk.sock
	boot 2 blk.sock
	guest 'modules virtio virtio_ring virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci virtio_blk' reads
	check_equal "the guest reads what is there" "${told[sum]}" "$(md5sum <disk | cut -d' ' -f1)"
	check "the server has refused nothing" no_refusals
	power_off
}

reads() {
	check "there is a disk of 64 sectors" [ "$(cat /sys/block/vda/size)" = 64 ]
	echo "told sum $(md5sum </dev/vda | cut -d' ' -f1)"
}
