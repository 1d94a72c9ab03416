/* SPDX-License-Identifier: BSD-3-Clause */
#include "served.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "server.h"

static void __attribute__((noreturn)) serve(const char *path, int ready)
{
	const struct server_device device = {
		.class_ = device_class("testdev"),
		.socket = path,
		.fd = -1,
	};
	struct server *server;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (server_open((struct ring_wait){ 0 }, &server) || server_add(server, &device) ||
	    write(ready, "", 1) != 1)
		_exit(1);
	_exit(server_run(server) ? 1 : 0);
}

void served_start(struct served *served)
{
	int ready[2];
	char byte;

	snprintf(served->dir, sizeof(served->dir), "/tmp/fastpath-test-XXXXXX");
	if (!mkdtemp(served->dir) || pipe(ready))
		abort();
	snprintf(served->path, sizeof(served->path), "%s/socket", served->dir);
	served->pid = fork();
	if (served->pid < 0)
		abort();
	if (!served->pid)
		serve(served->path, ready[1]);
	close(ready[1]);
	if (read(ready[0], &byte, 1) != 1)
		abort();
	close(ready[0]);
}

void served_stop(struct served *served)
{
	if (!served->pid)
		return;
	kill(served->pid, SIGKILL);
	waitpid(served->pid, NULL, 0);
	unlink(served->path);
	rmdir(served->dir);
}
