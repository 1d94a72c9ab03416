#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# What looks on from outside finds what the documents promise: probes in the program, with as many
# arguments as docs/observing.md says, and scripts that use those and no others.
set -u

top=$(realpath "$(dirname "$0")/..")
build=${FASTPATH_BUILD:-$top/build}
temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT
number=0

result() {
	local status=$1
	shift
	number=$((number + 1))
	if [ "$status" = 0 ]; then
		echo "ok $number - $*"
	else
		echo "not ok $number - $*"
		tail -n 20 "$temp/log" | sed 's/^/# /'
	fi
}

if ! echo '#include <sys/sdt.h>' | cc -E - >/dev/null 2>&1; then
	echo '1..0 # SKIP no <sys/sdt.h>: the programs are built without probes'
	exit
fi

# NAME ARGUMENTS of each probe of the program, once.
readelf -n "$build/fastpathd" | awk '
	$1 == "Provider:" { ours = $2 == "fastpath" }
	$1 == "Name:" { name = $2 }
	$1 == "Arguments:" && ours { print name, NF - 1 }' | sort -u >"$temp/there"

# Of the table in the document: | `name` | argument, argument |
awk -F'|' '/^## / { ours = /Probes/ } ours && /^\| `[a-z_]+` \|/ { gsub(/[` ]/, "", $2); print $2, split($3, a, ",") }' \
	"$top/docs/observing.md" | sort -u >"$temp/told"

[ -s "$temp/told" ] && diff "$temp/told" "$temp/there" >"$temp/log"
result $? 'the program has the probes that the document has, with as many arguments'

for script in "$top"/docs/bpftrace/*.bt; do
	name=$(basename "$script")
	bad=0
	: >"$temp/log"
	for probe in $(sed -n 's/^usdt:.*:fastpath:\([a-z_]*\)$/\1/p' "$script"); do
		grep -q "^$probe " "$temp/there" || { echo "no probe $probe" >>"$temp/log" && bad=1; }
	done
	grep -q '^usdt:' "$script" || bad=1
	result $bad "$name looks at probes that there are"
	awk -v there="$temp/there" '
		BEGIN { while ((getline line <there) > 0) { split(line, f, " "); nr[f[1]] = f[2] } }
		/^usdt:/ { n = split($0, f, ":"); probe = f[n] }
		/^}/ { probe = "" }
		probe != "" {
			rest = $0
			while (match(rest, /arg[0-9]+/)) {
				if (substr(rest, RSTART + 3, RLENGTH - 3) + 0 >= nr[probe]) {
					print probe ": " $0
					bad = 1
				}
				rest = substr(rest, RSTART + RLENGTH)
			}
		}
		END { exit bad }' "$script" >"$temp/log"
	result $? "$name uses arguments that these have"
done

echo "1..$number"
