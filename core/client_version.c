/* SPDX-License-Identifier: BSD-3-Clause */
/* VERSION: what the client offers, and what it makes of the answer. */
#include "client_call.h"

#include <errno.h>
#include <sys/socket.h>

#include "caps.h"
#include "cleanup.h"
#include "log.h"

/* More JSON than any server has reason to send. */
#define MAX_JSON 4092u

struct version_msg {
	struct wire_version version;
	char json[MAX_JSON];
};

static bool wants_twin(const struct fpc *client)
{
	return !client->no_fds && !(client->flags & FPC_NO_TWIN_SOCKET);
}

static ssize_t offer(const struct fpc *client, struct version_msg *out)
{
	struct caps ours = caps_ours;
	int json;

	/* A server's answer may bring as many fds as the ring can take. */
	ours.max_msg_fds = client->no_fds ? 0 : RING_MAX_FDS;
	ours.write_multiple = true;
	ours.twin_socket = wants_twin(client);
	ours.shadow_ioeventfd = !client->no_fds && client->flags & FPC_SHADOW_IOEVENTFD;
	ours.vm_interrupt = client->no_fds;
	out->version = (struct wire_version){ WIRE_MAJOR, WIRE_MINOR };
	json = caps_format(&ours, out->json, sizeof(out->json));
	return json < 0 ? json : (ssize_t)sizeof(out->version) + json;
}

static int check(const struct version_msg *in, ssize_t len, struct caps *theirs)
{
	const char *why;

	if (len < (ssize_t)sizeof(in->version) || len > (ssize_t)sizeof(*in)) {
		log_error("the server's answer to VERSION is %zd bytes long", len);
		return -EPROTO;
	}
	if (in->version.major != WIRE_MAJOR || in->version.minor > WIRE_MINOR) {
		log_error("the server speaks version %u.%u, not %u.%u", in->version.major,
			  in->version.minor, WIRE_MAJOR, WIRE_MINOR);
		return -EPROTO;
	}
	if (caps_parse(in->json, (size_t)len - sizeof(in->version), theirs, &why)) {
		log_error("the server's capabilities: %s is not acceptable", why);
		return -EPROTO;
	}
	return 0;
}

static bool is_stream_socket(int fd)
{
	int type;
	socklen_t len = sizeof(type);

	return !getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) && type == SOCK_STREAM;
}

/* The fd that the server says is the twin's, if we asked for one. */
static int take_twin(const struct fpc *client, const struct caps *theirs, struct call *call,
		     int *twin)
{
	if (!theirs->twin_socket || !wants_twin(client))
		return 0;
	if (theirs->twin_fd_index >= call->nr_reply_fds ||
	    !is_stream_socket(call->reply_fds[theirs->twin_fd_index])) {
		log_error("the server's capabilities: twin_socket names no socket that was sent");
		return -EPROTO;
	}
	*twin = take_fd(&call->reply_fds[theirs->twin_fd_index]);
	return 0;
}

int fpc_negotiate(struct fpc *client, int *twin)
{
	CLEANUP_FREE struct version_msg *msg = calloc(2, sizeof(*msg));
	struct call call = { .cmd = WIRE_VERSION };
	struct caps theirs;
	ssize_t len;
	int ret;

	if (!msg)
		return -ENOMEM;
	len = offer(client, &msg[0]);
	if (len < 0)
		return (int)len;
	call.out[0] = (struct part){ &msg[0], (size_t)len };
	call.in[0] = (struct part){ &msg[1], sizeof(msg[1]) };
	len = fpc_run(client, &call);
	ret = len < 0 ? (int)len : check(&msg[1], len, &theirs);
	if (!ret)
		ret = take_twin(client, &theirs, &call, twin);
	fpc_close_fds(&call);
	if (ret)
		return ret;
	client->limits = (struct fpc_limits){
		.minor = msg[1].version.minor,
		.max_msg_fds = client->no_fds ? 0 : theirs.max_msg_fds,
		.max_data_xfer = theirs.max_data_xfer_size,
		.max_dma_maps = theirs.max_dma_maps,
		.pgsizes = theirs.pgsizes,
		.write_multiple = theirs.write_multiple,
		.twin_socket = *twin >= 0,
		.vm_interrupt = client->no_fds && theirs.vm_interrupt,
	};
	return 0;
}
