/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * virtio-console: one port, to a pseudo terminal, standard input and output, or who connects to a
 * socket (virtio 1.2, 5.3).
 *
 * A guest's kernel waits for its console without doing anything else. So what it writes is taken at
 * once, into a buffer; when nobody reads that, and it is full, what comes is lost.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_console.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include "virtio_pci.h"

enum {
	RECEIVE,
	TRANSMIT,
	NR_QUEUES
};

#define IN_BYTES 4096u
#define OUT_BYTES 65536u
#define CHUNK_BYTES 4096u /* of an element, at a time */

struct console {
	struct virtio virtio; /* first */
	const char *to;
	const char *link;
	int fd;		   /* ours to close, of who is at the other end; -1: nobody, or stdio */
	int in_fd, out_fd; /* -1: there is no more to read, nobody to write to */
	int listen_fd;	   /* -1: nobody connects here */
	int slave_fd;	   /* of the terminal: without it the other end would be gone at times */
	bool was_terminal;
	struct termios terminal;
	struct fp_watch watch;

	struct fp_file_op in_op;
	struct fp_piece in_piece;
	bool reads;
	uint8_t in[IN_BYTES];
	uint16_t typed_at, typed_len; /* what the guest has not got yet */
	uint8_t typed[2 * IN_BYTES];  /* what comes while some was loaded has room, too */

	struct fp_file_op out_op;
	struct fp_piece out_piece;
	bool writes;
	bool is_leaving;	  /* the other end, once neither reads nor writes */
	uint32_t out_at, out_len; /* a ring */
	uint8_t out[OUT_BYTES];
};

/* ---- the other end ---- */

static void await_client(struct console *console);
static void begin_read(struct console *console);
static void begin_write(struct console *console);

/* A client has left. The kernel has our buffers as long as one of them is under way. */
static void leave(struct console *console)
{
	struct fp_device *dev = console->virtio.dev;

	console->is_leaving = true;
	console->out_len = 0;
	fp_file_cancel(dev, &console->in_op);
	fp_file_cancel(dev, &console->out_op);
	if (console->reads || console->writes)
		return;
	console->is_leaving = false;
	close(console->fd);
	console->fd = console->in_fd = console->out_fd = -1;
	await_client(console);
}

static void add_typed(struct console *console, const uint8_t *bytes, size_t len)
{
	size_t room = sizeof(console->typed) - console->typed_len;

	if (len > room)
		len = room;
	memmove(console->typed, console->typed + console->typed_at, console->typed_len);
	memcpy(console->typed + console->typed_len, bytes, len);
	console->typed_at = 0;
	console->typed_len += (uint16_t)len;
}

static void was_read(struct fp_device *dev, struct fp_file_op *op, int64_t ret)
{
	struct console *console = fp_state(dev);

	(void)op;
	console->reads = false;
	if (console->listen_fd >= 0 && (ret <= 0 || console->is_leaving)) {
		leave(console);
	} else if (ret <= 0) {
		console->in_fd = -1; /* the end of standard input: output goes on */
	} else {
		add_typed(console, console->in, (size_t)ret);
		virtqueue_look(&console->virtio.queues[RECEIVE]);
	}
}

static void begin_read(struct console *console)
{
	if (console->reads || console->typed_len || console->in_fd < 0 || console->is_leaving)
		return;
	console->reads = true;
	console->in_piece = (struct fp_piece){ .own = console->in, .len = IN_BYTES };
	console->in_op.done = was_read;
	fp_file_read(console->virtio.dev, &console->in_op, console->in_fd, FP_STREAM,
		     &console->in_piece, 1);
}

static void was_written(struct fp_device *dev, struct fp_file_op *op, int64_t ret)
{
	struct console *console = fp_state(dev);

	(void)op;
	console->writes = false;
	if (console->listen_fd >= 0 && (ret < 0 || console->is_leaving)) {
		leave(console);
		return;
	}
	if (ret < 0) {
		console->out_fd = -1;
		ret = 0;
	}
	console->out_at = (console->out_at + (uint32_t)ret) % OUT_BYTES;
	console->out_len -= (uint32_t)ret;
	begin_write(console);
}

static void begin_write(struct console *console)
{
	uint32_t to_end = OUT_BYTES - console->out_at;

	if (console->out_fd < 0)
		console->out_len = 0; /* nobody is there to hear it */
	if (console->writes || !console->out_len || console->is_leaving)
		return;
	console->writes = true;
	console->out_piece = (struct fp_piece){
		.own = console->out + console->out_at,
		.len = console->out_len < to_end ? console->out_len : to_end,
	};
	console->out_op.done = was_written;
	fp_file_write(console->virtio.dev, &console->out_op, console->out_fd, FP_STREAM,
		      &console->out_piece, 1);
}

static void connected(struct fp_device *dev, struct fp_watch *watch)
{
	struct console *console = fp_state(dev);
	int fd = accept4(console->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)watch;
	if (fd < 0) {
		await_client(console);
		return;
	}
	console->fd = console->in_fd = console->out_fd = fd;
	begin_read(console);
}

static void await_client(struct console *console)
{
	console->watch.ready = connected;
	fp_watch_start(console->virtio.dev, &console->watch, console->listen_fd);
}

/* ---- the guest ---- */

/* An element's own. */
struct chunk {
	uint32_t total;
	uint32_t len;
	uint8_t bytes[CHUNK_BYTES];
};

static bool wants(const struct virtqueue *vq)
{
	const struct console *console = (const struct console *)vq->virtio;

	return vq->index != RECEIVE || console->typed_len;
}

static void was_received(struct virtio_steps *steps)
{
	struct virtio_element *element = virtio_element_of(steps);
	struct console *console = (struct console *)element->vq->virtio;

	virtio_element_done(element);
	begin_read(console);
}

static void receive(struct console *console, struct virtio_element *element)
{
	const uint8_t *at = console->typed + console->typed_at;
	size_t most = sizeof(struct chunk) < console->typed_len ? sizeof(struct chunk) :
								  console->typed_len;
	size_t n = element->in_bytes < most ? (size_t)element->in_bytes : most;

	if (!n) {
		virtio_element_fail(element, "nothing to receive to");
		return;
	}
	/* By message it takes its time, and what is read next must not get into it. */
	memcpy(element->own, at, n);
	console->typed_at += (uint16_t)n;
	console->typed_len -= (uint16_t)n;
	virtio_element_write(element, element->own, n, was_received);
}

static void put_out(struct console *console, const uint8_t *bytes, uint32_t n)
{
	uint32_t room = OUT_BYTES - console->out_len;
	uint32_t at = (console->out_at + console->out_len) % OUT_BYTES;
	uint32_t to_end = OUT_BYTES - at;

	if (n > room)
		n = room;
	memcpy(console->out + at, bytes, n < to_end ? n : to_end);
	if (n > to_end)
		memcpy(console->out, bytes + to_end, n - to_end);
	console->out_len += n;
}

static void transmit(struct virtio_element *element);

static void was_taken(struct virtio_steps *steps)
{
	struct virtio_element *element = virtio_element_of(steps);
	struct console *console = (struct console *)element->vq->virtio;
	const struct chunk *chunk = element->own;

	put_out(console, chunk->bytes, chunk->len);
	begin_write(console);
	transmit(element);
}

/* No more than there could be room for: the rest of it would be lost anyway. */
static void transmit(struct virtio_element *element)
{
	struct chunk *chunk = element->own;

	chunk->len = element->out_bytes < CHUNK_BYTES ? (uint32_t)element->out_bytes : CHUNK_BYTES;
	chunk->total += chunk->len;
	if (!chunk->len || chunk->total > OUT_BYTES)
		virtio_element_done(element);
	else
		virtio_element_read(element, chunk->bytes, chunk->len, was_taken);
}

static void handle(struct virtio *virtio, struct virtio_element *element)
{
	if (element->vq->index == RECEIVE)
		receive((struct console *)virtio, element);
	else
		transmit(element);
}

static const struct virtio_ops ops = {
	.element_bytes = sizeof(struct chunk),
	.handle = handle,
	.wants = wants,
};

/* ---- life ---- */

static void make_raw(int fd, struct termios *before)
{
	struct termios raw;

	if (tcgetattr(fd, &raw))
		return;
	*before = raw;
	cfmakeraw(&raw);
	tcsetattr(fd, TCSANOW, &raw);
}

static int open_pty(struct fp_device *dev, struct console *console)
{
	struct termios ignored;
	char name[64];

	console->fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	if (console->fd < 0 || grantpt(console->fd) || unlockpt(console->fd) ||
	    ptsname_r(console->fd, name, sizeof(name)))
		return -errno;
	console->in_fd = console->out_fd = console->fd;
	console->slave_fd = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (console->slave_fd < 0)
		return -errno;
	make_raw(console->slave_fd, &ignored);
	if (console->link) {
		unlink(console->link);
		if (symlink(name, console->link)) {
			fp_error(dev, "link=%s: %s", console->link, strerror(errno));
			return -errno;
		}
	}
	fp_note(dev, "its terminal is %s", name);
	return 0;
}

static int open_stdio(struct fp_device *dev, struct console *console)
{
	(void)dev;
	console->in_fd = STDIN_FILENO;
	console->out_fd = STDOUT_FILENO;
	console->was_terminal = isatty(STDIN_FILENO);
	if (!console->was_terminal)
		return 0;
	make_raw(STDIN_FILENO, &console->terminal);
	/* Anew, so that it can be non-blocking here and is as it was for everybody else. */
	console->fd = open("/proc/self/fd/0", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	if (console->fd >= 0)
		console->in_fd = console->fd;
	if (console->fd >= 0 && isatty(STDOUT_FILENO))
		console->out_fd = console->fd;
	return 0;
}

static int open_socket(struct fp_device *dev, struct console *console)
{
	(void)dev;
	console->listen_fd = fp_listen(console->to);
	if (console->listen_fd < 0)
		return console->listen_fd;
	await_client(console);
	return 0;
}

static const struct {
	const char *to;
	int (*open)(struct fp_device *dev, struct console *console);
} ends[] = {
	{ "pty", open_pty }, { "stdio", open_stdio }, { NULL, open_socket }, /* of that path */
};

static void close_ends(struct console *console)
{
	fp_watch_stop(&console->watch);
	if (console->was_terminal)
		tcsetattr(STDIN_FILENO, TCSANOW, &console->terminal);
	if (console->fd >= 0)
		close(console->fd);
	if (console->slave_fd >= 0)
		close(console->slave_fd);
	if (console->slave_fd >= 0 && console->link)
		unlink(console->link);
	if (console->listen_fd >= 0) {
		close(console->listen_fd);
		unlink(console->to);
	}
}

static int open_console(struct fp_device *dev)
{
	struct console *console = fp_state(dev);
	size_t i = 0;
	int ret;

	console->fd = console->in_fd = console->out_fd = -1;
	console->listen_fd = console->slave_fd = -1;
	if (!console->to)
		console->to = "pty";
	while (ends[i].to && strcmp(ends[i].to, console->to))
		i++;
	ret = ends[i].open(dev, console);
	if (ret) {
		fp_error(dev, "to=%s: %s", console->to, strerror(-ret));
		close_ends(console);
		return ret;
	}
	begin_read(console);
	return 0;
}

static int configure(struct fp_device *dev, struct fp_class *own)
{
	struct console *console = fp_state(dev);
	int ret = virtio_init(&console->virtio, dev, &ops, NR_QUEUES,
			      sizeof(struct virtio_console_config));

	return ret ? ret : virtio_pci_configure(&console->virtio, own, VIRTIO_ID_CONSOLE, 0x078000);
}

static void close_console(struct fp_device *dev)
{
	virtio_on_close(dev);
	close_ends(fp_state(dev));
}

/* ---- migration: what was typed goes along, what was written is written here ---- */

static int save(struct fp_device *dev, struct fp_stream *to)
{
	const struct console *console = fp_state(dev);

	fp_stream_write(to, &console->typed_len, sizeof(console->typed_len));
	fp_stream_write(to, console->typed + console->typed_at, console->typed_len);
	return virtio_on_save(dev, to);
}

static int load(struct fp_device *dev, struct fp_stream *from)
{
	struct console *console = fp_state(dev);

	if (fp_stream_read(from, &console->typed_len, sizeof(console->typed_len)))
		return -EINVAL;
	console->typed_at = 0;
	if (console->typed_len <= sizeof(console->typed) &&
	    !fp_stream_read(from, console->typed, console->typed_len))
		return virtio_on_load(dev, from);
	console->typed_len = 0;
	return -EINVAL;
}

static const struct fp_key keys[] = {
	{ "to", FP_KEY_STRING, offsetof(struct console, to),
	  "pty, stdio, or the PATH of a socket; default pty" },
	{ "link", FP_KEY_STRING, offsetof(struct console, link),
	  "a symbolic link to the terminal, made anew" },
	{ 0 },
};

FP_DEVICE(virtio_console) = {
	.name = "virtio-console",
	.summary = "a console at a terminal or socket",
	.state_bytes = sizeof(struct console),
	.keys = keys,
	.configure = configure,
	.open = open_console,
	.reset = virtio_on_reset,
	.event = virtio_on_event,
	.save = save,
	.load = load,
	.close = close_console,
};
