/* SPDX-License-Identifier: BSD-3-Clause */
#include "checks.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "testdev.h"

/* The one who waits for the answer has a deadline, too. */
#define SECONDS 30
#define AWAIT_SECONDS 20

static const struct check {
	const char *name;
	check_fn *run;
	bool is_puppet; /* whose it is: else testdev's */
} checks[] = {
	{ "config", check_config, false },
	{ "id", check_id, false },
	{ "registers", check_registers, false },
	{ "doorbells", check_doorbells, false },
	{ "storm", check_storm, false },
	{ "move", check_move, false },
	{ "memory-tests", check_memory_tests, false },
	{ "io-tests", check_io_tests, false },
	{ "dma", check_dma, false },
	{ "intx", check_intx, false },
	{ "msi", check_msi, false },
	{ "msix", check_msix, false },
	{ "vfio", check_vfio, false },
	{ "gone", check_gone, false },
	{ "back", check_back, false },
	{ "puppet", check_puppet, true },
	{ "puppet-config", check_puppet_config, true },
	{ "puppet-msix", check_puppet_msix, true },
};

bool expect(bool good, const char *format, ...)
{
	va_list args;

	printf(good ? "ok - " : "not ok - ");
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
	return good;
}

bool expect_equal(uint64_t seen, uint64_t expected, const char *text)
{
	expect(seen == expected, "%s", text);
	if (seen != expected)
		printf("# seen: %#llx, expected: %#llx\n", (unsigned long long)seen,
		       (unsigned long long)expected);
	return seen == expected;
}

void fail(const char *what)
{
	expect(false, "%s: %s", what, strerror(errno));
	exit(0);
}

void tell(const char *name, uint64_t value)
{
	printf("told %s %llu\n", name, (unsigned long long)value);
}

/* Linux takes its time over what comes later. */
static bool await_count(unsigned int n)
{
	for (unsigned int i = 0; i < AWAIT_SECONDS * 10; i++) {
		if (pci_count() == n)
			return true;
		usleep(100000);
	}
	return false;
}

/* False when there is no such check. */
static bool run(const char *name, unsigned int nth)
{
	struct pci pci;

	for (size_t i = 0; i < sizeof(checks) / sizeof(*checks); i++) {
		if (strcmp(checks[i].name, name) != 0)
			continue;
		pci_open(&pci, checks[i].is_puppet ? PUPPET_DEVICE : TESTDEV_DEVICE, nth);
		checks[i].run(&pci);
		return true;
	}
	return false;
}

int main(int argc, char **argv)
{
	unsigned int n;

	setlinebuf(stdout);
	if (argc != 3) {
		fprintf(stderr, "usage: checks NAME NUMBER\n");
		return 1;
	}
	alarm(SECONDS);
	n = (unsigned int)strtoul(argv[2], NULL, 10);
	if (!strcmp(argv[1], "count"))
		expect_equal(pci_count(), n, "the guest finds as many devices as it has");
	else if (!strcmp(argv[1], "await"))
		expect(await_count(n), "a device that is plugged in is found");
	else if (!run(argv[1], n))
		expect(false, "there are checks called '%s'", argv[1]);
	return 0;
}
