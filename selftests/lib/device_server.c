/* SPDX-License-Identifier: BSD-3-Clause */
#include "device_server.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fastpath-client.h"
#include "fastpath.h"
#include "program.h"
#include "socket.h"

#define TIMEOUT_MS 10000

static void __attribute__((noreturn)) serve(const char *device, const char *path)
{
	char option[1024];
	char *argv[] = { (char *)"fastpathd", (char *)"--device", option,
			 (char *)(program_without_sandbox() ? "--sandbox=off" : "--sandbox=on"),
			 NULL };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* What it complains of is what these tests do wrong to it. */
	if (!getenv("FASTPATH_TEST_LOG") && !freopen("/dev/null", "w", stderr))
		abort();
	snprintf(option, sizeof(option), "%s,socket=%s", device, path);
	_exit(fp_main(4, argv));
}

/* Until it listens, for ten seconds at most. */
static void await_socket(const struct device_server *served)
{
	for (unsigned int ms = 0; ms < TIMEOUT_MS; ms++) {
		int fd = socket_connect(served->path);

		if (fd >= 0) {
			close(fd);
			return;
		}
		if (waitpid(served->pid, NULL, WNOHANG))
			break;
		usleep(1000);
	}
	fprintf(stderr, "# the server does not start\n");
	abort();
}

void device_server_start(struct device_server *served, const char *device)
{
	snprintf(served->dir, sizeof(served->dir), "/tmp/fastpath-test-XXXXXX");
	if (!mkdtemp(served->dir))
		abort();
	snprintf(served->path, sizeof(served->path), "%s/socket", served->dir);
	fflush(stdout);
	served->pid = fork();
	if (served->pid < 0)
		abort();
	if (!served->pid)
		serve(device, served->path);
	await_socket(served);
}

struct fpc *device_server_connect(const struct device_server *served)
{
	const struct fpc_options options = { .timeout_ms = TIMEOUT_MS };
	struct fpc *client = NULL;
	int ret;

	/* The one before may not have been seen to leave. */
	do
		ret = fpc_connect(served->path, &options, &client);
	while (ret == -EBUSY);
	if (ret) {
		fprintf(stderr, "# connect: %d\n", ret);
		abort();
	}
	return client;
}

int device_server_stop(struct device_server *served)
{
	int status;

	if (!served->pid)
		return 0;
	kill(served->pid, SIGTERM);
	if (waitpid(served->pid, &status, 0) != served->pid)
		abort();
	served->pid = 0;
	unlink(served->path);
	rmdir(served->dir);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}
