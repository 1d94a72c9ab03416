/* SPDX-License-Identifier: BSD-3-Clause */
#include "console.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <termios.h>
#include <unistd.h>

#include "cleanup.h"
#include "log.h"
#include "serial.h"

#define CTRL_A 1

struct console {
	struct machine *machine;
	struct crew *crew;
	struct serial *serial;
	struct termios before; /* the terminal, */
	bool is_raw;	       /* if it was changed */
	bool deaf;	       /* nobody reads the output any more */
	bool reads;	       /* there is a reader */
	pthread_t reader;
	int stop_fd;  /* an eventfd that ends the reader */
	bool escaped; /* the last key was Ctrl-a */
};

/* ---- out ---- */

static void await_room(void)
{
	struct pollfd out = { .fd = STDOUT_FILENO, .events = POLLOUT };

	poll(&out, 1, -1);
}

static void send(void *opaque, uint8_t byte)
{
	struct console *console = opaque;

	while (!console->deaf && write(STDOUT_FILENO, &byte, 1) != 1) {
		/* A terminal that others have made non-blocking. */
		if (errno == EAGAIN)
			await_room();
		/* Nobody is there: the guest need not care. A signal may be the end: a byte is lost. */
		else if (errno != EINTR)
			console->deaf = true;
	}
}

static void interrupt(void *opaque, bool high)
{
	const struct console *console = opaque;

	vm_set_irq(console->machine->vm, CONSOLE_GSI, high);
}

/* ---- in ---- */

/* Whether a key is for the guest. */
static bool take_key(struct console *console, uint8_t key)
{
	bool escaped = console->escaped;

	console->escaped = key == CTRL_A && !escaped;
	if (escaped && key == 'x')
		crew_end(console->crew);
	return !console->escaped && (!escaped || key == CTRL_A);
}

static void take_keys(struct console *console, const uint8_t *keys, size_t nr)
{
	for (size_t i = 0; i < nr; i++)
		if (take_key(console, keys[i]))
			serial_receive(console->serial, &keys[i], 1);
}

static void *read_keys(void *opaque)
{
	struct console *console = opaque;
	struct pollfd fds[] = {
		{ .fd = STDIN_FILENO, .events = POLLIN },
		{ .fd = console->stop_fd, .events = POLLIN },
	};
	uint8_t keys[64];
	ssize_t n = 1;

	while (n) {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			break;
		if (fds[1].revents)
			break;
		n = read(STDIN_FILENO, keys, sizeof(keys));
		if (n > 0)
			take_keys(console, keys, (size_t)n);
		else if (n < 0 && errno != EINTR && errno != EAGAIN)
			break;
	}
	return NULL;
}

static int start_reader(struct console *console)
{
	sigset_t all, before;
	int ret;

	console->stop_fd = eventfd(0, EFD_CLOEXEC);
	if (console->stop_fd < 0)
		return -errno;
	sigfillset(&all);
	sigdelset(&all, SIGSYS); /* of the sandbox: what blocks it is killed by it */
	pthread_sigmask(SIG_BLOCK, &all, &before);
	ret = pthread_create(&console->reader, NULL, read_keys, console);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	console->reads = !ret;
	return -ret;
}

static void stop_reader(struct console *console)
{
	uint64_t one = 1;

	if (!console->reads)
		return;
	serial_hang_up(console->serial);
	if (write(console->stop_fd, &one, sizeof(one)) == sizeof(one))
		pthread_join(console->reader, NULL);
}

/* ---- the terminal ---- */

/* Only in the foreground: another job's terminal is not ours, and to touch it stops us. */
static void make_raw(struct console *console)
{
	struct termios raw;

	if (tcgetpgrp(STDIN_FILENO) != getpgrp() || tcgetattr(STDIN_FILENO, &console->before))
		return;
	raw = console->before;
	raw.c_iflag &= (tcflag_t) ~(BRKINT | ICRNL | IGNCR | INLCR | INPCK | ISTRIP | IXON);
	raw.c_lflag &= (tcflag_t) ~(ECHO | ICANON | IEXTEN | ISIG);
	/* The output's settings stay: what this program says itself has bare newlines. */
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	console->is_raw = !tcsetattr(STDIN_FILENO, TCSANOW, &raw);
}

static void restore(const struct console *console)
{
	if (console->is_raw)
		tcsetattr(STDIN_FILENO, TCSANOW, &console->before);
}

/* ---- life ---- */

int console_open(struct machine *machine, struct crew *crew, struct console **out)
{
	struct console *console = malloc(sizeof(*console));
	struct serial_end end = { .send = send, .interrupt = interrupt, .opaque = console };
	int ret;

	if (!console)
		return -ENOMEM;
	*console = (struct console){ .machine = machine, .crew = crew, .stop_fd = -1 };
	/* A reader of the output that goes is no reason to end. */
	signal(SIGPIPE, SIG_IGN);
	ret = serial_open(machine->bus, CONSOLE_PORT, &end, &console->serial);
	if (!ret) {
		make_raw(console);
		ret = start_reader(console);
	}
	if (ret) {
		log_error("the serial console: %s", strerror(-ret));
		console_close(console);
		return ret;
	}
	*out = console;
	return 0;
}

void console_close(struct console *console)
{
	if (!console)
		return;
	stop_reader(console);
	restore(console);
	serial_close(console->serial);
	cleanup_close(&console->stop_fd);
	free(console);
}
