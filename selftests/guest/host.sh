# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
#
# What the host's end of a test with a Linux guest is written in: a fastpathd, a monitor with its
# devices, and commands to the guest, each with a deadline. To be sourced by bash, with
#
#	build	where fastpathd and fastpath-vmm are
#	qemu	where .ci/qemu has put a kernel, and QEMU
#	parts	selftests/guest.d
#	ask	the program of selftests/guest/ask.c
#	initrd	what selftests/guest/initramfs makes
#	monitor	fastpath-vmm or qemu: who runs the guest
#
# in a directory for its sockets and logs. Sentences are lines of TAP.

: "${build:?}" "${qemu:?}" "${parts:?}" "${ask:?}" "${initrd:?}" "${monitor:?}"

boot_seconds=150 # on two busy cores that emulate a machine in a machine
answer_seconds=60 # more than any command of the guest's takes
server_seconds=20

number=0 failed=0
server='' vm='' status=0
declare -A told # what the guest told, by name

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

# check_equal SENTENCE SEEN EXPECTED
check_equal() {
	check "$1" [ "$2" = "$3" ]
	[ "$2" = "$3" ] || echo "# seen: '$2', expected: '$3'"
}

explain() {
	local log
	for log in console vm.log server.log; do
		[ -s "$log" ] || continue
		echo "# the end of $log:"
		tail -n 20 "$log" | tr -d '\r' | sed 's/^/# /'
	done
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

# await SECONDS COMMAND...: until it succeeds; false when the time is over.
await() {
	local deadline=$((SECONDS + $1))
	shift
	until "$@"; do
		[ $SECONDS -lt $deadline ] || return 1
		sleep 0.05
	done
}

# Where everything is that a test makes; to be called once. Leaves nothing behind.
begin() {
	temp=$(mktemp -d)
	trap clean_up EXIT
	trap 'exit 1' INT TERM
	cd "$temp" || exit 1
	mkfifo guest.in guest.out qmp.in qmp.out
	exec {to_guest}<>guest.in {from_guest}<>guest.out {to_qmp}<>qmp.in {from_qmp}<>qmp.out
}

clean_up() {
	[ -z "$vm" ] || kill -KILL "$vm" 2>/dev/null
	[ -z "$server" ] || kill -KILL "$server" 2>/dev/null
	wait 2>/dev/null
	cd /
	rm -rf "$temp"
}

# ---- the server ----

sockets_are_there() {
	local device
	kill -0 "$server" 2>/dev/null || return 0
	for device; do
		device=${device#*socket=}
		[ -S "${device%%,*}" ] || return 1
	done
}

# serve DEVICE...: a fastpathd with these ("testdev,socket=1.sock"), and a control socket, ctl.sock
serve() {
	local device options=()
	for device; do options+=(--device "$device"); done
	"$build/fastpathd" --log-level=info --control=ctl.sock "${options[@]}" 2>server.log &
	server=$!
	await $server_seconds sockets_are_there "$@" && kill -0 "$server" 2>/dev/null ||
		give_up "the server starts"
}

# no_refusals [PATTERN]: the server has complained of nothing, but for that.
no_refusals() {
	! grep -E 'warning|error' server.log | grep -Ev "${1:-^$}" | sed 's/^/# /' | grep .
}

kill_server() {
	kill -KILL "$server"
	wait "$server" 2>/dev/null
	server=
	rm -f ./*.sock
}

end_server() {
	kill "$server"
	if ended "$server" $server_seconds; then
		check_equal "the server ends well" "$status" 0
		server=
	else
		not_ok "the server ends when told to"
	fi
}

# counted DEVICE WHAT: what the server has counted of that, 0 if nothing; "irqs MSI-X", or another row
# of `fastpathctl stats`.
counted() {
	"$build/fastpathctl" stats ctl.sock "$1" |
		sed -nE "s/^  $2 +([0-9]+).*/\\1/p; \$ a 0" | head -n 1
}

# ---- the monitors: each with the devices in slots 3, 4 and so on ----

# On a busy host Linux finds that its clocks run badly, and may panic.
kernel_options="console=ttyS0 quiet panic=-1 mitigations=off nokaslr tsc=reliable no_timer_check"

vfio_user() {
	echo "{\"driver\":\"vfio-user-pci\",$1,\"socket\":{\"type\":\"unix\",\"path\":\"$2\"}}"
}

# start_qemu CPUS APPEND SOCKETS OPTIONS: the last two are names of arrays. QEMU's machine has a port
# to plug another device in.
start_qemu() {
	local -n sockets=$3 more=$4
	local socket slot=3 devices=()
	for socket in "${sockets[@]}"; do
		devices+=(-device "$(vfio_user "\"addr\":\"$slot\"" "$socket")")
		slot=$((slot + 1))
	done
	"$qemu/qemu-system-x86_64" -accel tcg -machine q35,memory-backend=ram -m 256M -smp "$1" \
		-object memory-backend-memfd,id=ram,size=256M,share=on \
		-nodefaults -display none -no-reboot "${more[@]}" "${devices[@]}" \
		-device pcie-root-port,id=spare,chassis=1,addr=10 \
		-serial file:console -serial pipe:guest -qmp pipe:qmp \
		-kernel "$qemu/vmlinuz" -initrd "$initrd" \
		-append "$kernel_options tty=ttyS1 $2" 2>vm.log &
	vm=$!
}

# Its one serial port is the console, too. What left the guest, and why, is at the end of vm.log.
start_fastpath_vmm() {
	local -n sockets=$3 more=$4
	local socket slot=3 devices=()
	for socket in "${sockets[@]}"; do
		devices+=(--device "vfio-user,slot=$slot,socket=$socket")
		slot=$((slot + 1))
	done
	"$build/fastpath-vmm" --kernel "$qemu/vmlinuz" --initrd "$initrd" --cpus "$1" --memory 256 \
		"${devices[@]}" "${more[@]}" --stats --append "$kernel_options $2" \
		<guest.in >guest.out 2>vm.log &
	vm=$!
}

# boot CPUS SOCKET... [-- OPTIONS...]: a guest with those devices, and options for this monitor; with
# $append to its command line.
boot() {
	local cpus=$1 given=() options=()
	shift
	while [ $# -gt 0 ] && [ "$1" != -- ]; do given+=("$1") && shift; done
	[ $# = 0 ] || options=("${@:2}")
	rm -f console
	"start_${monitor//-/_}" "$cpus" "part=${part:-} ${append:-}" given options
	await_end $boot_seconds || give_up "the guest is up within $boot_seconds s"
	ok "$monitor attaches the devices, and its guest boots with $cpus vCPUs"
}

# next_line FD DEADLINE: into $line; false when the monitor is gone or the time has come.
next_line() {
	local part
	line=
	while [ $SECONDS -lt "$2" ]; do
		if IFS= read -t 1 -r part <&"$1"; then
			line+=$part
			line=${line%$'\r'}
			return
		fi
		line+=$part # as much of it as has come
		kill -0 "$vm" 2>/dev/null || return 1
	done
	return 1
}

# Passes on what the guest says, with numbers, until it has said all.
await_end() {
	local line name value deadline=$((SECONDS + $1))
	while next_line "$from_guest" $deadline; do
		case $line in
		end) return ;;
		'ok - '*) ok "${line#ok - }" ;;
		'not ok - '*) not_ok "${line#not ok - }" ;;
		'told '*) read -r _ name value <<<"$line" && told[$name]=$value ;;
		*) echo "# ${line#\# }" ;;
		esac
	done
	return 1
}

# guest COMMAND...: one after the other, in the guest.
guest() {
	local command
	for command; do
		echo "# guest, after $SECONDS s: $command"
		echo "$command" >&"$to_guest"
		await_end $answer_seconds || give_up "the guest answers to '$command'"
	done
}

power_off() {
	echo "poweroff -f" >&"$to_guest"
	if ended "$vm" $answer_seconds; then
		check "the guest powers off, and $monitor ends well" [ "$status" = 0 ]
		vm=
	else
		give_up "the guest powers off"
	fi
}

# ---- the devices ----

# Everything in selftests/guest.d/: each file's on_host().
all_parts() {
	local file
	for file in "$parts"/*.sh; do
		part=$(basename "$file" .sh)
		echo "# $part in a guest of $monitor"
		# shellcheck source=/dev/null
		. "$file"
		on_host
		[ -z "$server" ] || end_server
		rm -f ./*.sock
	done
	part=
}

the_end() {
	[ $failed = 0 ] || explain
	echo "1..$number"
	exit $failed
}
