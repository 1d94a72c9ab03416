# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash disable=SC2154 # variables of selftests/guest/host.sh
# A puppet of puppet.json: areas of memory, I/O space, and somebody at its control socket.

# What the guest stored at 0x8800 in BAR0, which is mapped.
has_pattern() {
	"$ask" c.sock '{"do":"read","region":"bar0","offset":"0x8800","len":8}' |
		grep -q '"bytes":"0807060504030201"'
}

on_host() {
	local waiting
	serve "puppet,socket=p.sock,shape=$parts/puppet.json,control=c.sock"
	boot 1 p.sock
	guest 'checks puppet-config 0' 'checks puppet 0'
	check "what it stored in an area is there at the other end" has_pattern
	"$ask" c.sock '{"do":"await","doorbell":"kick","timeout_ms":30000}' \
		'{"do":"trigger","irq":"msix","number":1}' >waited &
	waiting=$!
	guest 'checks puppet-msix 0'
	wait $waiting
	check_equal "the puppet heard the kick and fired" "$(grep -c '"ok":true' waited)" 2
	check_equal "the server has fired as many as the guest has taken" \
		"$(counted puppet 'irqs MSI-X')" "${told[msix]}"
	check "the server has refused nothing" no_refusals
	power_off
}
