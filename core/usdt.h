/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * usdt: places at which bpftrace and perf may look in, docs/observing.md has them all. One at which
 * nobody looks is a nop, and what it tells has to be at hand anyway: six things at most, as bpftrace
 * reads no more. Nothing at all where <sys/sdt.h> is not.
 */
#ifndef FASTPATH_USDT_H
#define FASTPATH_USDT_H

#if __has_include(<sys/sdt.h>) && !defined(FASTPATH_NO_USDT)
#define SDT_USE_VARIADIC 1
#include <sys/sdt.h>
#define USDT(name, ...) STAP_PROBEV(fastpath, name, __VA_ARGS__)
#else
int usdt_nothing(const char *first, ...); /* is never called, and nowhere */
#define USDT(name, ...) ((void)sizeof(usdt_nothing("", __VA_ARGS__)))
#endif

#endif
