/* SPDX-License-Identifier: BSD-3-Clause */
#include "served.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cleanup.h"
#include "device.h"
#include "farewell.h"
#include "keep.h"
#include "log.h"
#include "sandbox.h"
#include "session.h"
#include "socket.h"
#include "usdt.h"

/* After accept() failed (out of fds, most likely) it is tried again so much later. */
#define ACCEPT_RETRY_NS 100000000ull

/* While a device has a client, so many others get a line in the log, and one that says so. */
#define MAX_REFUSED 32

struct served {
	struct ring *ring;
	const struct served_options *options;
	struct observe *observe;
	struct fp_device *dev;
	char *name; /* for the log: the class, and the socket */
	struct address address;
	const char *file; /* its socket's, as long as that is ours; NULL: none */
	struct admission admission;
	char *state;	/* the file in which the device's state is kept; NULL: nowhere */
	int state_lock; /* -1: none */
	int state_dir;	/* -1: none */
	int listen_fd;	/* -1: it has one client and no more */
	struct ring_op accept;
	struct ring_op retry;
	enum command_io_fds io_fds;
	uint64_t client_timeout_ns;
	struct session *session; /* NULL: no client */
	bool is_ready;		 /* the device is there, in the state that it was kept in */
	unsigned int refused;	 /* others, since it has come */
	bool is_short;		 /* of fds, and the log says so already */
	struct stats before;	 /* as it was counted when that one came */
	struct farewells farewells;
	int next_fd; /* a client that came before we heard that the last has left; -1: none */
};

static int start_session(struct served *served, int fd);

bool served_is_settling(const struct served *served)
{
	const struct fp_device *dev = served->dev;

	return served->state && (device_is_busy(dev) || dev->is_resetting);
}

static void keep(struct served *served)
{
	if (!served->state)
		return;
	if (!served_is_settling(served))
		keep_save(served->dev, served->state, served->state_dir);
	else /* the next client's end is another chance, and so is the server's */
		log_info("%s: its state is not kept now: something is in flight", served->name);
}

static void session_ended(void *opaque)
{
	struct served *served = opaque;

	if (allowance_take_at(&served->dev->lines, served->name, LOG_INFO))
		log_info("%s: the client is gone", served->name);
	served->session = NULL;
	keep(served);
	if (served->next_fd >= 0)
		start_session(served, take_fd(&served->next_fd));
}

static int start_session(struct served *served, int fd)
{
	struct session_options options = {
		.io_fds = served->io_fds,
		.client_timeout_ns = served->client_timeout_ns,
		.ended = session_ended,
		.opaque = served,
	};
	struct ucred peer = { 0 };
	int ret = session_open(served->dev, fd, &options, &served->session);

	served->refused = 0;
	if (ret) {
		log_warn("%s: a client is refused: out of memory", served->name);
		return ret;
	}
	if (allowance_take_at(&served->dev->lines, served->name, LOG_INFO))
		log_info("%s: a client has come", served->name);
	served->before = served->dev->stats;
	served->dev->stats.clients++;
	session_peer(served->session, &peer);
	USDT(client_came, served->dev->short_name, peer.pid);
	observe_client_came(served->dev, peer.pid, peer.uid);
	return 0;
}

/* Whether one more that is refused is worth a line. */
static bool may_tell(struct served *served)
{
	if (served->refused < MAX_REFUSED && !allowance_take(&served->dev->lines, served->name))
		return false;
	if (served->refused == MAX_REFUSED)
		log_warn("%s: further clients are refused without a line here", served->name);
	return served->refused++ < MAX_REFUSED;
}

/* What it asks first is VERSION, its first message number 0: so that it learns why. */
static void turn_away(struct served *served, int fd, int error)
{
	struct wire_header reply = {
		.cmd = WIRE_VERSION,
		.msg_size = sizeof(reply),
		.flags = WIRE_TYPE_REPLY | WIRE_ERROR,
		.error_no = (uint32_t)-error,
	};

	observe_client_refused(served->dev);
	farewell_say(&served->farewells, served->ring, fd, &reply, sizeof(reply));
}

/* A client of a user who is not let in gets no further than to be told so. */
static bool is_admitted(struct served *served, int fd)
{
	uid_t uid;

	if (admission_admits(&served->admission, fd, &uid))
		return true;
	if (may_tell(served))
		log_warn("%s: a client of uid %d is refused: only uid %u may connect", served->name,
			 (int)uid, served->admission.uid);
	turn_away(served, fd, -EPERM);
	return false;
}

static void retry_accept(struct ring_op *op, int res, const struct ring_received *received)
{
	struct served *served = (struct served *)((char *)op - offsetof(struct served, retry));

	(void)res;
	(void)received;
	ring_accept(served->ring, &served->accept, served->listen_fd);
}

static void accepted(struct ring_op *op, int fd, const struct ring_received *received)
{
	struct served *served = (struct served *)((char *)op - offsetof(struct served, accept));

	(void)received;
	if (fd < 0) {
		if (!served->is_short)
			log_warn("%s: accept: %s", served->name, strerror(-fd));
		served->is_short = true;
		ring_timeout(served->ring, &served->retry, ACCEPT_RETRY_NS);
		return;
	}
	served->is_short = false;
	if (!is_admitted(served, fd))
		return;
	if (!served->session) {
		start_session(served, fd);
	} else if (served->next_fd < 0 && session_is_leaving(served->session)) {
		served->next_fd = fd;
	} else {
		if (may_tell(served))
			log_warn("%s: a second client is refused: the device has one",
				 served->name);
		turn_away(served, fd, -EBUSY);
	}
}

static int open_socket(struct served *served, const char *text)
{
	int fd = socket_listen_at(&served->address, admission_mode(&served->admission));

	if (fd == -EADDRINUSE)
		log_error("socket=%s: a server listens there already", text);
	else if (fd == -EEXIST)
		log_error("socket=%s: there is a file that is not a socket", text);
	else if (fd < 0)
		log_error("socket=%s: %s", text, strerror(-fd));
	return fd;
}

static int find_address(struct served *served, const char *text)
{
	int ret = address_parse(text, ADDRESS_LISTEN, &served->address);

	return ret ? ret : admission_check(&served->admission, &served->address, text);
}

/* From here on clients are let in. */
static void listen_on(struct served *served, int fd)
{
	char bound[ADDRESS_TEXT];

	served->listen_fd = fd;
	if (served->address.is_tcp) {
		address_bound_to(fd, bound);
		log_warn("%s: listens at %s: tcp is neither authenticated nor encrypted",
			 served->name, bound);
	}
	ring_accept(served->ring, &served->accept, fd);
}

static int listen_at(struct served *served, const char *text)
{
	int ret = find_address(served, text);

	if (ret)
		return ret;
	ret = open_socket(served, text);
	if (ret < 0)
		return ret;
	served->file = address_path(&served->address);
	listen_on(served, ret);
	return 0;
}

/* The file of a UNIX socket is of whoever opened it: its mode is, and it stays. */
static int listen_on_passed(struct served *served, int *fd)
{
	int ret = address_of_socket(*fd, &served->address);

	if (!ret && served->admission.mode) {
		log_error("%s: mode= is for sockets that this program opens", served->name);
		ret = -EINVAL;
	}
	if (!ret)
		ret = admission_check(&served->admission, &served->address, "the passed one");
	if (!ret)
		listen_on(served, take_fd(fd));
	return ret;
}

static int load(struct served *served, const struct served_options *options)
{
	int ret;

	if (asprintf(&served->state, "%s/%s.state", options->state_dir, options->name) < 0) {
		served->state = NULL;
		return -ENOMEM;
	}
	ret = keep_claim(served->state, &served->state_lock, &served->state_dir);
	if (ret)
		return ret;
	if (!migration_is_offered(served->dev))
		log_warn("%s: its state is not kept: such a device can't save it", served->name);
	return keep_load(served->dev, served->state);
}

static int talk_on(struct served *served, int fd)
{
	int ret = admission_check(&served->admission, &served->address, "the given fd");

	if (ret)
		close(fd);
	return ret ? ret : start_session(served, fd);
}

static int start(struct served *served, const struct served_options *options, int *fd)
{
	int ret;

	if (asprintf(&served->name, "%s at %s", options->class_->name,
		     options->socket	 ? options->socket :
		     options->fd_listens ? "a passed socket" :
					   "the given fd") < 0) {
		served->name = NULL;
		return -ENOMEM;
	}
	ret = device_open(options->class_, served->name, served->ring, options->options,
			  options->nr_options, &served->dev);
	if (ret)
		return ret;
	if (options->name)
		served->dev->short_name = options->name;
	served->dev->observe = served->observe;
	served->dev->traced = observe_has_file(served->observe) ? OBSERVE_TO_FILE : 0;
	if (options->state_dir)
		ret = load(served, options);
	if (ret)
		return ret;
	if (options->socket)
		return listen_at(served, options->socket);
	return options->fd_listens ? listen_on_passed(served, fd) : talk_on(served, take_fd(fd));
}

bool served_has_work(const struct served *served)
{
	return served->session || served->listen_fd >= 0;
}

void served_stop(struct served *served)
{
	cleanup_close(&served->next_fd);
	served->next_fd = -1;
	if (served->session)
		session_close(take_ptr(served->session));
	farewell_close(&served->farewells);
	ring_cancel(&served->accept);
	ring_cancel(&served->retry);
	if (served->listen_fd >= 0)
		ring_close_fd(served->ring, take_fd(&served->listen_fd));
}

int served_allow(const struct served *served, struct sandbox *sandbox)
{
	int ret = sandbox_allow_device(sandbox, served->dev);

	if (!ret && served->file)
		ret = sandbox_allow_path(sandbox, served->file, FP_PATH_REMOVE);
	if (!ret && served->state)
		ret = sandbox_allow_state(sandbox, served->options->state_dir);
	return ret;
}

const struct served_options *served_options(const struct served *served)
{
	return served->options;
}

struct fp_device *served_device(const struct served *served)
{
	return served->dev;
}

struct session *served_session(const struct served *served)
{
	return served->session;
}

const struct stats *served_before(const struct served *served)
{
	return &served->before;
}

void served_close(struct served *served)
{
	if (!served)
		return;
	served_stop(served);
	if (served->is_ready)
		keep(served);
	if (served->file)
		unlink(served->file);
	device_close(served->dev);
	cleanup_close(&served->state_lock);
	cleanup_close(&served->state_dir);
	free(served->state);
	free(served->name);
	free(served);
}

int served_open(struct ring *ring, const struct served_options *options, struct observe *observe,
		struct served **out)
{
	CLEANUP_CLOSE int fd = options->socket ? -1 : options->fd;
	struct served *served = calloc(1, sizeof(*served));
	int ret;

	if (!served)
		return -ENOMEM;
	served->ring = ring;
	served->options = options;
	served->observe = observe;
	served->listen_fd = -1;
	served->next_fd = -1;
	served->state_lock = -1;
	served->state_dir = -1;
	served->accept.done = accepted;
	served->retry.done = retry_accept;
	served->io_fds = options->io_fds;
	served->client_timeout_ns = options->client_timeout_ns;
	served->admission = options->admission;
	ret = start(served, options, &fd);
	served->is_ready = !ret;
	if (ret)
		served_close(served);
	else
		*out = served;
	return ret;
}
