/* SPDX-License-Identifier: BSD-3-Clause */
/* ask SOCKET LINE...: sends each line to a UNIX socket, and prints the line that answers it. */
#include <stdio.h>
#include <unistd.h>

#include "socket.h"

/* Of an answer; an await of a device's may take that long. */
#define SECONDS 60

static bool pass_answer(int fd)
{
	char c = '\0';

	while (c != '\n') {
		if (read(fd, &c, 1) != 1)
			return false;
		putchar(c);
	}
	return true;
}

int main(int argc, char **argv)
{
	int fd = argc > 2 ? socket_connect(argv[1]) : -1;

	if (fd < 0) {
		fprintf(stderr, "usage: ask SOCKET LINE..., of a socket where somebody listens\n");
		return 1;
	}
	alarm(SECONDS);
	for (int i = 2; i < argc; i++)
		if (dprintf(fd, "%s\n", argv[i]) < 0 || !pass_answer(fd))
			return 1;
	return 0;
}
