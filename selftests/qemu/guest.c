/* SPDX-License-Identifier: BSD-3-Clause */
#include "guest.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "testdev.h"

/* Of one command; the one who waits for the answer has a deadline too. */
#define COMMAND_SECONDS 30
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
	{ "memory-tests", check_memory_tests, false },
	{ "io-tests", check_io_tests, false },
	{ "dma", check_dma, false },
	{ "msix", check_msix, false },
	{ "vfio", check_vfio, false },
	{ "gone", check_gone, false },
	{ "puppet", check_puppet, true },
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

static void run(const struct check *check, unsigned int nth)
{
	struct pci pci;

	alarm(COMMAND_SECONDS);
	pci_open(&pci, check->is_puppet ? PUPPET_DEVICE : TESTDEV_DEVICE, nth);
	check->run(&pci);
	exit(0);
}

/* In a process of its own: what it maps, locks, and does to itself ends with it. */
static void command(const char *name, unsigned int nth)
{
	int status = 0;
	pid_t child;

	for (size_t i = 0; i < sizeof(checks) / sizeof(*checks); i++) {
		if (strcmp(checks[i].name, name) != 0)
			continue;
		child = fork();
		if (!child)
			run(&checks[i], nth);
		if (child < 0 || waitpid(child, &status, 0) < 0)
			expect(false, "%s: %s", name, strerror(errno));
		else if (status)
			expect(false, "%s ended with status %#x", name, (unsigned int)status);
		return;
	}
	expect(false, "there are checks called '%s'", name);
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

/* False when that is no command. */
static bool obey(const char *name, const char *number)
{
	unsigned int n;

	if (!name || !number)
		return false;
	n = (unsigned int)strtoul(number, NULL, 10);
	if (!strcmp(name, "count"))
		expect_equal(pci_count(), n, "the guest finds as many devices as it has");
	else if (!strcmp(name, "await"))
		expect(await_count(n), "a device that is plugged in is found");
	else
		command(name, n);
	return true;
}

int main(void)
{
	char line[80], *name;

	setlinebuf(stdout);
	puts("end");
	while (fgets(line, sizeof(line), stdin)) {
		name = strtok(line, " \n");
		if (!obey(name, strtok(NULL, " \n")))
			break;
		puts("end");
	}
	return 0;
}
