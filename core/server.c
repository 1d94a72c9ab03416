/* SPDX-License-Identifier: BSD-3-Clause */
#include "server.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "cleanup.h"
#include "control.h"
#include "log.h"
#include "observe.h"
#include "sandbox.h"
#include "worker.h"

#define CLEANUP_SANDBOX __attribute__((cleanup(sandbox_clear)))

struct server {
	struct worker **workers;
	unsigned int nr_workers;
	sigset_t old_signals;
	int signal_fd;
	int stop_fd; /* readable for all workers once they are to end */
	int done_fd; /* counts those that have ended */
	struct observe *observe;
	struct control *control; /* NULL: nobody may ask */
};

static void sandbox_clear(struct sandbox **sandbox)
{
	sandbox_close(*sandbox);
}

/* Before the threads are started: they inherit the mask. */
static int open_fds(struct server *server)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	pthread_sigmask(SIG_BLOCK, &signals, &server->old_signals);
	server->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	server->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	server->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return server->signal_fd < 0 || server->stop_fd < 0 || server->done_fd < 0 ? -errno : 0;
}

static int start_workers(struct server *server, const struct server_options *options)
{
	size_t nr = options->workers < options->nr_devices ? options->workers : options->nr_devices;
	struct worker_options worker = {
		.wait = options->wait,
		.devices = options->devices,
		.nr_devices = options->nr_devices,
		.step = nr,
		.stop_fd = server->stop_fd,
		.done_fd = server->done_fd,
		.observe = server->observe,
		.restricts = options->is_confined,
	};
	int ret = 0;

	server->workers = calloc(nr, sizeof(struct worker *));
	if (!server->workers)
		return -ENOMEM;
	for (; worker.first < nr && !ret; worker.first++) {
		ret = worker_start(&worker, &server->workers[server->nr_workers]);
		server->nr_workers += !ret;
	}
	return ret;
}

/* Before the workers are started: their devices tell what they do from the first message on. */
static int open_observe(struct server *server, const struct server_options *options)
{
	if (!options->control && !options->trace_fd)
		return 0;
	return observe_open(options->trace_fd ? options->trace_fd : -1, &server->observe);
}

static int open_control(struct server *server, const struct server_options *options)
{
	const struct control_options control = {
		.path = options->control,
		.observe = server->observe,
		.workers = server->workers,
		.nr_workers = server->nr_workers,
		.devices = options->devices,
		.nr_devices = options->nr_devices,
	};

	return options->control ? control_open(&control, &server->control) : 0;
}

/* ---- giving up what is not needed any more ---- */

/* What has a name and is still to be used: as long as everybody can be found by whoever we are now. */
static int allow_all(struct server *server, const struct server_options *options,
		     struct sandbox *sandbox)
{
	const struct served *served;
	int ret = 0;

	for (unsigned int i = 0; i < server->nr_workers; i++)
		for (size_t j = 0; !ret && (served = worker_served(server->workers[i], j)); j++)
			ret = served_allow(served, sandbox);
	if (!ret && options->control)
		ret = sandbox_allow_path(sandbox, options->control, FP_PATH_REMOVE);
	return ret;
}

/* It would be noticed only when there is something to lose. */
static int check_state(const struct server_options *options)
{
	const char *dir = options->devices[0].state_dir;
	int ret = dir && access(dir, W_OK | X_OK) ? -errno : 0;

	if (ret)
		log_error("--state=%s: uid %u: %s", dir, options->user->uid, strerror(-ret));
	return ret;
}

static int change_user(const struct server_options *options)
{
	int ret = options->user ? identity_become(options->user) : 0;

	return ret || !options->user ? ret : check_state(options);
}

/* Once all is open, and before the workers go on. */
static int confine_all(struct server *server, const struct server_options *options)
{
	CLEANUP_SANDBOX struct sandbox *sandbox = NULL;
	int ret = options->is_confined ? sandbox_open(&sandbox) : 0;

	if (!ret && sandbox)
		ret = allow_all(server, options, sandbox);
	if (!ret)
		ret = change_user(options);
	if (ret || !sandbox)
		return ret;
	for (unsigned int i = 0; i < server->nr_workers && !ret; i++)
		ret = worker_confine(server->workers[i], sandbox_files(sandbox));
	return ret ? ret : sandbox_enter(sandbox);
}

static void release_workers(struct server *server)
{
	for (unsigned int i = 0; i < server->nr_workers; i++)
		worker_release(server->workers[i]);
}

/* ---- serving ---- */

/* Waits for a signal or for the workers to run out of clients. */
static void await_end(struct server *server)
{
	struct pollfd fds[] = {
		{ .fd = server->signal_fd, .events = POLLIN },
		{ .fd = server->done_fd, .events = POLLIN },
		{ .fd = server->control ? control_fd(server->control) : -1, .events = POLLIN },
	};
	struct signalfd_siginfo info;
	uint64_t ended, done = 0;

	while (done < server->nr_workers) {
		if (poll(fds, 3, -1) < 0 && errno != EINTR)
			return;
		if (fds[2].revents)
			control_serve(server->control);
		/* A signal that is not taken would be pending again once the mask is back. */
		if (read(server->signal_fd, &info, sizeof(info)) > 0)
			return;
		if (read(server->done_fd, &ended, sizeof(ended)) > 0)
			done += ended;
	}
}

static int stop_workers(struct server *server)
{
	uint64_t one = 1;
	int ret = 0;

	if (server->stop_fd >= 0 && write(server->stop_fd, &one, sizeof(one)) < 0)
		log_error("the workers can't be told to stop: %s", strerror(errno));
	while (server->nr_workers) {
		int worker_ret = worker_join(server->workers[--server->nr_workers]);

		ret = ret ? ret : worker_ret;
	}
	free(server->workers);
	return ret;
}

int server_run(const struct server_options *options)
{
	struct server server = { .signal_fd = -1, .stop_fd = -1, .done_fd = -1 };
	int ret = open_fds(&server);
	int stop_ret;

	/* A client's file may lie beyond RLIMIT_FSIZE: EFBIG then, and not the end. */
	signal(SIGXFSZ, SIG_IGN);
	if (!ret)
		ret = open_observe(&server, options);
	if (!ret)
		ret = start_workers(&server, options);
	if (!ret)
		ret = open_control(&server, options);
	if (!ret)
		ret = confine_all(&server, options);
	if (!ret) {
		release_workers(&server);
		await_end(&server);
	}
	stop_ret = stop_workers(&server);
	control_close(server.control);
	observe_close(server.observe);
	cleanup_close(&server.signal_fd);
	cleanup_close(&server.stop_fd);
	cleanup_close(&server.done_fd);
	pthread_sigmask(SIG_SETMASK, &server.old_signals, NULL);
	return ret ? ret : stop_ret;
}
