#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# What the fuzz targets (see the Makefile, "fuzzing") have as seeds, and what was once trouble, does
# no harm. Where clang's libFuzzer has been used before it looks for more for a few seconds.
set -u

top=$(realpath "$(dirname "$0")/..")
build=${FASTPATH_BUILD:-$top/build}
cd "$top" || exit

number=0 failed=0
temp=$(mktemp -d)
log=$temp/log
trap 'rm -rf "$temp"' EXIT

result() {
	local status=$1
	shift
	number=$((number + 1))
	if [ "$status" = 0 ]; then
		echo "ok $number - $*"
	else
		failed=1
		echo "not ok $number - $*"
		tail -n 40 "$log" | sed 's/^/# /'
	fi
}

targets=()
for source in selftests/fuzz/*.c; do
	targets+=("$(basename "$source" .c)")
done

for target in "${targets[@]}"; do
	for kind in corpus regressions; do
		[ -d "build/fuzz-seeds/$kind/$target" ] || continue
		timeout -k 5 60 "$build/selftests/fuzz/$target" \
			"build/fuzz-seeds/$kind/$target" >"$log" 2>&1
		result $? "$target: its $kind do no harm ($(tail -n 1 "$log"))"
	done
done

why=
[ -z "${SAN:-}" ] || why='the sanitizers are busy'
[ -n "$why" ] || [ -e build/fuzz/selftests/fuzz/session ] || why='make fuzz has not been used here'
[ -n "$why" ] || make -q CC=clang B=build/fuzz SAN=fuzzer-no-link,address,undefined \
	fuzz-programs >"$log" 2>&1 || why='build/fuzz is older than its sources: make fuzz'
if [ -n "$why" ]; then
	number=$((number + 1))
	echo "ok $number - new inputs do no harm # SKIP $why"
else
	for target in "${targets[@]}"; do
		build/fuzz/selftests/fuzz/"$target" -runs=2000 -max_total_time=1 -timeout=10 \
			-artifact_prefix="build/fuzz/$target-" \
			"$(mktemp -d "$temp/XXX")" "build/fuzz-seeds/corpus/$target" >"$log" 2>&1
		result $? "$target: new inputs do no harm"
	done
fi
echo "1..$number"
exit $failed
