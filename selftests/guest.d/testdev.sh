# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash disable=SC2154 # variables of selftests/guest/host.sh
# Two testdevs, with 1 and with 4 vCPUs. docs/testdev.md says what they have.

# The guest's stores to BAR2 of the second one, all of them doorbells, have been: by eventfd, with no
# exit but for its loads, as the guest has counted them. QEMU sends messages.
the_server_heard_all_doorbells() {
	local bell=eventfd
	[ "$monitor" = fastpath-vmm ] || bell=message
	check_equal "the server has heard of 30,000 doorbells by $bell" \
		"$(counted testdev-2 "region 2 rings by $bell")" 30000
}

no_doorbell_left_the_guest() {
	local loads=$((told[id] + told[storm] + told[move]))
	[ "$monitor" = fastpath-vmm ] || return 0
	check "the guest has left for its $loads loads, and for none of 30,000 stores" grep -q \
		"2\.sock: BAR 2 .* by socket $loads reads, 0 writes; by ioeventfd 7 of 7 doorbells" vm.log
}

# QEMU raises the line again by itself when the guest has not lowered it.
interrupts_agree() {
	local kind held=0
	[ "$monitor" = fastpath-vmm ] || held=${told[held]}
	for kind in INTx MSI MSI-X; do
		[ $kind = INTx ] || held=0
		check_equal "the server has fired as many $kind as the guest has taken, ${told[$kind]}" \
			"$(counted testdev "irqs $kind")" $((told[$kind] - held))
	done
}

serve_testdevs() {
	serve testdev,socket=1.sock,id=1 testdev,socket=2.sock,id=2
}

# QEMU does not connect again: selftests/qemu.sh has what it does.
the_next_server_takes_over() {
	[ "$monitor" = fastpath-vmm ] || return 0
	kill_server
	guest 'checks gone 0'
	serve_testdevs
	guest 'checks back 0'
	check_equal "the next server has heard of 10,000 doorbells by eventfd" \
		"$(counted testdev 'region 2 rings by eventfd')" 10000
	guest 'checks msix 0'
	check_equal "and has fired as many MSI-X as the guest has taken" \
		"$(counted testdev 'irqs MSI-X')" "${told[MSI-X]}"
}

# with CPUS COMMAND...: those in a guest with as many vCPUs, and what is to be seen from both ends.
with() {
	serve_testdevs
	boot "$1" 1.sock 2.sock
	guest 'checks count 2' 'checks id 0' 'checks id 1' "${@:2}" 'checks storm 1' 'checks move 1' \
		'modules uio uio_pci_generic' 'checks intx 0' 'checks msi 0' 'checks msix 0'
	the_server_heard_all_doorbells
	interrupts_agree
	check "the server has refused nothing" no_refusals
	the_next_server_takes_over
	power_off
	no_doorbell_left_the_guest
	end_server
}

on_host() {
	with 1 'checks config 0' 'checks registers 0' 'checks doorbells 0' 'checks memory-tests 0' \
		'checks io-tests 0' 'checks dma 0'
	with 4
}
