#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# The first steps of `make soak`, with a seed of today.
build=${FASTPATH_BUILD:-$(dirname "$0")/../build}
said=$(FASTPATH_BUILD=$build "$build/selftests/soak" --steps 4000 --actors 2 2>&1)
status=$?
sed 's/^/# /' <<<"$said"
[ $status = 0 ] || echo -n 'not '
echo 'ok 1 - devices that are used, moved, reset and killed at random are what a model says'
echo 1..1
