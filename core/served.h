/* SPDX-License-Identifier: BSD-3-Clause */
/* served: a device at its socket, and the one client that it has at a time. */
#ifndef FASTPATH_SERVED_H
#define FASTPATH_SERVED_H

#include <stdbool.h>
#include <stddef.h>

#include "admission.h"
#include "command.h"
#include "keyval.h"
#include "ring.h"

struct served;

struct served_options {
	const struct fp_class *class_;
	const char *name;   /* of the device, no other in this server has it */
	const char *socket; /* address to listen at; NULL: `fd` is connected already, or listens */
	int fd;
	bool fd_listens;
	struct admission admission;
	enum command_io_fds io_fds;
	const char *state_dir;	      /* where the state is kept, in NAME.state; NULL: nowhere */
	uint64_t client_timeout_ns;   /* 0: none */
	const struct keyval *options; /* the device's own */
	size_t nr_options;
};

struct observe;
struct sandbox;

/*
 * Makes the device and listens at its socket, or at its fd or starts to talk on it; the fd is taken
 * also on failure. *out is to be given to served_close(). -errno of device_open(), address_parse(),
 * admission_check() or socket_listen_at(), said to the log. The options and `observe` (NULL: nobody looks on)
 * have to live as long as it does.
 */
int served_open(struct ring *ring, const struct served_options *options, struct observe *observe,
		struct served **out);

/* Tells the sandbox what it will still do: the device's needs, and its files. -errno, said to the log. */
int served_allow(const struct served *served, struct sandbox *sandbox);

/* Whether it has a client or may still get one. */
bool served_has_work(const struct served *served);

/* The client is sent away, and no other is let in. */
void served_stop(struct served *served);

/* Whether its state is to be kept, and what the device has begun is not done yet. */
bool served_is_settling(const struct served *served);

const struct served_options *served_options(const struct served *served);
struct fp_device *served_device(const struct served *served);

/* Its client's; NULL: it has none. */
struct session *served_session(const struct served *served);

/* What was counted when this client came. */
const struct stats *served_before(const struct served *served);

/* Ends its session, closes the device, removes the socket file; NULL is nothing. */
void served_close(struct served *served);

#endif
