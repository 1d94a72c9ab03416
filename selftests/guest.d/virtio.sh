# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash disable=SC2154 # variables of selftests/guest/host.sh
# Linux's drivers of virtio devices: the host's random numbers, a disk with a file system, a disk that
# is not written to, and a console.

# ---- in the guest ----

drivers() {
	modules virtio virtio_ring virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci virtio-rng \
		virtio_blk virtio_console
	for name in rng blk console; do
		check "the driver of virtio-$name takes it" \
			ls -d /sys/bus/virtio/drivers/virtio_$name/virtio*
	done
	# Indirect descriptors, event indexes; modern, by platform addresses, packed, ordered by the platform.
	check "it takes all that is offered, packed rings too" \
		grep -q '^0000000000000000000000000000110011101' /sys/bus/virtio/devices/virtio0/features
}

# Two times 256 bytes, which are not the same.
random_numbers() {
	first=$(dd if=/dev/hwrng bs=64 count=4 iflag=fullblock 2>/dev/null | md5sum)
	second=$(dd if=/dev/hwrng bs=64 count=4 iflag=fullblock 2>/dev/null | md5sum)
	check "/dev/hwrng is fed" [ "$first" != "$second" ]
}

disk() {
	check "the disk is as large as its file" [ "$(cat /sys/block/vda/size)" = 32768 ]
	check "it has its serial number" [ "$(cat /sys/block/vda/serial)" = first ]
	mkdir -p /mnt
	check "a file system is made" mke2fs /dev/vda
	check "it is mounted" mount -t ext4 /dev/vda /mnt
	dd if=/dev/urandom of=/mnt/file bs=1024 count=4000 2>/dev/null
	before=$(md5sum </mnt/file)
	check "it is unmounted" umount /mnt
	echo 3 >/proc/sys/vm/drop_caches
	check "it is mounted again" mount -t ext4 /dev/vda /mnt
	check "the file is what it was" [ "$before" = "$(md5sum </mnt/file)" ]
	check "what is discarded is" fstrim /mnt
	umount /mnt
	sum=$(md5sum </dev/vda)
	echo "told disk ${sum%% *}"
}

second_disk() {
	check "the second disk is readonly" [ "$(cat /sys/block/vdb/ro)" = 1 ]
	sum=$(md5sum </dev/vdb)
	echo "told second ${sum%% *}"
}

# A console that is closed forgets what was typed.
login() {
	exec 3<>/dev/hvc0
	stty -echo <&3
	printf 'login: \n' >&3
	read -r name <&3
	check "the console hears what is typed" [ "$name" = root ]
	printf 'welcome %s\n' "$name" >&3
}

drivers_again() {
	for driver in virtio_rng virtio_blk; do
		for device in /sys/bus/virtio/drivers/$driver/virtio*; do
			echo "${device##*/}" >/sys/bus/virtio/drivers/$driver/unbind
			echo "${device##*/}" >/sys/bus/virtio/drivers/$driver/bind
		done
	done
	second_disk
	random_numbers
}

# ---- on the host ----

sum_of() {
	local sum
	sum=$(md5sum <"$1")
	echo "${sum%% *}"
}

# The other end of the console.
talk() {
	local line end
	exec {end}<>terminal
	read -t $answer_seconds -r line <&$end
	[ "${line%$'\r'}" = "login: " ] && echo root >&$end
	read -t $answer_seconds -r line <&$end
	echo "${line%$'\r'}" >heard
}

# By eventfd, without an exit; QEMU sends messages.
notifications_came_by_eventfd() {
	[ "$monitor" = fastpath-vmm ] || return 0
	check "the guest's driver has notified the disk" \
		[ "$(counted virtio-blk 'region 0 rings by eventfd')" -gt 0 ]
	check_equal "and has not left the guest for it" \
		"$(counted virtio-blk 'region 0 rings by message')" 0
}

on_host() {
	local talker
	truncate -s 16M disk
	dd if=/dev/urandom of=disk2 bs=64k count=16 2>/dev/null
	serve virtio-rng,socket=1.sock virtio-blk,path=disk,serial=first,num-queues=2,socket=2.sock \
		virtio-blk,path=disk2,readonly=on,socket=3.sock virtio-console,link=terminal,socket=4.sock
	boot 2 1.sock 2.sock 3.sock 4.sock
	guest drivers random_numbers disk second_disk
	check_equal "the file has what the guest reads from its disk" "$(sum_of disk)" "${told[disk]}"
	check_equal "and what the file has the guest reads" "${told[second]}" "$(sum_of disk2)"
	talk &
	talker=$!
	guest login
	wait $talker
	check_equal "and who types hears the guest" "$(cat heard)" "welcome root"
	guest drivers_again
	check_equal "a driver that comes again reads the same" "${told[second]}" "$(sum_of disk2)"
	check "no driver has done what can't be" no_refusals
	notifications_came_by_eventfd
	power_off
	end_server
	rm -f disk disk2 heard
}
