#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Linux's drivers use our virtio devices, in a guest of QEMU that attaches them by its vfio-user client:
# selftests/qemu/init-virtio. It runs under TCG; neither KVM nor root is needed.
set -u

top=$(realpath "$(dirname "$0")/..")
build=${FASTPATH_BUILD:-$top/build}
qemu=$top/build/qemu
boot_seconds=100
number=0 failed=0 server='' vm=''

check() {
	local sentence=$1
	shift
	number=$((number + 1))
	if "$@"; then
		echo "ok $number - $sentence"
	else
		failed=1
		echo "not ok $number - $sentence"
	fi
}

clean_up() {
	[ -z "$vm" ] || kill -KILL "$vm" 2>/dev/null
	[ -z "$server" ] || kill -KILL "$server" 2>/dev/null
	wait 2>/dev/null
	cd /
	rm -rf "$temp"
}

# await SECONDS COMMAND...: until it succeeds
await() {
	local deadline=$((SECONDS + $1))
	shift
	until "$@"; do
		[ $SECONDS -lt $deadline ] || return 1
		sleep 0.05
	done
}

vfio_user() {
	echo "{\"driver\":\"vfio-user-pci\",\"addr\":\"$1\",\"socket\":{\"type\":\"unix\",\"path\":\"$2.sock\"}}"
}

are_there() {
	[ -S rng.sock ] && [ -S disk.sock ] && [ -S disk2.sock ] && [ -S console.sock ]
}

says() {
	tr -d '\r' <console | grep -q "^guest: $1"
}

has_ended() {
	! kill -0 "$1" 2>/dev/null
}

# The other end of the guest's console.
dialogue() {
	perl -MIO::Socket::UNIX -e '
		alarm shift;
		$end = IO::Socket::UNIX->new(Peer => "end") or die;
		$end->autoflush;
		read($end, $text, 7) == 7 && $text eq "login: " or die;
		print $end "root\n";
		chomp($text = <$end>);
		print "$text\n";' $boot_seconds >dialogue
}

# host_has_file: in the image, read without the guest. ext2 is simple enough.
host_has_file() {
	local sum
	sum=$(tr -d '\r' <console | sed -n 's/^guest: file //p')
	perl -MDigest::MD5=md5_hex -e '
		($image, $sum) = @ARGV;
		open($f, "<:raw", $image); local $/; $disk = <$f>;
		sub block { substr($disk, $_[0] * $bs, $bs) }
		$bs = 1024 << unpack("V", substr($disk, 1024 + 24, 4));
		$isize = unpack("v", substr($disk, 1024 + 88, 2)) || 128;
		$group = block(1024 / $bs == 1 ? 2 : 1);
		$itable = unpack("x8V", $group);
		sub inode { substr($disk, $itable * $bs + ($_[0] - 1) * $isize, 128) }
		sub pointers { grep { $_ } unpack("V*", block($_[0])) }
		sub content {
			my $inode = inode($_[0]);
			my $size = unpack("x4V", $inode);
			my @b = unpack("x40V15", $inode);
			my @all = grep { $_ } @b[0 .. 11];
			push @all, pointers($b[12]) if $b[12];
			if ($b[13]) { push @all, pointers($_) for pointers($b[13]) }
			return substr(join("", map { block($_) } @all), 0, $size);
		}
		$dir = content(2);
		for ($at = 0; $at < length $dir; $at += $len) {
			($inode, $len, $n) = unpack("VvC", substr($dir, $at));
			last unless $len;
			$found = $inode if substr($dir, $at + 8, $n) eq "file";
		}
		exit(md5_hex(content($found)) eq $sum ? 0 : 1);' disk "$sum"
}

echo "TAP version 13"
if ! [ -x "$qemu/qemu-system-x86_64" ]; then
	echo "1..0 # SKIP no QEMU: $(tail -n 1 "$top/build/qemu.why" 2>/dev/null || echo 'run .ci/qemu build/qemu')"
	exit 0
fi
temp=$(mktemp -d)
trap clean_up EXIT
trap 'exit 1' INT TERM
cd "$temp" || exit 1
truncate -s 16M disk
dd if=/dev/urandom of=disk2 bs=64k count=16 2>/dev/null
"$top/selftests/guest/initramfs" "$qemu" "$top/selftests/qemu/init-virtio" >initramfs || exit 1

"$build/fastpathd" --device virtio-rng,socket=rng.sock \
	--device virtio-blk,path=disk,serial=first,num-queues=2,socket=disk.sock \
	--device virtio-blk,path=disk2,readonly=on,socket=disk2.sock \
	--device virtio-console,to=end,socket=console.sock 2>server.log &
server=$!
check "the server starts" await 10 are_there
"$qemu/qemu-system-x86_64" -accel tcg -machine q35,memory-backend=ram -m 192M -smp 2 \
	-object memory-backend-memfd,id=ram,size=192M,share=on -nodefaults -display none -no-reboot \
	-device "$(vfio_user 3 rng)" -device "$(vfio_user 4 disk)" -device "$(vfio_user 5 disk2)" \
	-device "$(vfio_user 6 console)" -serial file:console -kernel "$qemu/vmlinuz" \
	-initrd initramfs -append "console=ttyS0 quiet panic=-1 mitigations=off tsc=reliable \
	no_timer_check rdinit=/bin/checks" 2>qemu.log &
vm=$!
dialogue &
talker=$!
check "the guest ends by itself" await $boot_seconds has_ended $vm
[ "$failed" = 0 ] || kill $talker 2>/dev/null
wait $talker
for driver in rng blk console; do
	check "Linux's driver of virtio-$driver takes the device" says "driver virtio_$driver, "
done
check "it takes modern virtio, packed rings, indirect descriptors and event indexes" \
	says 'driver virtio_rng, features 0000000000000000000000000000110011101'
check "it has a message for each of them" says "interrupts by [1-9][0-9]* messages, 0 by line"
check "the random numbers feed /dev/hwrng" says "rng feeds"
check "the disk is as large as its file, with its serial number and queues" \
	says "disk has 32768 sectors, serial first, queues 2"
check "a file system holds what was written, mounted anew" says "disk keeps"
check "the host finds the same file in the image" host_has_file
check "a disk is readonly" says "second disk readonly 1"
check "and read as the host has it" says "second disk $(md5sum <disk2 | cut -d ' ' -f 1)"
check "the console takes a dialogue" says "console heard 'root'"
check "whose other end hears the answer" grep -q "^welcome root" dialogue
check "a driver that comes again finds the devices" says "rng again 64"
check "and their data" says "disk again $(md5sum <disk2 | cut -d ' ' -f 1)"
check "no driver was told to reset a device" says "needs reset: 0"
check "the server has complained of nothing" [ ! -s server.log ]
kill $server
check "and ends when told to" await 10 has_ended $server
if [ $failed != 0 ]; then
	for log in console qemu.log server.log dialogue; do
		echo "# the end of $log:"
		tail -n 40 $log | tr -d '\r' | sed 's/^/# /'
	done
fi
echo "1..$number"
exit $failed
