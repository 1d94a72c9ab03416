# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash disable=SC2154 # variables of selftests/guest/host.sh
# Linux's own driver of NVMe controllers, which is part of its kernel: one whose doorbells come with
# their values, and one whose doorbells are eventfds, as the driver has shadow doorbells.

# ---- in the guest ----

# Disks come when their queues are there.
disks_come() {
	tries=0
	until { [ -e /dev/nvme0n1 ] && [ -e /dev/nvme0n2 ] && [ -e /dev/nvme1n1 ]; } ||
		[ $tries = 200 ]; do
		tries=$((tries + 1))
		sleep 0.1
	done
	check "the driver takes both controllers" \
		[ "$(cat /sys/class/nvme/nvme0/state /sys/class/nvme/nvme1/state | tr '\n' ' ')" = 'live live ' ]
}

identity() {
	check "the controller has its serial number" grep -q '^first *$' /sys/class/nvme/nvme0/serial
	check "the disk is as large as its file" [ "$(cat /sys/block/nvme0n1/size)" = 32768 ]
	check "it has both queues" [ "$(ls /sys/block/nvme0n1/mq | wc -l)" = 2 ]
}

second_namespace() {
	sum=$(md5sum </dev/nvme0n2)
	echo "told second ${sum%% *}"
}

# file_system DISK
file_system() {
	mkdir -p /mnt
	check "a file system is made on $1" mke2fs "/dev/$1"
	check "it is mounted" mount -t ext4 "/dev/$1" /mnt
	dd if=/dev/urandom of=/mnt/file bs=1024 count=4000 2>/dev/null
	before=$(md5sum </mnt/file)
	check "it is unmounted" umount /mnt
	echo 3 >/proc/sys/vm/drop_caches
	check "it is mounted again" mount -t ext4 "/dev/$1" /mnt
	check "the file is what it was" [ "$before" = "$(md5sum </mnt/file)" ]
	check "what is discarded is" fstrim /mnt
	umount /mnt
	sum=$(md5sum <"/dev/$1")
	echo "told $1 ${sum%% *}"
}

controllers_again() {
	for device in /sys/bus/pci/drivers/nvme/0*; do
		echo "${device##*/}" >/sys/bus/pci/drivers/nvme/unbind
		echo "${device##*/}" >/sys/bus/pci/drivers/nvme/bind
	done
	disks_come
	second_namespace
	check "the driver has complained of nothing" \
		[ "$(dmesg | grep nvme | grep -ci 'error\|timeout\|unable\|fail\|abort')" = 0 ]
}

# ---- on the host ----

sum_of() {
	local sum
	sum=$(md5sum <"$1")
	echo "${sum%% *}"
}

# QEMU sends messages.
doorbells_came_by_eventfd() {
	[ "$monitor" = fastpath-vmm ] || return 0
	check "the guest's driver has rung without leaving the guest" \
		[ "$(counted eventfd 'region 0 rings by eventfd')" -gt 0 ]
}

on_host() {
	local allowed=
	truncate -s 16M disk disk3
	dd if=/dev/urandom of=disk2 bs=64k count=16 2>/dev/null
	serve nvme,path=disk,path2=disk2,serial=first,num-queues=2,socket=1.sock \
		nvme,path=disk3,serial=other,num-queues=2,doorbells=eventfd,name=eventfd,socket=2.sock
	boot 2 1.sock 2.sock
	guest disks_come identity \
		second_namespace 'file_system nvme0n1' 'file_system nvme1n1'
	check_equal "the file has what the guest reads" "$(sum_of disk)" "${told[nvme0n1]}"
	check_equal "and the one behind eventfds" "$(sum_of disk3)" "${told[nvme1n1]}"
	check_equal "what the second file has the guest reads" "${told[second]}" "$(sum_of disk2)"
	guest controllers_again
	check_equal "a driver that comes again reads the same" "${told[second]}" "$(sum_of disk2)"
	# QEMU's firmware looks for something to boot from, and has no shadow doorbells.
	[ "$monitor" = qemu ] && allowed='no shadow doorbells'
	check "no driver has done what can't be" no_refusals "$allowed"
	doorbells_came_by_eventfd
	power_off
	end_server
	rm -f disk disk2 disk3
}
