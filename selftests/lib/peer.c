/* SPDX-License-Identifier: BSD-3-Clause */
#include "peer.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "fastpath.h"
#include "listen.h"
#include "program.h"
#include "socket.h"

/* The live peers, for what is to be done when the test fails. */
static struct peer *peers;

/* ---- failing ---- */

/* Only with what a signal handler may call. */
static void show_log(const struct peer *peer)
{
	static const char title[] = "# The server said:\n";
	char buf[4096];
	ssize_t len;

	if (!peer->pid || peer->is_other || lseek(peer->log, 0, SEEK_END) <= 0)
		return;
	lseek(peer->log, 0, SEEK_SET);
	if (write(STDERR_FILENO, title, sizeof(title) - 1) < 0)
		return;
	while ((len = read(peer->log, buf, sizeof(buf))) > 0)
		if (write(STDERR_FILENO, buf, (size_t)len) < 0)
			return;
}

static void remove_files(const struct peer *peer)
{
	if (!peer->pid || !*peer->dir)
		return;
	unlink(peer->path);
	unlink(peer->other_path);
	unlink(peer->control_path);
	unlink(peer->trace_path);
	rmdir(peer->dir);
}

static void on_abort(int sig)
{
	(void)sig;
	for (const struct peer *peer = peers; peer; peer = peer->next) {
		show_log(peer);
		remove_files(peer);
	}
}

static void __attribute__((noreturn, format(printf, 1, 2))) fail(const char *fmt, ...)
{
	va_list args;

	fflush(stdout);
	va_start(args, fmt);
	fprintf(stderr, "# ");
	vfprintf(stderr, fmt, args);
	fprintf(stderr, "\n");
	va_end(args);
	abort();
}

/* ---- transports ---- */

static bool goes_by(const char *transport)
{
	const char *given = getenv("FASTPATH_TEST_TRANSPORT");

	return given && !strcmp(given, transport);
}

bool peer_carries_fds(void)
{
	return !goes_by("tcp") && !goes_by("vsock");
}

void peer_need_fds(void)
{
	if (peer_carries_fds())
		return;
	printf("#      SKIP      no fd travels over this transport\n");
	fflush(stdout);
	for (const struct peer *peer = peers; peer; peer = peer->next)
		remove_files(peer);
	_exit(255); /* which is what the harness takes for SKIP() */
}

/* ---- time ---- */

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000ll + ts.tv_nsec / 1000000;
}

int peer_time_left(int64_t *deadline)
{
	int64_t left;

	if (!*deadline)
		*deadline = now_ms() + PEER_DEADLINE_MS;
	left = *deadline - now_ms();
	return left > 0 ? (int)left : 0;
}

static bool await(int fd, short events, int64_t *deadline)
{
	struct pollfd poll_fd = { .fd = fd, .events = events };
	int ret;

	do
		ret = poll(&poll_fd, 1, peer_time_left(deadline));
	while (ret < 0 && errno == EINTR);
	return ret > 0;
}

uint64_t peer_eventfd_take(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	uint64_t value;

	return poll(&poll_fd, 1, 0) == 1 && read(fd, &value, sizeof(value)) == sizeof(value) ?
		       value :
		       0;
}

uint64_t peer_eventfd_wait(int fd)
{
	int64_t deadline = 0;

	return await(fd, POLLIN, &deadline) ? peer_eventfd_take(fd) : 0;
}

/* ---- the server process ---- */

static void __attribute__((noreturn))
become_server(const struct peer *peer, char **argv, unsigned int how, int fd)
{
	const char *path = program_path("fastpathd");
	int argc = 0;

	while (argv[argc])
		argc++;
	signal(SIGABRT, SIG_DFL);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() == 1)
		_exit(125);
	if (dup2(peer->log, STDERR_FILENO) < 0 || dup2(peer->log, STDOUT_FILENO) < 0)
		_exit(125);
	if (fd >= 0 && fcntl(fd, F_SETFD, 0))
		_exit(125);
	if (how & PEER_OWN_CLASSES) {
		for (const struct peer *other = peers; other; other = other->next)
			cleanup_close(&other->fd);
		cleanup_close(&peer->fd);
		exit(fp_main(argc, argv));
	}
	execv(path, argv);
	fprintf(stderr, "%s: %s\n", path, strerror(errno));
	_exit(125);
}

/* Where the server is told to listen: by tcp at a port of the kernel's choice, by vsock of ours. */
static void remote_place(char *address, size_t size)
{
	static unsigned int last;

	if (goes_by("tcp"))
		snprintf(address, size, "tcp:127.0.0.1:0");
	else
		snprintf(address, size, "vsock:1:%u",
			 0x10000 + 16 * (unsigned int)getpid() + last++);
}

static void make_place(struct peer *peer)
{
	const char *base = getenv("TMPDIR");

	snprintf(peer->dir, sizeof(peer->dir), "%s/fastpath-test.XXXXXX",
		 base && strlen(base) < 32 ? base : "/tmp");
	if (!mkdtemp(peer->dir))
		fail("mkdtemp: %s", strerror(errno));
	snprintf(peer->path, sizeof(peer->path), "%s/socket", peer->dir);
	snprintf(peer->other_path, sizeof(peer->other_path), "%s/other", peer->dir);
	snprintf(peer->control_path, sizeof(peer->control_path), "%s/control", peer->dir);
	snprintf(peer->trace_path, sizeof(peer->trace_path), "%s/trace", peer->dir);
	if (peer_carries_fds())
		return;
	remote_place(peer->path, sizeof(peer->path));
	remote_place(peer->other_path, sizeof(peer->other_path));
}

/* With no more room for a flood than a UNIX socket has. */
static int connect_to(const char *address)
{
	int fd = socket_connect(address);
	int room = 128 << 10;

	if (fd < 0 || !goes_by("tcp"))
		return fd;
	socket_tune(fd);
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room)) ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room)))
		fail("setsockopt: %s", strerror(errno));
	return fd;
}

/* As socketpair() does it, by a socket that listens. */
static int remote_pair(int pair[2])
{
	CLEANUP_CLOSE int listening = -1;
	char address[ADDRESS_TEXT];

	remote_place(address, sizeof(address));
	listening = listen_at(address);
	if (listening < 0)
		return listening;
	if (goes_by("tcp"))
		address_bound_to(listening, address);
	pair[0] = connect_to(address);
	if (pair[0] < 0)
		return pair[0];
	pair[1] = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
	return pair[1] < 0 ? -errno : 0;
}

/* A connection whose server's end is returned. */
static int make_pair(struct peer *peer, bool roomy)
{
	int room = 16 << 20;
	int pair[2];
	int ret = peer_carries_fds() ? socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) :
				       remote_pair(pair);

	if (ret)
		fail("no pair of sockets: %s", strerror(ret == -1 ? errno : -ret));
	/* What may be had without privileges depends on the host. */
	if (roomy && setsockopt(pair[1], SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room)))
		setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	peer->fd = pair[0];
	return pair[1];
}

static const char *more_option;

void peer_set_option(const char *option)
{
	more_option = option;
}

static bool has_ended(const struct peer *peer)
{
	siginfo_t info = { 0 };

	waitid(P_PID, (id_t)peer->pid, &info, WEXITED | WNOHANG | WNOWAIT);
	return info.si_pid;
}

/* The address behind the nth "listens at" in the server's log. */
static void read_address(struct peer *peer, unsigned int nth, char *address, size_t size)
{
	static const char before[] = "listens at ";
	int64_t deadline = 0;
	const char *at;

	do {
		at = peer_log(peer);
		for (unsigned int i = 0; at && i <= nth; i++) {
			at = strstr(at, before);
			at = at ? at + strlen(before) : NULL;
		}
		if (!at && (has_ended(peer) || !peer_time_left(&deadline)))
			fail("the server does not say where it listens");
	} while (!at || !strchr(at, '\n'));
	snprintf(address, size, "%.*s", (int)strcspn(at, " "), at);
	address[strlen(address) - 1] = '\0'; /* the colon */
}

/* Its address, which a server at a port of the kernel's choice has to be asked for. */
static void find_places(struct peer *peer, unsigned int how)
{
	if (!goes_by("tcp"))
		return;
	read_address(peer, 0, peer->path, sizeof(peer->path));
	if (how & PEER_TWO)
		read_address(peer, 1, peer->other_path, sizeof(peer->other_path));
}

struct peer *peer_start(const char *device, unsigned int how)
{
	struct peer *peer = calloc(1, sizeof(*peer));
	char name[] = "fastpathd", option[] = "--device", device_arg[256], last_arg[256];
	char control[] = "--control", trace[] = "--trace", workers[] = "--workers=2";
	char more_arg[64], no_sandbox[] = "--sandbox=off";
	char *argv[14] = { name, option, device_arg };
	int argc = 3;
	CLEANUP_CLOSE int theirs = -1;

	if (!peer)
		fail("out of memory");
	peer->log = memfd_create("log", MFD_CLOEXEC);
	peer->fd = -1;
	if (how & PEER_LISTEN) {
		make_place(peer);
		snprintf(device_arg, sizeof(device_arg), "%s,socket=%s", device, peer->path);
	} else {
		theirs = make_pair(peer, how & PEER_ROOMY);
		snprintf(device_arg, sizeof(device_arg), "%s", device);
		snprintf(last_arg, sizeof(last_arg), "--fd=%d", theirs);
		argv[argc++] = last_arg;
	}
	if (how & PEER_TWO) {
		snprintf(last_arg, sizeof(last_arg), "%s,socket=%s", device, peer->other_path);
		argv[argc++] = option;
		argv[argc++] = last_arg;
	}
	if (how & PEER_TWO_WORKERS)
		argv[argc++] = workers;
	if (how & PEER_CONTROL) {
		argv[argc++] = control;
		argv[argc++] = peer->control_path;
	}
	if (how & PEER_TRACE) {
		argv[argc++] = trace;
		argv[argc++] = peer->trace_path;
	}
	if (program_without_sandbox())
		argv[argc++] = no_sandbox;
	if (more_option) {
		snprintf(more_arg, sizeof(more_arg), "%s", more_option);
		argv[argc++] = more_arg;
	}
	peer->pid = fork();
	if (!peer->pid)
		become_server(peer, argv, how, theirs);
	peer->pidfd = (int)syscall(SYS_pidfd_open, peer->pid, 0);
	if (peer->pid < 0 || peer->pidfd < 0 || peer->log < 0)
		fail("no server process: %s", strerror(errno));
	peer->next = peers;
	peers = peer;
	signal(SIGABRT, on_abort);
	if (how & PEER_LISTEN) {
		find_places(peer, how);
		peer->fd = peer_connect(peer);
	}
	return peer;
}

struct peer *peer_other(const struct peer *peer)
{
	struct peer *other = calloc(1, sizeof(*other));

	if (!other)
		fail("out of memory");
	other->pid = peer->pid;
	other->log = peer->log;
	other->pidfd = peer->pidfd;
	other->is_other = true;
	memcpy(other->path, peer->other_path, sizeof(other->path));
	other->next = peers;
	peers = other;
	peer_reconnect(other);
	return other;
}

struct peer *peer_open(const char *device, unsigned int how)
{
	struct peer *peer = peer_start(device, how);
	int error = peer_version(peer, PEER_JSON);

	if (error)
		fail("VERSION is refused: %s", strerror(error));
	return peer;
}

int peer_wait(struct peer *peer)
{
	int64_t deadline = 0;
	int status;

	if (!await(peer->pidfd, POLLIN, &deadline))
		fail("the server does not end");
	if (waitpid(peer->pid, &status, 0) != peer->pid)
		fail("waitpid: %s", strerror(errno));
	peer->pid = 0;
	return status;
}

static void drop_fds(struct peer_reply *reply)
{
	while (reply->nr_fds)
		cleanup_close(&reply->fds[--reply->nr_fds]);
}

static void forget(struct peer *peer)
{
	struct peer **at = &peers;

	while (*at != peer)
		at = &(*at)->next;
	*at = peer->next;
	drop_fds(&peer->reply);
	free(peer->reply.body);
	peer_disconnect(peer);
	if (!peer->is_other) {
		close(peer->log);
		close(peer->pidfd);
	}
	free(peer);
}

void peer_stop(struct peer *peer)
{
	pid_t pid = peer->pid;
	int status = 0;

	if (pid && !peer->is_other) {
		kill(pid, SIGTERM);
		status = peer_wait(peer);
	}
	if (status) {
		peer->pid = pid; /* for show_log() */
		fail("the server ends with %s %d", WIFEXITED(status) ? "status" : "signal",
		     WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
	}
	if (*peer->dir)
		unlink(peer->trace_path);
	if (*peer->dir && rmdir(peer->dir))
		fail("the server leaves its socket behind: %s", peer->path);
	forget(peer);
}

const char *peer_log(struct peer *peer)
{
	static char text[1 << 20];
	ssize_t len = pread(peer->log, text, sizeof(text) - 1, 0);

	text[len > 0 ? len : 0] = '\0';
	return text;
}

unsigned int peer_log_count(struct peer *peer, const char *text)
{
	const char *log = peer_log(peer);
	unsigned int nr = 0;

	while ((log = strstr(log, text))) {
		log += strlen(text);
		nr++;
	}
	return nr;
}

static unsigned int count_entries(const struct peer *peer, const char *what)
{
	char path[64];
	const struct dirent *entry;
	unsigned int nr = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/%s", peer->pid, what);
	dir = opendir(path);
	if (!dir)
		fail("%s: %s", path, strerror(errno));
	while ((entry = readdir(dir)))
		nr += *entry->d_name != '.';
	closedir(dir);
	return nr;
}

unsigned int peer_count_fds(const struct peer *peer)
{
	return count_entries(peer, "fd");
}

unsigned int peer_count_threads(const struct peer *peer)
{
	return count_entries(peer, "task");
}

int peer_count_requests(const struct peer *peer)
{
	char path[64];
	char line[256];
	int nr = -1;

	/* The ring is among its first fds; the list of what waits is the last in its fdinfo. */
	for (int fd = 3; fd < 16 && nr < 0; fd++) {
		FILE *file;

		snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", peer->pid, fd);
		file = fopen(path, "re");
		while (file && fgets(line, sizeof(line), file)) {
			if (!strcmp(line, "PollList:\n"))
				nr = 0;
			else if (nr >= 0)
				nr += !strncmp(line, "  op=", 5);
		}
		if (file)
			fclose(file);
	}
	return nr;
}

unsigned int peer_await_fds(const struct peer *peer, unsigned int nr)
{
	int64_t deadline = 0;
	unsigned int seen;

	while ((seen = peer_count_fds(peer)) != nr && peer_time_left(&deadline))
		sched_yield();
	return seen;
}

uint64_t peer_cpu_ns(const struct peer *peer)
{
	struct timespec ts;
	clockid_t clock;

	if (clock_getcpuclockid(peer->pid, &clock) || clock_gettime(clock, &ts))
		fail("no CPU clock of the server");
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

size_t peer_resident(const struct peer *peer)
{
	char path[64];
	char text[128] = "";
	const char *second;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/statm", peer->pid);
	file = fopen(path, "re");
	if (!file || !fgets(text, sizeof(text), file))
		fail("%s: %s", path, strerror(errno));
	fclose(file);
	second = strchr(text, ' ');
	return second ? strtoul(second, NULL, 10) * (size_t)sysconf(_SC_PAGESIZE) : 0;
}

void peer_freeze(struct peer *peer)
{
	siginfo_t info;

	kill(peer->pid, SIGSTOP);
	if (waitid(P_PID, (id_t)peer->pid, &info, WSTOPPED | WNOWAIT))
		fail("waitid: %s", strerror(errno));
}

void peer_thaw(struct peer *peer)
{
	kill(peer->pid, SIGCONT);
}

/* ---- the connection ---- */

int peer_connect(const struct peer *peer)
{
	int64_t deadline = 0;
	int fd;

	while ((fd = connect_to(peer->path)) < 0) {
		if (has_ended(peer) || !peer_time_left(&deadline))
			fail("no server at %s: %s", peer->path, strerror(-fd));
		sched_yield();
	}
	return fd;
}

void peer_disconnect(struct peer *peer)
{
	cleanup_close(&peer->fd);
	peer->fd = -1;
}

/* Whether the server talks to us: it closes at once while it has another client. */
static bool is_welcome(struct peer *peer)
{
	struct {
		struct wire_version version;
		char json[sizeof(PEER_JSON)];
	} body = { .json = PEER_JSON };
	uint8_t message[sizeof(struct wire_header) + sizeof(body)];
	size_t len = peer_message(message, 0, WIRE_VERSION, &body, sizeof(body));
	int64_t deadline = 0;
	uint8_t byte;

	if (send(peer->fd, message, len, MSG_NOSIGNAL) != (ssize_t)len)
		return false;
	return await(peer->fd, POLLIN, &deadline) && recv(peer->fd, &byte, 1, MSG_PEEK) == 1;
}

void peer_reconnect(struct peer *peer)
{
	int64_t deadline = 0;

	do {
		if (!peer_time_left(&deadline))
			fail("the server does not take another client");
		peer_disconnect(peer);
		peer->fd = peer_connect(peer);
	} while (!is_welcome(peer));
	if (peer_answer(peer, 0, WIRE_VERSION))
		fail("VERSION is refused");
}

void peer_send(struct peer *peer, const void *bytes, size_t len, const int *fds,
	       unsigned int nr_fds)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(PEER_MAX_FDS * sizeof(int))];
	} control = { 0 };
	struct iovec iov = { (void *)bytes, len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	int64_t deadline = 0;
	ssize_t n;

	if (nr_fds) {
		peer_need_fds();
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(nr_fds * sizeof(int));
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(nr_fds * sizeof(int));
		memcpy(CMSG_DATA(&control.align), fds, nr_fds * sizeof(int));
	}
	while (iov.iov_len) {
		n = sendmsg(peer->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno != EAGAIN)
			fail("sendmsg: %s", strerror(errno));
		if (n < 0 && !await(peer->fd, POLLOUT, &deadline))
			fail("the server takes no more: %zu of %zu bytes left", iov.iov_len, len);
		if (n <= 0)
			continue;
		iov.iov_base = (uint8_t *)iov.iov_base + n;
		iov.iov_len -= (size_t)n;
		msg.msg_control = NULL;
		msg.msg_controllen = 0;
	}
}

void peer_drain(struct peer *peer)
{
	int64_t deadline = 0;
	int unread = 1;

	while (!ioctl(peer->fd, SIOCOUTQ, &unread) && unread) {
		if (!peer_time_left(&deadline))
			fail("the server does not receive");
		sched_yield();
	}
}

/* Some bytes, and the fds that came with them. */
static size_t receive_some(struct peer *peer, void *at, size_t len, int64_t *deadline)
{
	struct peer_reply *reply = &peer->reply;
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(PEER_MAX_FDS * sizeof(int))];
	} control;
	struct iovec iov = { at, len };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	ssize_t n;

	if (!await(peer->fd, POLLIN, deadline))
		fail("no message within the deadline");
	n = recvmsg(peer->fd, &msg, MSG_CMSG_CLOEXEC);
	if (n <= 0)
		fail("the connection has ended: %s", n ? strerror(errno) : "closed");
	if (msg.msg_controllen && CMSG_FIRSTHDR(&msg)) {
		size_t bytes = control.align.cmsg_len - CMSG_LEN(0);

		memcpy(reply->fds, CMSG_DATA(&control.align), bytes);
		reply->nr_fds = (unsigned int)(bytes / sizeof(int));
	}
	return (size_t)n;
}

const struct peer_reply *peer_receive(struct peer *peer)
{
	struct peer_reply *reply = &peer->reply;
	int64_t deadline = 0;
	unsigned int nr_fds;
	size_t done = 0;

	drop_fds(reply);
	free(take_ptr(reply->body));
	done = receive_some(peer, &reply->hdr, sizeof(reply->hdr), &deadline);
	nr_fds = reply->nr_fds;
	while (done < sizeof(reply->hdr))
		done += receive_some(peer, (uint8_t *)&reply->hdr + done, sizeof(reply->hdr) - done,
				     &deadline);
	if (reply->hdr.msg_size < sizeof(reply->hdr) || reply->hdr.msg_size > WIRE_MAX_MSG)
		fail("a message of %u bytes", reply->hdr.msg_size);
	reply->len = reply->hdr.msg_size - sizeof(reply->hdr);
	reply->body = malloc(reply->len ? reply->len : 1);
	for (done = 0; done < reply->len;)
		done += receive_some(peer, reply->body + done, reply->len - done, &deadline);
	if (reply->nr_fds != nr_fds)
		fail("fds that are not on the first byte of their message");
	return reply;
}

void peer_await_end(struct peer *peer)
{
	int64_t deadline = 0;
	uint8_t byte;
	ssize_t n;

	if (!await(peer->fd, POLLIN, &deadline))
		fail("the server does not close the connection");
	n = recv(peer->fd, &byte, 1, 0);
	if (n > 0)
		fail("bytes from the server, where it should close the connection");
	if (n < 0 && errno != ECONNRESET)
		fail("recv: %s", strerror(errno));
}

/* ---- messages ---- */

size_t peer_message(void *at, uint16_t msg_id, uint16_t cmd, const void *body, size_t len)
{
	struct wire_header hdr = {
		.msg_id = msg_id,
		.cmd = cmd,
		.msg_size = (uint32_t)(sizeof(hdr) + len),
	};

	memcpy(at, &hdr, sizeof(hdr));
	if (len)
		memcpy((uint8_t *)at + sizeof(hdr), body, len);
	return hdr.msg_size;
}

size_t peer_message_read(void *at, uint16_t msg_id, uint32_t region, uint64_t offset,
			 uint32_t count)
{
	struct wire_region_access access = { .offset = offset, .region = region, .count = count };

	return peer_message(at, msg_id, WIRE_REGION_READ, &access, sizeof(access));
}

size_t peer_message_write(void *at, uint16_t msg_id, uint32_t region, uint64_t offset,
			  const void *data, uint32_t count)
{
	struct wire_region_access access = { .offset = offset, .region = region, .count = count };
	uint8_t *body = (uint8_t *)at + sizeof(struct wire_header);
	struct wire_header hdr = {
		.msg_id = msg_id,
		.cmd = WIRE_REGION_WRITE,
		.msg_size = (uint32_t)(sizeof(hdr) + sizeof(access) + count),
	};

	memcpy(at, &hdr, sizeof(hdr));
	memcpy(body, &access, sizeof(access));
	memcpy(body + sizeof(access), data, count);
	return hdr.msg_size;
}

static uint16_t send_command(struct peer *peer, uint16_t cmd, uint32_t flags, const void *body,
			     size_t len, const int *fds, unsigned int nr_fds)
{
	CLEANUP_FREE uint8_t *message = malloc(sizeof(struct wire_header) + len);
	uint16_t msg_id = ++peer->msg_id;
	size_t size = peer_message(message, msg_id, cmd, body, len);

	((struct wire_header *)message)->flags = flags;
	peer_send(peer, message, size, fds, nr_fds);
	return msg_id;
}

uint16_t peer_command(struct peer *peer, uint16_t cmd, const void *body, size_t len, const int *fds,
		      unsigned int nr_fds)
{
	return send_command(peer, cmd, WIRE_TYPE_COMMAND, body, len, fds, nr_fds);
}

void peer_post(struct peer *peer, uint16_t cmd, const void *body, size_t len)
{
	send_command(peer, cmd, WIRE_TYPE_COMMAND | WIRE_NO_REPLY, body, len, NULL, 0);
}

int peer_answer(struct peer *peer, uint16_t msg_id, uint16_t cmd)
{
	const struct wire_header *hdr = &peer_receive(peer)->hdr;

	if (hdr->msg_id != msg_id || hdr->cmd != cmd)
		fail("a reply to %s, msg_id %u, where one to %s, %u, is due",
		     wire_cmd_name(hdr->cmd), hdr->msg_id, wire_cmd_name(cmd), msg_id);
	if (hdr->flags == WIRE_TYPE_REPLY)
		return 0;
	if (hdr->flags != (WIRE_TYPE_REPLY | WIRE_ERROR) || !hdr->error_no || peer->reply.len ||
	    peer->reply.nr_fds)
		fail("flags %#x, errno %u, %zu bytes and %u fds are no error reply", hdr->flags,
		     hdr->error_no, peer->reply.len, peer->reply.nr_fds);
	return (int)hdr->error_no;
}

int peer_call_fds(struct peer *peer, uint16_t cmd, const void *body, size_t len, const int *fds,
		  unsigned int nr_fds)
{
	return peer_answer(peer, peer_command(peer, cmd, body, len, fds, nr_fds), cmd);
}

int peer_call(struct peer *peer, uint16_t cmd, const void *body, size_t len)
{
	return peer_call_fds(peer, cmd, body, len, NULL, 0);
}

int peer_version(struct peer *peer, const char *json)
{
	size_t json_len = json ? strlen(json) + 1 : 0;
	CLEANUP_FREE uint8_t *body = malloc(sizeof(struct wire_version) + json_len);
	struct wire_version version = { WIRE_MAJOR, WIRE_MINOR };

	memcpy(body, &version, sizeof(version));
	if (json)
		memcpy(body + sizeof(version), json, json_len);
	return peer_call(peer, WIRE_VERSION, body, sizeof(version) + json_len);
}

int peer_read_to(struct peer *peer, uint32_t region, uint64_t offset, void *data, uint32_t count)
{
	struct wire_region_access access = { .offset = offset, .region = region, .count = count };
	int error = peer_call(peer, WIRE_REGION_READ, &access, sizeof(access));

	if (error)
		return error;
	if (peer->reply.len != sizeof(access) + count ||
	    memcmp(peer->reply.body, &access, sizeof(access)))
		fail("a REGION_READ's reply is not its request and %u bytes", count);
	memcpy(data, peer->reply.body + sizeof(access), count);
	return 0;
}

int peer_write_from(struct peer *peer, uint32_t region, uint64_t offset, const void *data,
		    uint32_t count)
{
	CLEANUP_FREE uint8_t *message =
		malloc(sizeof(struct wire_header) + sizeof(struct wire_region_access) + count);
	uint16_t msg_id = ++peer->msg_id;
	size_t len = peer_message_write(message, msg_id, region, offset, data, count);
	int error;

	peer_send(peer, message, len, NULL, 0);
	error = peer_answer(peer, msg_id, WIRE_REGION_WRITE);
	if (!error && (peer->reply.len != sizeof(struct wire_region_access) ||
		       memcmp(peer->reply.body, message + sizeof(struct wire_header),
			      sizeof(struct wire_region_access))))
		fail("a REGION_WRITE's reply is not its request without the data");
	return error;
}

uint64_t peer_read(struct peer *peer, uint32_t region, uint64_t offset, uint32_t count)
{
	uint64_t value = 0;
	int error = peer_read_to(peer, region, offset, &value, count);

	if (error)
		fail("REGION_READ of %u bytes at %#llx of region %u: %s", count,
		     (unsigned long long)offset, region, strerror(error));
	return value;
}

int peer_write(struct peer *peer, uint32_t region, uint64_t offset, uint64_t value, uint32_t count)
{
	return peer_write_from(peer, region, offset, &value, count);
}
