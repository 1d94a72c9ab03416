/* SPDX-License-Identifier: BSD-3-Clause */
#include "fuzzclient.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cleanup.h"
#include "fdkind.h"
#include "fuzz.h"

/* ---- what is sent ---- */

/* Of a message so much has gone that it can be answered. */
static void note_message(struct fuzzclient *client)
{
	const struct wire_header *hdr = &client->sent;

	if ((hdr->flags & WIRE_TYPE_MASK) != WIRE_TYPE_COMMAND || hdr->flags & WIRE_NO_REPLY)
		return;
	fuzz_check(client->nr_owed < FUZZCLIENT_MAX_OWED, "an input is not that long");
	client->owed[client->nr_owed].msg_id = hdr->msg_id;
	client->owed[client->nr_owed++].cmd = hdr->cmd;
}

static void end_message(struct fuzzclient *client)
{
	if (client->sent.msg_size <= WIRE_MAX_MSG)
		note_message(client);
	client->sent_len = 0;
}

/* The bytes as the server reads them. */
static void note(struct fuzzclient *client, const uint8_t *bytes, size_t len)
{
	while (len && !client->is_broken) {
		bool in_header = client->sent_len < sizeof(client->sent);
		size_t wanted =
			in_header ? sizeof(client->sent) - client->sent_len : client->sent_left;
		size_t n = len < wanted ? len : wanted;

		if (in_header) {
			memcpy((uint8_t *)&client->sent + client->sent_len, bytes, n);
			client->sent_len += n;
			if (client->sent_len < sizeof(client->sent))
				return;
			client->is_broken = client->sent.msg_size < sizeof(client->sent);
			client->may_end |= client->is_broken;
			client->sent_left = client->sent.msg_size - sizeof(client->sent);
			if (client->sent.msg_size >
			    WIRE_MAX_MSG) /* refused at once, then passed over */
				note_message(client);
		} else {
			client->sent_left -= n;
		}
		bytes += n;
		len -= n;
		if (!client->sent_left && !client->is_broken)
			end_message(client);
	}
}

static ssize_t send_piece(int fd, const uint8_t *bytes, size_t len, const int *fds, unsigned int nr)
{
	uint8_t control[CMSG_SPACE(sizeof(int) * FUZZCLIENT_MAX_FDS)] = { 0 };
	struct iovec iov = { (void *)bytes, len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *cmsg;

	if (nr) {
		msg.msg_control = control;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * nr);
		cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int) * nr);
		memcpy(CMSG_DATA(cmsg), fds, sizeof(int) * nr);
	}
	return sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
}

void fuzzclient_send(struct fuzzclient *client, const void *bytes, size_t len)
{
	const uint8_t *at = bytes;
	unsigned int tries = 0;

	while (len && client->fd >= 0 && tries < 64) {
		size_t piece = client->piece && client->piece < len ? client->piece : len;
		ssize_t n = send_piece(client->fd, at, piece, client->fds, client->nr_fds);

		if (n < 0 && errno != EAGAIN)
			break;
		if (n > 0) {
			note(client, at, (size_t)n);
			client->nr_fds = 0;
			at += n;
			len -= (size_t)n;
		}
		tries += n < 0 || client->piece;
		if (len) {
			fuzz_settle();
			fuzzclient_receive(client);
		}
	}
	client->nr_fds = 0;
	client->piece = 0;
}

void fuzzclient_command(struct fuzzclient *client, uint16_t cmd, uint32_t flags, const void *body,
			size_t len, size_t zeros)
{
	struct wire_header hdr = {
		.msg_id = client->next_id++,
		.cmd = cmd,
		.msg_size = (uint32_t)(sizeof(hdr) + len + zeros),
		.flags = flags,
	};
	CLEANUP_FREE uint8_t *whole = calloc(1, hdr.msg_size);

	fuzz_check(whole, "there is memory");
	memcpy(whole, &hdr, sizeof(hdr));
	if (len)
		memcpy(whole + sizeof(hdr), body, len);
	fuzzclient_send(client, whole, hdr.msg_size);
}

bool fuzzclient_answer(struct fuzzclient *client, enum fuzzclient_answer how)
{
	struct wire_header hdr;
	struct wire_dma_access access;
	CLEANUP_FREE uint8_t *whole = NULL;
	size_t len = sizeof(hdr) + sizeof(access);

	/* In the middle of another message nobody would find it. */
	if (!client->nr_asked || (client->twin < 0 && (client->sent_len || client->fd < 0)))
		return false;
	hdr = client->asked[0].hdr;
	access = client->asked[0].access;
	if (how != FUZZCLIENT_OTHER_ID) /* then the question is still open */
		memmove(client->asked, client->asked + 1,
			--client->nr_asked * sizeof(*client->asked));
	access.count = how == FUZZCLIENT_LESS	 ? access.count / 2 :
		       how == FUZZCLIENT_MORE	 ? access.count + 1 :
		       how == FUZZCLIENT_NOTHING ? 0 :
						   access.count;
	hdr.cmd ^= how == FUZZCLIENT_OTHER_COMMAND;
	hdr.msg_id ^= how == FUZZCLIENT_OTHER_ID;
	hdr.flags = WIRE_TYPE_REPLY | (how == FUZZCLIENT_ERROR ? WIRE_ERROR : 0);
	hdr.error_no = how == FUZZCLIENT_ERROR ? EIO : 0;
	len += hdr.cmd == WIRE_DMA_READ ? access.count : 0;
	len = how == FUZZCLIENT_ERROR ? sizeof(hdr) : how == FUZZCLIENT_CUT_SHORT ? len - 1 : len;
	hdr.msg_size = (uint32_t)len;
	whole = calloc(1, len + sizeof(access) + 1);
	fuzz_check(whole, "there is memory");
	memcpy(whole, &hdr, sizeof(hdr));
	memcpy(whole + sizeof(hdr), &access, sizeof(access));
	if (client->twin >= 0)
		send_piece(client->twin, whole, len, NULL, 0);
	else
		fuzzclient_send(client, whole, len);
	return true;
}

/* ---- what is received ---- */

static void take_reply(struct fuzzclient *client, const struct wire_header *hdr)
{
	unsigned int i = 0;

	while (i < client->nr_owed &&
	       (client->owed[i].msg_id != hdr->msg_id || client->owed[i].cmd != hdr->cmd))
		i++;
	fuzz_check(i < client->nr_owed, "%s, number %u, is owed a reply", wire_cmd_name(hdr->cmd),
		   hdr->msg_id);
	memmove(client->owed + i, client->owed + i + 1,
		(--client->nr_owed - i) * sizeof(*client->owed));
	if (hdr->flags & WIRE_ERROR)
		fuzz_check(hdr->msg_size == sizeof(*hdr) && hdr->error_no && hdr->error_no < 4096,
			   "an error is a bare header with an errno");
	else
		fuzz_check(!hdr->error_no, "what went well has no errno");
	if (hdr->cmd == WIRE_VERSION && !(hdr->flags & WIRE_ERROR))
		client->negotiated = true;
}

static void take_command(struct fuzzclient *client, const struct wire_header *hdr,
			 const uint8_t *body)
{
	bool write = hdr->cmd == WIRE_DMA_WRITE;
	struct wire_dma_access access;
	size_t len = hdr->msg_size - sizeof(*hdr);

	fuzz_check((write || hdr->cmd == WIRE_DMA_READ) && hdr->flags == WIRE_TYPE_COMMAND,
		   "a server asks for memory only");
	fuzz_check(len >= sizeof(access), "and says for which");
	memcpy(&access, body, sizeof(access));
	fuzz_check(access.count && len == sizeof(access) + (write ? access.count : 0),
		   "in a message of the right length");
	if (client->nr_asked == FUZZCLIENT_MAX_ASKED)
		return;
	client->asked[client->nr_asked].hdr = *hdr;
	client->asked[client->nr_asked++].access = access;
}

static void take_messages(struct fuzzclient *client, struct fuzzclient_stream *in)
{
	size_t at = 0;
	struct wire_header hdr;

	while (in->len - at >= sizeof(hdr)) {
		memcpy(&hdr, in->bytes + at, sizeof(hdr));
		fuzz_check(hdr.msg_size >= sizeof(hdr) && hdr.msg_size <= WIRE_MAX_MSG,
			   "a message has a length");
		if (in->len - at < hdr.msg_size)
			break;
		if ((hdr.flags & WIRE_TYPE_MASK) == WIRE_TYPE_COMMAND) {
			take_command(client, &hdr, in->bytes + at + sizeof(hdr));
		} else {
			fuzz_check(!(hdr.flags & ~(uint32_t)(WIRE_TYPE_REPLY | WIRE_ERROR)),
				   "a reply is nothing else: %#x", hdr.flags);
			fuzz_check(in == &client->in, "the twin brings no replies");
			take_reply(client, &hdr);
		}
		at += hdr.msg_size;
	}
	in->len -= at;
	memmove(in->bytes, in->bytes + at, in->len);
}

/* SOCK_*; 0: it is no socket. */
static int socket_type(int fd)
{
	int type = 0;
	socklen_t len = sizeof(type);

	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) ? 0 : type;
}

static void take_fds(struct fuzzclient *client, const int *fds, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++) {
		if (socket_type(fds[i]) == SOCK_STREAM && client->twin < 0)
			client->twin = fds[i];
		else if (socket_type(fds[i]) == SOCK_SEQPACKET &&
			 client->nr_spans < FUZZCLIENT_MAX_SPANS)
			client->spans[client->nr_spans++] = fds[i];
		else if (fd_is_eventfd(fds[i]) && client->nr_rings < FUZZCLIENT_MAX_RINGS)
			client->rings[client->nr_rings++] = fds[i];
		else
			close(fds[i]);
	}
}

static ssize_t receive_some(struct fuzzclient *client, int fd, struct fuzzclient_stream *in)
{
	uint8_t control[CMSG_SPACE(sizeof(int) * RING_MAX_FDS)];
	struct iovec iov;
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;

	if (in->room - in->len < 65536) {
		in->room = in->len + 131072;
		in->bytes = realloc(in->bytes, in->room);
		fuzz_check(in->bytes, "there is memory");
	}
	iov = (struct iovec){ in->bytes + in->len, in->room - in->len };
	msg.msg_control = control;
	msg.msg_controllen = sizeof(control);
	n = recvmsg(fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	for (struct cmsghdr *cmsg = n < 0 ? NULL : CMSG_FIRSTHDR(&msg); cmsg;
	     cmsg = CMSG_NXTHDR(&msg, cmsg)) {
		int fds[RING_MAX_FDS];
		size_t len = cmsg->cmsg_len - CMSG_LEN(0);

		memcpy(fds, CMSG_DATA(cmsg), len);
		take_fds(client, fds, (unsigned int)(len / sizeof(int)));
	}
	if (n > 0)
		in->len += (size_t)n;
	return n;
}

void fuzzclient_order(struct fuzzclient *client, unsigned int which, const void *bytes, size_t len)
{
	if (!client->nr_spans)
		return;
	send_piece(client->spans[which % client->nr_spans], bytes, len, client->fds,
		   client->nr_fds);
	client->nr_fds = 0;
}

/* Answers to orders. */
static void receive_span(int fd)
{
	struct wire_ioregion_resp resp;
	ssize_t n;

	while ((n = recv(fd, &resp, sizeof(resp), MSG_DONTWAIT | MSG_TRUNC)) > 0)
		fuzz_check(n == sizeof(resp), "an answer is a packet of its length");
}

bool fuzzclient_receive(struct fuzzclient *client)
{
	bool found = false;
	ssize_t n = 1;

	while (!client->is_deaf && client->fd >= 0 && n > 0) {
		n = receive_some(client, client->fd, &client->in);
		found |= n > 0;
		take_messages(client, &client->in);
		if (!n || (n < 0 && errno != EAGAIN))
			fuzzclient_close(client); /* the server has hung up: nothing is owed */
	}
	for (unsigned int i = 0; !client->is_deaf && i < client->nr_spans; i++)
		receive_span(client->spans[i]);
	n = 1;
	while (!client->is_deaf && client->twin >= 0 && n > 0) {
		n = receive_some(client, client->twin, &client->twin_in);
		found |= n > 0;
		take_messages(client, &client->twin_in);
	}
	return found;
}

/* ---- life ---- */

static void drop_stream(struct fuzzclient_stream *stream)
{
	free(stream->bytes);
	*stream = (struct fuzzclient_stream){ 0 };
}

void fuzzclient_open(struct fuzzclient *client, int fd)
{
	*client = (struct fuzzclient){ .fd = fd, .twin = -1 };
}

void fuzzclient_close(struct fuzzclient *client)
{
	client->may_end = true;
	client->nr_owed = 0;
	client->nr_asked = 0;
	cleanup_close(&client->fd);
	cleanup_close(&client->twin);
	client->fd = client->twin = -1;
	while (client->nr_rings)
		close(client->rings[--client->nr_rings]);
	while (client->nr_spans)
		close(client->spans[--client->nr_spans]);
	drop_stream(&client->in);
	drop_stream(&client->twin_in);
}
