/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * control_request: what control's parts share, and nobody else: a request on its way.
 *
 *	control.c		the socket, its clients, their lines
 *	control_request.c	what may be asked for, and its way over the workers
 *	control_show.c		what a device is and has
 *	control_stats.c		what was counted
 */
#ifndef FASTPATH_CONTROL_REQUEST_H
#define FASTPATH_CONTROL_REQUEST_H

#include <pthread.h>
#include <stdbool.h>

#include "control.h"
#include "device.h"
#include "json_put.h"

#define CONTROL_MAX_CLIENTS 16
#define CONTROL_MAX_LINE 65536u

/* For a device: all of them. */
#define CONTROL_ALL SIZE_MAX

struct control_command;

/* A client of the socket. */
struct control_client {
	struct control *control;
	int fd;		 /* -1: there is none here, or it has gone while its request is under way */
	bool busy;	 /* a request of its is under way: its next line waits */
	bool has_ended;	 /* it sends no more */
	bool is_full;	 /* it is told no more, and left once it has read that */
	uint32_t events; /* that are waited for */
	char *in;	 /* CONTROL_MAX_LINE bytes and one */
	size_t in_len;
	char *out;
	size_t out_len;
	size_t out_sent;
	size_t out_size;
	/* What it looks at: events, or messages, of a device. */
	bool watches;
	bool traces;
	size_t watched;
};

struct control {
	struct control_options options;
	int epoll_fd;
	int listen_fd;
	int spare_fd; /* given up for a moment when there are no others */
	int done_fd;  /* an eventfd, signalled when a request is back */
	struct control_client clients[CONTROL_MAX_CLIENTS];
	pthread_mutex_t lock;
	struct control_request *done; /* under the lock: those that are back */
};

/* It goes from worker to worker; whoever has it may write to it. */
struct control_request {
	struct worker_job job;	     /* first */
	struct device_errand errand; /* of a reset */
	struct control_request *next;
	struct control *control;
	struct control_client *client; /* NULL: nobody waits for the reply */
	const struct control_command *command;
	size_t device;	     /* index, or CONTROL_ALL */
	unsigned int worker; /* where it is */
	unsigned int end;    /* behind the last one where it goes */
	struct json_object *reply;
	int error;	       /* -errno: what became of it */
	struct ring_wait wait; /* of `set` */
};

/* ---- control.c ---- */

/* Sends a line; takes over `reply`. */
void control_reply(struct control_client *client, struct json_object *reply);

/* A request is back, on any thread. */
void control_done(struct control_request *request);

/* ---- control_request.c ---- */

/* Answers a line of a client, now or later. */
void control_ask(struct control_client *client, const char *line, size_t len);

/* Sends a request that is back on to the next worker, or answers it. */
void control_go_on(struct control_request *request);

/* The client is gone: what it looked at is not looked at any more. */
void control_forget(struct control_client *client);

void control_free_request(struct control_request *request);

/* ---- on the device's worker ---- */

extern const char *const control_irq_names[FP_NR_IRQS];

int control_list(struct control_request *request, struct served *served);
int control_show(struct control_request *request, struct served *served);
int control_stats_worker(struct control_request *request, struct worker *worker);
int control_stats(struct control_request *request, struct served *served);

#endif
