#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# What is true of the protocol's messages does not depend on what carries them: these programs
# again, over tcp. Their tests of fds are skipped.
build=${FASTPATH_BUILD:-$(dirname "$0")/../build}
programs='commands stream in_flight feature pci'

export FASTPATH_TEST_TRANSPORT=tcp
number=0
for program in $programs; do
	# What it says is no result of this script's.
	said=$("$build/selftests/$program" 2>&1 | sed 's/^/# /'; exit "${PIPESTATUS[0]}")
	status=$?
	number=$((number + 1))
	if [ $status -eq 0 ]; then
		echo "ok $number - $program, over tcp"
	else
		echo "$said"
		echo "not ok $number - $program, over tcp"
	fi
done
echo "1..$number"
