/* SPDX-License-Identifier: BSD-3-Clause */
#include "session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "caps.h"
#include "channel.h"
#include "cleanup.h"
#include "feature.h"
#include "iofd.h"
#include "log.h"
#include "region.h"

/* A peer that sends nothing but nonsense gets this many lines in the log, and one that says so. */
#define MAX_COMPLAINTS 32

struct session {
	struct channel channel;
	struct fp_device *dev;
	struct session_options options;
	struct ring_hook reap;
	struct caps peer;
	bool negotiated;
	bool doomed; /* to be closed after this message */
	unsigned int complaints;
};

/*
 * A command that is being answered. Its handler either fills `reply` and says how long it is, or
 * returns -errno, having named in `field` what was wrong.
 */
struct request {
	struct session *session;
	struct channel_msg *msg;
	const char *field;
	int fds[RING_MAX_FDS]; /* to go with the reply, borrowed */
	unsigned int nr_fds;
};

/* The length of the reply's body, bytes, or -errno. The body is zeroed and `reply_max` long. */
typedef ssize_t command_fn(struct request *request, void *reply);

/* What every message with the command has to look like, and who answers it. */
struct command {
	command_fn *run;
	size_t min; /* bytes of body without which it is refused */
	size_t max; /* bytes of body above which it is refused; 0: `min` */
	unsigned int max_fds;
	size_t reply;				       /* bytes that its answer may need */
	size_t (*more)(const struct request *request); /* and these, when it varies */
};

/* Room for the JSON that answers VERSION. */
#define VERSION_JSON_BYTES 256

static ssize_t refuse(struct request *request, const char *field, int error)
{
	request->field = field;
	return error;
}

/* The fixed part of an answer. Replies lie behind one another, at any alignment. */
static ssize_t answer(void *reply, const void *fixed, size_t len)
{
	memcpy(reply, fixed, len);
	return (ssize_t)len;
}

/* ---- the commands ---- */

static ssize_t do_version(struct request *request, void *reply)
{
	struct session *session = request->session;
	const struct channel_msg *msg = request->msg;
	struct wire_version version = { .major = WIRE_MAJOR, .minor = WIRE_MINOR };
	struct wire_version asked;
	const char *why;
	int len;

	memcpy(&asked, msg->body, sizeof(asked));
	if (session->negotiated)
		return refuse(request, "VERSION, the second", -EINVAL);
	if (asked.major != WIRE_MAJOR) {
		session->doomed = true;
		return refuse(request, "major", -EINVAL);
	}
	if (caps_parse(msg->body + sizeof(asked), msg->body_len - sizeof(asked), &session->peer,
		       &why))
		return refuse(request, why, -EINVAL);
	if (asked.minor < version.minor)
		version.minor = asked.minor;
	len = caps_format(&caps_ours, (char *)reply + sizeof(version), VERSION_JSON_BYTES);
	if (len < 0)
		return len;
	session->negotiated = true;
	return answer(reply, &version, sizeof(version)) + len;
}

static ssize_t do_dma_map(struct request *request, void *reply)
{
	struct wire_dma_map map;

	(void)reply;
	memcpy(&map, request->msg->body, sizeof(map));
	if (map.argsz < sizeof(map))
		return refuse(request, "argsz", -EINVAL);
	return dma_map(&request->session->dev->dma, &map, channel_take_fd(request->msg, 0),
		       &request->field);
}

static ssize_t do_dma_unmap(struct request *request, void *reply)
{
	struct wire_dma_unmap unmap;
	int ret;

	memcpy(&unmap, request->msg->body, sizeof(unmap));
	if (unmap.argsz < sizeof(unmap))
		return refuse(request, "argsz", -EINVAL);
	ret = dma_unmap(&request->session->dev->dma, &unmap, &request->field);
	if (ret)
		return ret;
	return answer(reply, &unmap, sizeof(unmap));
}

static ssize_t device_info(struct request *request, void *reply)
{
	struct wire_device_info info = {
		.argsz = sizeof(info),
		.flags = WIRE_DEVICE_RESETTABLE | WIRE_DEVICE_PCI,
		.num_regions = FP_NR_REGIONS,
		.num_irqs = FP_NR_IRQS,
	};
	uint32_t argsz;

	memcpy(&argsz, request->msg->body, sizeof(argsz));
	if (argsz < sizeof(info))
		return refuse(request, "argsz", -EINVAL);
	return answer(reply, &info, sizeof(info));
}

static ssize_t region_info(struct request *request, void *reply)
{
	struct wire_region_info info, asked;
	const struct fp_region *region;

	memcpy(&asked, request->msg->body, sizeof(asked));
	if (asked.argsz < sizeof(info))
		return refuse(request, "argsz", -EINVAL);
	if (asked.index >= FP_NR_REGIONS)
		return refuse(request, "index", -EINVAL);
	region = &request->session->dev->regions[asked.index];
	info = (struct wire_region_info){
		.argsz = sizeof(info),
		.index = asked.index,
		.size = region->size,
	};
	if (region->size)
		info.flags = WIRE_REGION_READABLE |
			     (region->flags & FP_REGION_READ_ONLY ? 0 : WIRE_REGION_WRITEABLE);
	return answer(reply, &info, sizeof(info));
}

static size_t entry_bytes(const struct session *session)
{
	return session->options.io_fds == SESSION_IO_FDS_SPEC ? sizeof(struct wire_io_fd_spec) :
								sizeof(struct wire_io_fd_deployed);
}

/*
 * How many entries the client is told of. Each has an fd of its own and all travel in one message;
 * what a client is not told of it reaches by message, so that a smaller answer is a correct one.
 */
static uint32_t io_fds_offered(const struct session *session, uint32_t index)
{
	uint32_t nr = iofd_count(session->dev, index);
	uint32_t limit = session->peer.max_msg_fds;

	if (limit > RING_MAX_FDS)
		limit = RING_MAX_FDS;
	return nr < limit ? nr : limit;
}

/* The layout is chosen by the user: both hold the same, the published one less. */
static void put_entry(const struct session *session, uint8_t *at,
		      const struct wire_io_fd_deployed *entry)
{
	struct wire_io_fd_spec spec = {
		.offset = entry->offset,
		.size = entry->size,
		.fd_index = entry->fd_index,
		.type = entry->type,
		.flags = entry->flags,
		.datamatch = entry->datamatch,
	};

	if (session->options.io_fds == SESSION_IO_FDS_SPEC)
		memcpy(at, &spec, sizeof(spec));
	else
		memcpy(at, entry, sizeof(*entry));
}

static ssize_t region_io_fds(struct request *request, void *reply)
{
	struct session *session = request->session;
	struct wire_region_io_fds fixed, asked;
	struct wire_io_fd_deployed entry;
	const struct iofd *iofds;
	uint32_t offered, nr;

	memcpy(&asked, request->msg->body, sizeof(asked));
	if (asked.argsz < sizeof(fixed))
		return refuse(request, "argsz", -EINVAL);
	if (asked.flags)
		return refuse(request, "flags", -EINVAL);
	if (asked.index >= FP_NR_REGIONS)
		return refuse(request, "index", -EINVAL);
	if (asked.count)
		return refuse(request, "count", -EINVAL);
	offered = io_fds_offered(session, asked.index);
	fixed = (struct wire_region_io_fds){
		.argsz = (uint32_t)(sizeof(fixed) + offered * entry_bytes(session)),
		.index = asked.index,
		.count = offered,
	};
	if (asked.argsz < fixed.argsz || !offered)
		return answer(reply, &fixed, sizeof(fixed));
	/* When there are no fds to be had, a region without any is a correct answer. */
	if (iofd_publish(session->dev, asked.index, &iofds, &nr)) {
		fixed.argsz = sizeof(fixed);
		fixed.count = 0;
		return answer(reply, &fixed, sizeof(fixed));
	}
	for (uint32_t i = 0; i < offered; i++) {
		iofd_entry(&iofds[i], i, &entry);
		put_entry(session, (uint8_t *)reply + sizeof(fixed) + i * entry_bytes(session),
			  &entry);
		request->fds[i] = iofds[i].fd;
	}
	request->nr_fds = offered;
	answer(reply, &fixed, sizeof(fixed));
	return fixed.argsz;
}

static ssize_t irq_info(struct request *request, void *reply)
{
	struct wire_irq_info info, asked;

	memcpy(&asked, request->msg->body, sizeof(asked));
	if (asked.argsz < sizeof(info))
		return refuse(request, "argsz", -EINVAL);
	if (asked.index >= FP_NR_IRQS)
		return refuse(request, "index", -EINVAL);
	info = (struct wire_irq_info){
		.argsz = sizeof(info),
		.flags = request->session->dev->irqs[asked.index].flags,
		.index = asked.index,
		.count = request->session->dev->irqs[asked.index].count,
	};
	return answer(reply, &info, sizeof(info));
}

static ssize_t set_irqs(struct request *request, void *reply)
{
	const struct channel_msg *msg = request->msg;
	struct wire_irq_set set;
	struct irq_request irqs;

	(void)reply;
	memcpy(&set, msg->body, sizeof(set));
	if (set.argsz < sizeof(set))
		return refuse(request, "argsz", -EINVAL);
	if (set.index >= FP_NR_IRQS)
		return refuse(request, "index", -EINVAL);
	if (set.flags & WIRE_IRQ_DATA_BOOL && set.count > msg->body_len - sizeof(set))
		return refuse(request, "count", -EINVAL);
	irqs = (struct irq_request){
		.flags = set.flags,
		.start = set.start,
		.count = set.count,
		.bools = msg->body + sizeof(set),
		.fds = msg->fds,
		.nr_fds = msg->nr_fds,
	};
	return irq_set(&request->session->dev->irqs[set.index], &irqs, &request->field);
}

static size_t region_read_count(const struct request *request)
{
	struct wire_region_access access;

	memcpy(&access, request->msg->body, sizeof(access));
	return access.count <= caps_ours.max_data_xfer_size ? access.count : 0;
}

static ssize_t region_read(struct request *request, void *reply)
{
	struct wire_region_access access;
	int ret;

	memcpy(&access, request->msg->body, sizeof(access));
	if (access.count > caps_ours.max_data_xfer_size)
		return refuse(request, "count", -EINVAL);
	ret = region_access(request->session->dev, access.region, access.offset,
			    (uint8_t *)reply + sizeof(access), access.count, false,
			    &request->field);
	return ret ? ret : answer(reply, &access, sizeof(access)) + access.count;
}

static ssize_t region_write(struct request *request, void *reply)
{
	const struct channel_msg *msg = request->msg;
	struct wire_region_access access;
	int ret;

	memcpy(&access, msg->body, sizeof(access));
	if (access.count != msg->body_len - sizeof(access) ||
	    access.count > caps_ours.max_data_xfer_size)
		return refuse(request, "count", -EINVAL);
	ret = region_access(request->session->dev, access.region, access.offset,
			    (void *)(msg->body + sizeof(access)), access.count, true,
			    &request->field);
	return ret ? ret : answer(reply, &access, sizeof(access));
}

static ssize_t reset(struct request *request, void *reply)
{
	(void)reply;
	device_reset(request->session->dev);
	return 0;
}

static struct feature_call feature_call(const struct request *request)
{
	const struct session *session = request->session;
	uint64_t theirs = session->peer.max_data_xfer_size;

	return (struct feature_call){
		.dev = session->dev,
		.body = request->msg->body,
		.len = request->msg->body_len,
		.max_data = theirs < caps_ours.max_data_xfer_size ? theirs :
								    caps_ours.max_data_xfer_size,
	};
}

static size_t device_feature_room(const struct request *request)
{
	struct feature_call call = feature_call(request);

	return feature_room(&call);
}

static ssize_t device_feature(struct request *request, void *reply)
{
	struct feature_call call = feature_call(request);
	ssize_t ret = feature_run(&call, reply);

	request->field = call.field;
	return ret;
}

static size_t mig_data_read_room(const struct request *request)
{
	struct feature_call call = feature_call(request);

	return feature_mig_read_room(&call);
}

static ssize_t mig_data_read(struct request *request, void *reply)
{
	struct feature_call call = feature_call(request);
	ssize_t ret = feature_mig_read(&call, reply);

	request->field = call.field;
	return ret;
}

static ssize_t mig_data_write(struct request *request, void *reply)
{
	struct feature_call call = feature_call(request);
	ssize_t ret;

	(void)reply;
	call.max_data = caps_ours.max_data_xfer_size;
	ret = feature_mig_write(&call);
	request->field = call.field;
	return ret;
}

/*
 * Most bodies may be longer than their fixed part: a newer peer's structure may have grown, and
 * some send more than they need to.
 */
#define ANY WIRE_MAX_MSG

static const struct command commands[WIRE_CMD_END] = {
	[WIRE_VERSION] = {
		.run = do_version,
		.min = sizeof(struct wire_version),
		.max = ANY,
		.reply = sizeof(struct wire_version) + VERSION_JSON_BYTES,
	},
	[WIRE_DMA_MAP] = {
		.run = do_dma_map,
		.min = sizeof(struct wire_dma_map),
		.max = ANY,
		.max_fds = 1,
	},
	[WIRE_DMA_UNMAP] = {
		.run = do_dma_unmap,
		.min = sizeof(struct wire_dma_unmap),
		.max = ANY,
		.reply = sizeof(struct wire_dma_unmap),
	},
	[WIRE_DEVICE_GET_INFO] = {
		.run = device_info,
		.min = sizeof(struct wire_device_info),
		.max = ANY,
		.reply = sizeof(struct wire_device_info),
	},
	[WIRE_DEVICE_GET_REGION_INFO] = {
		.run = region_info,
		.min = sizeof(struct wire_region_info),
		.max = ANY,
		.reply = sizeof(struct wire_region_info),
	},
	[WIRE_DEVICE_GET_REGION_IO_FDS] = {
		.run = region_io_fds,
		.min = sizeof(struct wire_region_io_fds),
		.max = ANY,
		.reply = sizeof(struct wire_region_io_fds) +
			 RING_MAX_FDS * sizeof(struct wire_io_fd_deployed),
	},
	[WIRE_DEVICE_GET_IRQ_INFO] = {
		.run = irq_info,
		.min = sizeof(struct wire_irq_info),
		.max = ANY,
		.reply = sizeof(struct wire_irq_info),
	},
	[WIRE_DEVICE_SET_IRQS] = {
		.run = set_irqs,
		.min = sizeof(struct wire_irq_set),
		.max = ANY,
		.max_fds = RING_MAX_FDS,
	},
	[WIRE_REGION_READ] = {
		.run = region_read,
		.min = sizeof(struct wire_region_access),
		.reply = sizeof(struct wire_region_access),
		.more = region_read_count,
	},
	[WIRE_REGION_WRITE] = {
		.run = region_write,
		.min = sizeof(struct wire_region_access),
		.max = ANY,
		.reply = sizeof(struct wire_region_access),
	},
	[WIRE_DEVICE_RESET] = {
		.run = reset,
		.max = ANY,
	},
	[WIRE_DEVICE_FEATURE] = {
		.run = device_feature,
		.min = sizeof(struct wire_device_feature),
		.max = ANY,
		.more = device_feature_room,
	},
	[WIRE_MIG_DATA_READ] = {
		.run = mig_data_read,
		.min = sizeof(struct wire_mig_data),
		.max = ANY,
		.more = mig_data_read_room,
	},
	[WIRE_MIG_DATA_WRITE] = {
		.run = mig_data_write,
		.min = sizeof(struct wire_mig_data),
		.max = ANY,
	},
};

/* ---- dispatch ---- */

static void complain(struct session *session, const struct channel_msg *msg, const char *what,
		     int error)
{
	if (session->complaints == MAX_COMPLAINTS)
		log_warn("%s: this client's further refusals are not logged", session->dev->name);
	if (session->complaints++ >= MAX_COMPLAINTS)
		return;
	log_warn("%s: %s (%u) refused: %s: %s", session->dev->name, wire_cmd_name(msg->hdr.cmd),
		 msg->hdr.cmd, what, strerror(-error));
}

/* What a message may look like, for every command in one place. NULL when `command` may see it. */
static const char *check(const struct channel_msg *msg, const struct command *command, int *error)
{
	*error = -EINVAL;
	if ((msg->hdr.flags & WIRE_TYPE_MASK) != WIRE_TYPE_COMMAND)
		return "it is not a command";
	if (!command->run) {
		*error = -EOPNOTSUPP;
		return "the command is not served here";
	}
	if (msg->too_long || msg->body_len > (command->max ? command->max : command->min))
		return "msg_size is too large";
	if (msg->body_len < command->min)
		return "msg_size is too small";
	if (msg->fds_lost || msg->nr_fds > command->max_fds)
		return "it brings too many fds";
	return NULL;
}

static void answer_error(struct session *session, const struct wire_header *hdr, int error)
{
	struct wire_header reply = {
		.msg_id = hdr->msg_id,
		.cmd = hdr->cmd,
		.flags = WIRE_TYPE_REPLY | WIRE_ERROR,
		.error_no = (uint32_t)-error,
	};

	if (hdr->flags & WIRE_NO_REPLY)
		return;
	if (channel_begin(&session->channel, 0))
		channel_commit(&session->channel, &reply, 0, NULL, 0);
}

static void run(struct session *session, struct channel_msg *msg, const struct command *command)
{
	struct request request = { .session = session, .msg = msg };
	struct wire_header hdr = {
		.msg_id = msg->hdr.msg_id,
		.cmd = msg->hdr.cmd,
		.flags = WIRE_TYPE_REPLY,
	};
	size_t room = command->reply + (command->more ? command->more(&request) : 0);
	void *reply = channel_begin(&session->channel, room);
	ssize_t len;

	if (!reply)
		return;
	memset(reply, 0, room);
	len = command->run(&request, reply);
	if (len < 0) {
		complain(session, msg, request.field ? request.field : "it", (int)len);
		if (!session->doomed)
			answer_error(session, &msg->hdr, (int)len);
	} else if (!(msg->hdr.flags & WIRE_NO_REPLY)) {
		channel_commit(&session->channel, &hdr, (size_t)len, request.fds, request.nr_fds);
	}
}

static void on_gone(struct channel *channel, const char *why);

static void on_message(struct channel *channel, struct channel_msg *msg)
{
	static const struct command none = { 0 };
	struct session *session = (struct session *)channel;
	const struct command *command =
		msg->hdr.cmd < WIRE_CMD_END ? &commands[msg->hdr.cmd] : &none;
	const char *why;
	int error;

	why = check(msg, command, &error);
	if (!session->negotiated && (why || msg->hdr.cmd != WIRE_VERSION)) {
		channel_close(channel);
		on_gone(channel, why ? why : "its first message is not VERSION");
		return;
	}
	if (why) {
		complain(session, msg, why, error);
		if ((msg->hdr.flags & WIRE_TYPE_MASK) == WIRE_TYPE_COMMAND)
			answer_error(session, &msg->hdr, error);
		return;
	}
	run(session, msg, command);
	if (session->doomed) {
		channel_close(channel);
		on_gone(channel, NULL);
	}
}

static void reap(struct ring_hook *hook)
{
	struct session *session = (struct session *)((char *)hook - offsetof(struct session, reap));

	channel_free(&session->channel);
	free(session);
}

static void on_gone(struct channel *channel, const char *why)
{
	struct session *session = (struct session *)channel;

	if (why)
		log_warn("%s: connection closed: %s", session->dev->name, why);
	device_detach(session->dev);
	session->options.ended(session->options.opaque);
	ring_before_submit(session->dev->ring, &session->reap);
}

static const struct channel_ops channel_ops = { .message = on_message, .gone = on_gone };

int session_open(struct fp_device *dev, int fd, const struct session_options *options,
		 struct session **out)
{
	struct session *session = calloc(1, sizeof(*session));

	if (!session) {
		close(fd);
		return -ENOMEM;
	}
	session->dev = dev;
	session->options = *options;
	session->reap.run = reap;
	channel_open(&session->channel, dev->ring, fd, &channel_ops);
	*out = session;
	return 0;
}

void session_close(struct session *session)
{
	channel_close(&session->channel);
	device_detach(session->dev);
	reap(&session->reap);
}
