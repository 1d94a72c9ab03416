/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * peer: a server process, and the raw bytes of a client that is connected to it.
 *
 * What goes wrong in here ends the test: one line says what, the server's log follows, abort().
 * Everything waits for at most PEER_DEADLINE_MS. Nothing outlives the test.
 *
 * With FASTPATH_TEST_TRANSPORT=tcp or =vsock in the environment, connections are by that, over
 * loopback. A test that sends or wants an fd is skipped then.
 */
#ifndef FASTPATH_SELFTESTS_PEER_H
#define FASTPATH_SELFTESTS_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "wire.h"

#define PEER_DEADLINE_MS 10000
#define PEER_MAX_FDS 253 /* the most that Linux puts into one message */

/* A message as it arrived. */
struct peer_reply {
	struct wire_header hdr;
	size_t len; /* of the body */
	uint8_t *body;
	int fds[PEER_MAX_FDS]; /* closed at the next message; set one to -1 to keep it */
	unsigned int nr_fds;
};

struct peer {
	struct peer *next;
	pid_t pid; /* of the server; 0: it has ended */
	int pidfd;
	int log; /* what the server says to stderr and stdout */
	int fd;	 /* our end of the connection; -1: none */
	char dir[64];
	char path[80];	     /* the server's address; "": it was given a connected socket */
	char other_path[80]; /* of a second device's */
	char control_path[80];
	char trace_path[80];
	bool is_other; /* the server is another peer's to stop */
	uint16_t msg_id;
	struct peer_reply reply;
};

enum {
	PEER_LISTEN = 1 << 0, /* the server listens at a socket, so that clients can come and go */
	PEER_OWN_CLASSES = 1 << 1, /* it is no fastpathd but this program, with its FP_DEVICE()s */
	PEER_ROOMY = 1 << 3,	   /* the server's socket takes 16 MiB before it is full */
	PEER_CONTROL = 1 << 8,	   /* with PEER_LISTEN: it has a control socket */
	PEER_TRACE = 1 << 9,	   /* with PEER_LISTEN: it traces, to a file that goes with it */
	PEER_TWO = 1 << 2, /* with PEER_LISTEN: it has a second such device, for peer_other() */
	PEER_TWO_WORKERS = 1 << 5, /* with PEER_TWO: each is served by a thread of its own */
};

/* Whether fds can travel; when not, peer_need_fds() ends the test as skipped. */
bool peer_carries_fds(void);
void peer_need_fds(void);

/* ---- the server process ---- */

/* Servers are started with this option as well ("--client-timeout=0.2") from now on; NULL: not. */
void peer_set_option(const char *option);

/*
 * Starts a server of `device` ("testdev,id=7") and connects to it. Nothing has been said on the
 * connection yet.
 */
struct peer *peer_start(const char *device, unsigned int how);

/* The same, and VERSION has been negotiated. */
struct peer *peer_open(const char *device, unsigned int how);

/* A client of the other device of a server with two. peer_stop() frees it. */
struct peer *peer_other(const struct peer *peer);

/* Stops the server by SIGTERM; it has to exit with status 0 and to leave no socket file. Frees. */
void peer_stop(struct peer *peer);

/* Waits until the server ends by itself: the status as of waitpid(). */
int peer_wait(struct peer *peer);

/* A server's standard error and output so far; valid until the next call. */
const char *peer_log(struct peer *peer);

/* How often `text` is in it. */
unsigned int peer_log_count(struct peer *peer, const char *text);

/* fds that the server has open, or threads that it has. */
unsigned int peer_count_fds(const struct peer *peer);
unsigned int peer_count_threads(const struct peer *peer);

/* Requests that wait within the server's io_uring; -1: this kernel does not tell. */
int peer_count_requests(const struct peer *peer);

/* Waits until the server has `nr` fds open; what it had at last, which is `nr` unless time is up. */
unsigned int peer_await_fds(const struct peer *peer, unsigned int nr);

/* CPU time that the server has used, ns; memory that it has resident, bytes. */
uint64_t peer_cpu_ns(const struct peer *peer);
size_t peer_resident(const struct peer *peer);

/* Stops the server where it is, for what follows to pile up in its socket; lets it go on. */
void peer_freeze(struct peer *peer);
void peer_thaw(struct peer *peer);

/* ---- the connection ---- */

/* A connection to the socket of another peer's listening server, retried until it listens. */
int peer_connect(const struct peer *peer);

/* Closes the connection, if there is one. */
void peer_disconnect(struct peer *peer);

/* Closes it and negotiates a new one, once the server has noticed that the old one is gone. */
void peer_reconnect(struct peer *peer);

/* VERSION with `json`, NULL for none; the errno of the reply, 0 when it was accepted. */
int peer_version(struct peer *peer, const char *json);

/* What peer_open() negotiates: more fds than any test device has doorbells. */
#define PEER_JSON "{\"capabilities\":{\"max_msg_fds\":16}}"

/* Sends all of it, the fds on the first byte. */
void peer_send(struct peer *peer, const void *bytes, size_t len, const int *fds,
	       unsigned int nr_fds);

/* Waits until the server has received what was sent. */
void peer_drain(struct peer *peer);

/* Receives one message to peer->reply. Fds have to come with its first byte. */
const struct peer_reply *peer_receive(struct peer *peer);

/* Waits for the end of the connection; nothing may come before it. */
void peer_await_end(struct peer *peer);

/* ---- messages ---- */

/* A message at `at`, of the returned length. msg_size is filled in. */
size_t peer_message(void *at, uint16_t msg_id, uint16_t cmd, const void *body, size_t len);

/* The same for region accesses. */
size_t peer_message_read(void *at, uint16_t msg_id, uint32_t region, uint64_t offset,
			 uint32_t count);
size_t peer_message_write(void *at, uint16_t msg_id, uint32_t region, uint64_t offset,
			  const void *data, uint32_t count);

/* Sends a command and returns its msg_id. */
uint16_t peer_command(struct peer *peer, uint16_t cmd, const void *body, size_t len, const int *fds,
		      unsigned int nr_fds);

/* The same with NO_REPLY. */
void peer_post(struct peer *peer, uint16_t cmd, const void *body, size_t len);

/*
 * Receives the reply to command `cmd` with `msg_id`: the errno it brings, 0 for success. A failed
 * command's reply has to be a bare header.
 */
int peer_answer(struct peer *peer, uint16_t msg_id, uint16_t cmd);

/* Sends a command and receives its reply. */
int peer_call(struct peer *peer, uint16_t cmd, const void *body, size_t len);
int peer_call_fds(struct peer *peer, uint16_t cmd, const void *body, size_t len, const int *fds,
		  unsigned int nr_fds);

/* REGION_READ of up to 8 bytes, which has to succeed. */
uint64_t peer_read(struct peer *peer, uint32_t region, uint64_t offset, uint32_t count);

/* REGION_READ to `data`, and REGION_WRITE: the errno. */
int peer_read_to(struct peer *peer, uint32_t region, uint64_t offset, void *data, uint32_t count);
int peer_write_from(struct peer *peer, uint32_t region, uint64_t offset, const void *data,
		    uint32_t count);
int peer_write(struct peer *peer, uint32_t region, uint64_t offset, uint64_t value, uint32_t count);

/* ---- waiting ---- */

/* Milliseconds of the deadline that starts at the first call with *deadline 0; 0: it is over. */
int peer_time_left(int64_t *deadline);

/* Waits for an eventfd to be signalled and reads it: by how much, 0 when the deadline passed. */
uint64_t peer_eventfd_wait(int fd);

/* What the eventfd holds now, taken from it; 0: nothing. */
uint64_t peer_eventfd_take(int fd);

#endif
