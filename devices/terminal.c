/* SPDX-License-Identifier: BSD-3-Clause */
#include "terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- who is there ---- */

static void await_client(struct terminal *terminal);
static void begin_read(struct terminal *terminal);
static void begin_write(struct terminal *terminal);

/* A client has left. The kernel has our buffers as long as one of them is under way. */
static void leave(struct terminal *terminal)
{
	struct fp_device *dev = terminal->dev;

	terminal->is_leaving = true;
	terminal->out_len = 0;
	fp_file_cancel(dev, &terminal->in_op);
	fp_file_cancel(dev, &terminal->out_op);
	if (terminal->reads || terminal->writes)
		return;
	terminal->is_leaving = false;
	close(terminal->fd);
	terminal->fd = terminal->in_fd = terminal->out_fd = -1;
	await_client(terminal);
}

static void add_typed(struct terminal *terminal, const uint8_t *bytes, size_t len)
{
	size_t room = sizeof(terminal->typed) - terminal->typed_len;

	if (len > room)
		len = room;
	memmove(terminal->typed, terminal->typed + terminal->typed_at, terminal->typed_len);
	memcpy(terminal->typed + terminal->typed_len, bytes, len);
	terminal->typed_at = 0;
	terminal->typed_len += (uint16_t)len;
}

static void was_read(struct fp_device *dev, struct fp_file_op *op, int64_t ret)
{
	struct terminal *terminal =
		(struct terminal *)((char *)op - offsetof(struct terminal, in_op));

	(void)dev;
	terminal->reads = false;
	if (terminal->listen_fd >= 0 && (ret <= 0 || terminal->is_leaving)) {
		leave(terminal);
	} else if (ret <= 0) {
		terminal->in_fd = -1; /* the end of standard input: output goes on */
	} else {
		add_typed(terminal, terminal->in, (size_t)ret);
		terminal->typed_in(terminal);
	}
}

static void begin_read(struct terminal *terminal)
{
	if (terminal->reads || terminal->typed_len || terminal->in_fd < 0 || terminal->is_leaving)
		return;
	terminal->reads = true;
	terminal->in_piece = (struct fp_piece){ .own = terminal->in, .len = TERMINAL_IN_BYTES };
	terminal->in_op.done = was_read;
	fp_file_read(terminal->dev, &terminal->in_op, terminal->in_fd, FP_STREAM,
		     &terminal->in_piece, 1);
}

static void was_written(struct fp_device *dev, struct fp_file_op *op, int64_t ret)
{
	struct terminal *terminal =
		(struct terminal *)((char *)op - offsetof(struct terminal, out_op));

	(void)dev;
	terminal->writes = false;
	if (terminal->listen_fd >= 0 && (ret < 0 || terminal->is_leaving)) {
		leave(terminal);
		return;
	}
	if (ret < 0) {
		terminal->out_fd = -1;
		ret = 0;
	}
	terminal->out_at = (terminal->out_at + (uint32_t)ret) % TERMINAL_OUT_BYTES;
	terminal->out_len -= (uint32_t)ret;
	begin_write(terminal);
}

static void begin_write(struct terminal *terminal)
{
	uint32_t to_end = TERMINAL_OUT_BYTES - terminal->out_at;

	if (terminal->out_fd < 0)
		terminal->out_len = 0; /* nobody is there to hear it */
	if (terminal->writes || !terminal->out_len || terminal->is_leaving)
		return;
	terminal->writes = true;
	terminal->out_piece = (struct fp_piece){
		.own = terminal->out + terminal->out_at,
		.len = terminal->out_len < to_end ? terminal->out_len : to_end,
	};
	terminal->out_op.done = was_written;
	fp_file_write(terminal->dev, &terminal->out_op, terminal->out_fd, FP_STREAM,
		      &terminal->out_piece, 1);
}

static void connected(struct fp_device *dev, struct fp_watch *watch)
{
	struct terminal *terminal =
		(struct terminal *)((char *)watch - offsetof(struct terminal, watch));
	int fd = accept4(terminal->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)dev;
	if (fd < 0) {
		await_client(terminal);
		return;
	}
	terminal->fd = terminal->in_fd = terminal->out_fd = fd;
	begin_read(terminal);
}

static void await_client(struct terminal *terminal)
{
	terminal->watch.ready = connected;
	fp_watch_start(terminal->dev, &terminal->watch, terminal->listen_fd);
}

/* ---- the device ---- */

size_t terminal_take(struct terminal *terminal, void *to, size_t len)
{
	size_t n = len < terminal->typed_len ? len : terminal->typed_len;

	memcpy(to, terminal->typed + terminal->typed_at, n);
	terminal->typed_at += (uint16_t)n;
	terminal->typed_len -= (uint16_t)n;
	begin_read(terminal);
	return n;
}

void terminal_put(struct terminal *terminal, const void *bytes, size_t len)
{
	size_t room = TERMINAL_OUT_BYTES - terminal->out_len;
	uint32_t at = (terminal->out_at + terminal->out_len) % TERMINAL_OUT_BYTES;
	size_t to_end = TERMINAL_OUT_BYTES - at;

	if (len > room)
		len = room;
	memcpy(terminal->out + at, bytes, len < to_end ? len : to_end);
	if (len > to_end)
		memcpy(terminal->out, (const uint8_t *)bytes + to_end, len - to_end);
	terminal->out_len += (uint32_t)len;
	begin_write(terminal);
}

/* ---- life ---- */

/* A terminal of stdio's gets its modes back in close(). */
const struct fp_call terminal_calls[] = { FP_IOCTL(TCSETS) };

static void make_raw(int fd, struct termios *before)
{
	struct termios raw;

	if (tcgetattr(fd, &raw))
		return;
	*before = raw;
	cfmakeraw(&raw);
	tcsetattr(fd, TCSANOW, &raw);
}

static int open_pty(struct fp_device *dev, struct terminal *terminal)
{
	struct termios ignored;
	char name[64];

	terminal->fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	if (terminal->fd < 0 || grantpt(terminal->fd) || unlockpt(terminal->fd) ||
	    ptsname_r(terminal->fd, name, sizeof(name)))
		return -errno;
	terminal->in_fd = terminal->out_fd = terminal->fd;
	terminal->slave_fd = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (terminal->slave_fd < 0)
		return -errno;
	make_raw(terminal->slave_fd, &ignored);
	if (terminal->link) {
		unlink(terminal->link);
		if (symlink(name, terminal->link)) {
			fp_error(dev, "link=%s: %s", terminal->link, strerror(errno));
			return -errno;
		}
		if (fp_allow_path(dev, terminal->link, FP_PATH_REMOVE))
			return -ENOMEM;
	}
	fp_note(dev, "its terminal is %s", name);
	return 0;
}

static int open_stdio(struct fp_device *dev, struct terminal *terminal)
{
	(void)dev;
	terminal->in_fd = STDIN_FILENO;
	terminal->out_fd = STDOUT_FILENO;
	terminal->was_terminal = isatty(STDIN_FILENO);
	if (!terminal->was_terminal)
		return 0;
	make_raw(STDIN_FILENO, &terminal->before);
	/* Anew, so that it can be non-blocking here and is as it was for everybody else. */
	terminal->fd = open("/proc/self/fd/0", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	if (terminal->fd >= 0)
		terminal->in_fd = terminal->fd;
	if (terminal->fd >= 0 && isatty(STDOUT_FILENO))
		terminal->out_fd = terminal->fd;
	return 0;
}

static int open_socket(struct fp_device *dev, struct terminal *terminal)
{
	terminal->listen_fd = fp_listen(terminal->to);
	if (terminal->listen_fd < 0)
		return terminal->listen_fd;
	await_client(terminal);
	return fp_allow_path(dev, terminal->to, FP_PATH_REMOVE);
}

static const struct {
	const char *to;
	int (*open)(struct fp_device *dev, struct terminal *terminal);
} ends[] = {
	{ "pty", open_pty }, { "stdio", open_stdio }, { NULL, open_socket }, /* of that path */
};

void terminal_close(struct terminal *terminal)
{
	fp_watch_stop(&terminal->watch);
	if (terminal->was_terminal)
		tcsetattr(STDIN_FILENO, TCSANOW, &terminal->before);
	if (terminal->fd >= 0)
		close(terminal->fd);
	if (terminal->slave_fd >= 0)
		close(terminal->slave_fd);
	if (terminal->slave_fd >= 0 && terminal->link)
		unlink(terminal->link);
	if (terminal->listen_fd >= 0) {
		close(terminal->listen_fd);
		unlink(terminal->to);
	}
}

int terminal_open(struct terminal *terminal, struct fp_device *dev)
{
	size_t i = 0;
	int ret;

	terminal->dev = dev;
	terminal->fd = terminal->in_fd = terminal->out_fd = -1;
	terminal->listen_fd = terminal->slave_fd = -1;
	if (!terminal->to)
		terminal->to = "pty";
	while (ends[i].to && strcmp(ends[i].to, terminal->to))
		i++;
	ret = ends[i].open(dev, terminal);
	if (ret) {
		fp_error(dev, "to=%s: %s", terminal->to, strerror(-ret));
		terminal_close(terminal);
		return ret;
	}
	begin_read(terminal);
	return 0;
}

/* ---- migration ---- */

int terminal_save(const struct terminal *terminal, struct fp_stream *to)
{
	fp_stream_write(to, &terminal->typed_len, sizeof(terminal->typed_len));
	return fp_stream_write(to, terminal->typed + terminal->typed_at, terminal->typed_len);
}

int terminal_load(struct terminal *terminal, struct fp_stream *from)
{
	if (fp_stream_read(from, &terminal->typed_len, sizeof(terminal->typed_len)))
		return -EINVAL;
	terminal->typed_at = 0;
	if (terminal->typed_len <= sizeof(terminal->typed) &&
	    !fp_stream_read(from, terminal->typed, terminal->typed_len))
		return 0;
	terminal->typed_len = 0;
	return -EINVAL;
}
