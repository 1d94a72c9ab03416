#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# QEMU's vfio-user client attaches our devices, and a Linux guest in it uses them: what the guest
# checks is in selftests/qemu/. It runs under TCG; neither KVM nor root is needed. QEMU, the guest's
# kernel and its busybox are what .ci/qemu unpacked.
set -u

top=$(realpath "$(dirname "$0")/..")
build=${FASTPATH_BUILD:-$top/build}
qemu=$top/build/qemu
boot_seconds=60
answer_seconds=40 # more than the guest gives a command

number=0 failed=0
server='' vm=''

ok() {
	number=$((number + 1))
	echo "ok $number - $*"
}

not_ok() {
	number=$((number + 1)) failed=1
	echo "not ok $number - $*"
}

# check SENTENCE COMMAND...: the sentence is true if the command succeeds.
check() {
	local sentence=$1
	shift
	if "$@"; then ok "$sentence"; else not_ok "$sentence"; fi
}

explain() {
	local log
	for log in console qemu.log server.log; do
		[ -s "$log" ] || continue
		echo "# the end of $log:"
		tail -n 20 "$log" | tr -d '\r' | sed 's/^/# /'
	done
}

clean_up() {
	[ -z "$vm" ] || kill -KILL "$vm" 2>/dev/null
	[ -z "$server" ] || kill -KILL "$server" 2>/dev/null
	wait 2>/dev/null
	cd /
	rm -rf "$temp"
}

give_up() {
	not_ok "$*"
	explain
	echo "1..$number"
	exit 1
}

# ended PID SECONDS: its status in $status; false if it is still there then.
ended() {
	local deadline=$((SECONDS + $2))
	while kill -0 "$1" 2>/dev/null; do
		[ $SECONDS -lt $deadline ] || return 1
		sleep 0.1 # there is no wait with a deadline
	done
	wait "$1"
	status=$?
}

# ---- the server ----

# With ids from 1 on: the third one is for the device that is plugged in later.
start_server() {
	local deadline=$((SECONDS + 10))
	"$build/fastpathd" --log-level=info --device testdev,socket=1.sock,id=1 \
		--device testdev,socket=2.sock,id=2 --device testdev,socket=3.sock,id=3 \
		--device "puppet,socket=p.sock,shape=$top/selftests/qemu/puppet.json,control=c.sock" \
		2>server.log &
	server=$!
	until [ -S 1.sock ] && [ -S 2.sock ] && [ -S 3.sock ] && [ -S p.sock ]; do
		if ! kill -0 $server 2>/dev/null || [ $SECONDS -ge $deadline ]; then
			give_up "the server starts"
		fi
		sleep 0.05
	done
}

# puppet REQUEST...: one after the other, by its control socket; prints the replies.
puppet() {
	perl -MIO::Socket::UNIX -e '$puppet = IO::Socket::UNIX->new(Peer => shift) or die;
		for (@ARGV) { $puppet->print("$_\n"); print scalar <$puppet>; }' c.sock "$@"
}

kill_server() {
	kill -KILL "$server"
	wait "$server" 2>/dev/null
	server=
	rm -f ./?.sock
}

# ---- the machine ----

vfio_user() {
	echo "{\"driver\":\"vfio-user-pci\",$1,\"socket\":{\"type\":\"unix\",\"path\":\"$2\"}}"
}

# start_vm KERNEL-OPTIONS [QEMU-OPTIONS...]: with the first two testdevs, the puppet, and a port to
# plug another one in.
# On a busy host Linux finds that its clocks run badly, and may panic.
start_vm() {
	local append="console=ttyS0 panic=-1 mitigations=off tsc=reliable no_timer_check $1"
	shift
	rm -f console
	"$qemu/qemu-system-x86_64" -accel tcg -machine q35,memory-backend=ram -m 256M \
		-object memory-backend-memfd,id=ram,size=256M,share=on \
		-nodefaults -display none -no-reboot "$@" \
		-device "$(vfio_user '"addr":"3"' 1.sock)" -device "$(vfio_user '"addr":"4"' 2.sock)" \
		-device pcie-root-port,id=spare,chassis=1,addr=5 \
		-device "$(vfio_user '"addr":"6"' p.sock)" \
		-serial file:console -serial pipe:guest -qmp pipe:qmp \
		-kernel "$qemu/vmlinuz" -initrd initramfs \
		-append "$append" \
		2>qemu.log &
	vm=$!
	await_end $boot_seconds || give_up "the guest is up within $boot_seconds s"
	ok "QEMU attaches the devices, and its guest boots"
}

# next_line FD DEADLINE: into $line; false when QEMU is gone or the time has come.
next_line() {
	local part
	line=
	while kill -0 "$vm" 2>/dev/null && [ $SECONDS -lt "$2" ]; do
		if IFS= read -t 1 -r part <&"$1"; then
			line+=$part
			return
		fi
		line+=$part # as much of it as has come
	done
	return 1
}

# Passes on what the guest says, with numbers, until it has said all.
await_end() {
	local line deadline=$((SECONDS + $1))
	while next_line "$from_guest" $deadline; do
		case $line in
		end) return ;;
		ok*) ok "${line#ok - }" ;;
		not*) not_ok "${line#not ok - }" ;;
		*) echo "$line" ;;
		esac
	done
	return 1
}

# Commands of selftests/qemu/guest.c.
guest() {
	local command
	for command; do
		echo "# guest: $command"
		echo "$command" >&"$to_guest"
		await_end $answer_seconds || give_up "the guest answers to '$command'"
	done
}

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

power_off() {
	echo bye >&"$to_guest"
	if ended "$vm" $answer_seconds; then
		check "the guest powers off, and QEMU ends well" [ "$status" = 0 ]
		vm=
	else
		give_up "the guest powers off"
	fi
}

# ---- what is tested ----

# no_refusals [PATTERN]: the server has complained of nothing, but for that.
no_refusals() {
	! grep -E 'warning|error' server.log | grep -Ev "${1:-^$}" | sed 's/^/# /' | grep .
}

# What the guest stored at 0x8800 in BAR0, which is mapped.
has_pattern() {
	puppet '{"do":"read","region":"bar0","offset":"0x8800","len":8}' |
		grep -q '"bytes":"0807060504030201"'
}

a_guest_uses_the_puppet() {
	local waiting
	guest 'puppet 0'
	check "what it stored in an area is there at the other end" has_pattern
	puppet '{"do":"await","doorbell":"kick","timeout_ms":30000}' \
		'{"do":"trigger","irq":"msix","number":1}' >waited &
	waiting=$!
	guest 'puppet-msix 0'
	wait $waiting
	check "the puppet heard the kick and fired" [ "$(grep -c '"ok":true' waited)" = 2 ]
}

a_guest_uses_the_devices() {
	start_server
	start_vm ''
	guest 'count 2' 'config 0' 'id 0' 'id 1' 'registers 0' 'registers 1' 'doorbells 0' \
		'memory-tests 0' 'io-tests 0' 'dma 0' 'msix 0' 'msix 1'
	a_guest_uses_the_puppet
	check "the server has refused nothing" no_refusals
}

# An access before that has been seen to end it: docs/peers.md.
await_eof() {
	local deadline=$((SECONDS + 10))
	until [ "$(grep -c 'failed to read header: EOF' qemu.log)" = 3 ]; do
		[ $SECONDS -lt $deadline ] || return 1
		sleep 0.05
	done
}

the_server_dies() {
	kill_server
	check "QEMU notices, for each of its devices" await_eof
	guest 'gone 0' 'gone 1'
	start_server
	guest 'gone 0'
	check "a device of the next server is plugged in" plug_in
	guest 'await 3' 'id 2' 'config 2' 'registers 2' 'doorbells 2' 'io-tests 2' 'dma 2' 'msix 2'
	power_off
}

the_next_client_has_a_driver_and_an_iommu() {
	start_vm 'intel_iommu=on iommu=pt' -device intel-iommu,caching-mode=on
	guest 'count 2' 'registers 0' 'dma 0' 'msix 0' 'vfio 0' 'vfio 1'
	power_off
	# QEMU unmaps whole address spaces, whether or not anything is mapped.
	check "the server has refused nothing but unmapping what is not mapped" \
		no_refusals 'DMA_UNMAP.*No such file|further refusals'
	kill "$server"
	if ended "$server" 10; then
		check "the server ends well" [ "$status" = 0 ]
		server=
	else
		not_ok "the server ends when told to"
	fi
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
"$top/selftests/qemu/initramfs" "$qemu" "$build/qemu-guest" >initramfs || give_up "an initramfs"
mkfifo guest.in guest.out qmp.in qmp.out
exec {to_guest}<>guest.in {from_guest}<>guest.out {to_qmp}<>qmp.in {from_qmp}<>qmp.out

a_guest_uses_the_devices
the_server_dies
the_next_client_has_a_driver_and_an_iommu

[ $failed = 0 ] || explain
echo "1..$number"
exit $failed
