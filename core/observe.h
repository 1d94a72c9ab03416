/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * observe: what happens to devices, told to those outside who look on: events, and traced messages.
 *
 * Workers tell, the control thread takes. Nobody waits: what is told faster than it is taken is
 * counted and lost. While nobody looks on, telling is a test of one flag.
 */
#ifndef FASTPATH_OBSERVE_H
#define FASTPATH_OBSERVE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "fastpath.h"
#include "wire.h"

struct refusal;

/* One line of JSON on its way, its newline included. */
struct observed {
	struct observed *next;
	const char *device; /* its short name; NULL: of no device */
	bool is_message;    /* traced, not an event */
	size_t len;
	char text[];
};

struct observe;

/* *out is to be given to observe_close(). `trace_fd` (-1: none) stays the caller's. */
int observe_open(int trace_fd, struct observe **out);
void observe_close(struct observe *observe);

/* Readable when there is something to take. */
int observe_fd(const struct observe *observe);

/* Takes the first that was told, to be freed; NULL: there is none. */
struct observed *observe_take(struct observe *observe);

/* Whether somebody takes events. */
void observe_events(struct observe *observe, bool wanted);

/* Whether messages of every device are traced, to the file that was given. */
bool observe_has_file(const struct observe *observe);

/* Where the messages of a device go: what fp_device.traced is the sum of. */
#define OBSERVE_TO_FILE 1u /* or nothing */
#define OBSERVE_LIVE 2u	   /* for everyone who looks on */

/* ---- for the workers; a device without an observe tells nothing ---- */

void observe_client_came(struct fp_device *dev, pid_t pid, uid_t uid);
void observe_client_refused(struct fp_device *dev);
void observe_client_gone(struct fp_device *dev, const char *why);
void observe_refused(struct fp_device *dev, unsigned int cmd, const struct refusal *why, int error);
void observe_reset(struct fp_device *dev);
void observe_state(struct fp_device *dev, enum wire_mig_state from, enum wire_mig_state to);
void observe_window(struct fp_device *dev, enum fp_event what, uint64_t address, uint64_t size);

/* A message, when dev->traced says so. */
void observe_message(struct fp_device *dev, bool to_client, const struct wire_header *hdr,
		     const void *body, size_t len, unsigned int nr_fds);

#endif
