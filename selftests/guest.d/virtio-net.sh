# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash disable=SC2154 # variables of selftests/guest/host.sh
# A network card at a TAP, on a bridge, in a network namespace of the server's: takes root.

# ---- in the guest ----

network() {
	modules failover net_failover virtio virtio_ring virtio_pci_modern_dev virtio_pci_legacy_dev \
		virtio_pci virtio_net
	check "it has the address that it was given" [ "$(cat /sys/class/net/eth0/address)" = 52:54:00:12:34:56 ]
	check "and the host's MTU" [ "$(cat /sys/class/net/eth0/mtu)" = 1400 ]
	ip addr add 10.9.8.2/24 dev eth0
	ip link set eth0 up
	check "the host answers" ping -c 3 -W 5 10.9.8.1
}

receives() {
	sum=$(nc 10.9.8.1 5000 | md5sum)
	echo "told received ${sum%% *}"
}

sends() {
	dd if=/dev/urandom of=/sent bs=1M count=16 2>/dev/null
	sum=$(md5sum </sent)
	echo "told sent ${sum%% *}"
	nc 10.9.8.1 5001 </sent
	rm /sent
}

link_is() {
	tries=0
	until [ "$(cat /sys/class/net/eth0/carrier)" = "$1" ] || [ $tries = 100 ]; do
		tries=$((tries + 1))
		sleep 0.1
	done
	check "the guest sees the carrier as $1" [ $tries -lt 100 ]
}

# ---- on the host ----

inside() {
	nsenter -t "$server" -n "$@"
}

serve_network() {
	unshare -n "$build/fastpathd" --log-level=info --control=ctl.sock --device "$1" 2>server.log &
	server=$!
	await $server_seconds sockets_are_there "$1" && kill -0 "$server" 2>/dev/null ||
		give_up "the server starts"
}

sum_of_file() {
	local sum
	sum=$(md5sum <"$1")
	echo "${sum%% *}"
}

# The machine in QEMU that runs fastpath-vmm has no TAPs.
can_be_had() {
	[ -w /dev/net/tun ] && unshare -n true 2>/dev/null && nsenter --help >/dev/null 2>&1
}

on_host() {
	local peer
	if ! can_be_had; then
		ok "virtio-net # SKIP no /dev/net/tun, or no network namespace: it takes root"
		return
	fi
	serve_network "virtio-net,tap=fp-tap,bridge=fp-br,create-bridge=on,address=10.9.8.1/24,mtu=1400,mac=52:54:00:12:34:56,queues=2,socket=net.sock"
	boot 2 net.sock
	guest network
	head -c 100M /dev/urandom >file
	inside "$qemu/busybox" nc -l -p 5000 -e cat file &
	peer=$!
	guest receives
	wait $peer
	check_equal "the guest receives 100 MB as they were sent" "${told[received]}" "$(sum_of_file file)"
	inside "$qemu/busybox" nc -l -p 5001 -e sh -c 'cat >file' &
	peer=$!
	guest sends
	wait $peer
	check_equal "the host receives 16 MB as they were sent" "$(sum_of_file file)" "${told[sent]}"
	inside ip link set fp-tap down
	guest 'link_is 0'
	inside ip link set fp-tap up
	guest 'link_is 1' 'check "the host answers again" ping -c 3 -W 5 10.9.8.1'
	check "the server has refused nothing" no_refusals
	power_off
	rm -f file
}
