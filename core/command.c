/* SPDX-License-Identifier: BSD-3-Clause */
#include "command.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "cleanup.h"
#include "feature.h"
#include "iofd.h"
#include "region.h"

/* Room for the JSON that answers VERSION. */
#define VERSION_JSON_BYTES 256

/* The fixed part of an answer. Replies lie behind one another, at any alignment. */
static ssize_t answer(void *reply, const void *fixed, size_t len)
{
	memcpy(reply, fixed, len);
	return (ssize_t)len;
}

/* A second socket, for what the server asks: its other end goes out with the answer. */
static int make_twin(struct request *request)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return -errno;
	request->peer->twin_fd = pair[0];
	request->own_fd = pair[1];
	request->fds[0] = pair[1];
	request->nr_fds = 1;
	return 0;
}

/* Where fds can't travel neither end takes any, and messages stand for the eventfds of interrupts. */
static void agree_on_fds(struct command_peer *peer, struct caps *ours)
{
	if (peer->no_fds) {
		peer->caps.max_msg_fds = 0;
		peer->caps.shadow_ioeventfd = false;
		ours->max_msg_fds = 0;
	}
	peer->caps.vm_interrupt = peer->caps.vm_interrupt && peer->no_fds;
	ours->vm_interrupt = peer->caps.vm_interrupt;
}

static ssize_t do_version(struct request *request, void *reply)
{
	struct command_peer *peer = request->peer;
	const struct channel_msg *msg = request->msg;
	struct wire_version version = { .major = WIRE_MAJOR, .minor = WIRE_MINOR };
	struct caps ours = request->dev->caps;
	struct wire_version asked;
	const char *why;
	int len;

	memcpy(&asked, msg->body, sizeof(asked));
	if (peer->negotiated)
		return refuse(&request->why, "VERSION, the second", -EINVAL);
	if (asked.major != WIRE_MAJOR) {
		peer->doomed = true;
		return refuse_value(&request->why, "major", asked.major, -EINVAL);
	}
	if (caps_parse(msg->body + sizeof(asked), msg->body_len - sizeof(asked), &peer->caps, &why))
		return refuse_member(&request->why, why, msg->body + sizeof(asked),
				     msg->body_len - sizeof(asked));
	agree_on_fds(peer, &ours);
	if (asked.minor < version.minor)
		version.minor = asked.minor;
	ours.shadow_ioeventfd = peer->caps.shadow_ioeventfd;
	ours.twin_socket = peer->caps.twin_socket && peer->caps.max_msg_fds && !make_twin(request);
	len = caps_format(&ours, (char *)reply + sizeof(version), VERSION_JSON_BYTES);
	if (len < 0)
		return len;
	peer->negotiated = true;
	device_attach(request->dev, peer->caps.vm_interrupt);
	return answer(reply, &version, sizeof(version)) + len;
}

static ssize_t do_dma_map(struct request *request, void *reply)
{
	struct wire_dma_map map;

	(void)reply;
	memcpy(&map, request->msg->body, sizeof(map));
	if (map.argsz < sizeof(map))
		return refuse_value(&request->why, "argsz", map.argsz, -EINVAL);
	return dma_map(&request->dev->dma, &map, channel_take_fd(request->msg, 0), &request->why);
}

static ssize_t do_dma_unmap(struct request *request, void *reply)
{
	struct wire_dma_unmap unmap;
	int ret;

	memcpy(&unmap, request->msg->body, sizeof(unmap));
	if (unmap.argsz < sizeof(unmap))
		return refuse_value(&request->why, "argsz", unmap.argsz, -EINVAL);
	ret = dma_unmap(&request->dev->dma, &unmap, &request->why);
	if (ret)
		return ret;
	return answer(reply, &unmap, sizeof(unmap));
}

static ssize_t device_info(struct request *request, void *reply)
{
	struct wire_device_info info = {
		.argsz = sizeof(info),
		.flags = WIRE_DEVICE_RESETTABLE | WIRE_DEVICE_PCI,
		.num_regions = request->dev->nr_regions,
		.num_irqs = FP_NR_IRQS,
	};
	uint32_t argsz;

	memcpy(&argsz, request->msg->body, sizeof(argsz));
	if (argsz < sizeof(info))
		return refuse_value(&request->why, "argsz", argsz, -EINVAL);
	return answer(reply, &info, sizeof(info));
}

static ssize_t do_region_info(struct request *request, void *reply)
{
	struct wire_region_info asked;
	ssize_t len;

	memcpy(&asked, request->msg->body, sizeof(asked));
	len = region_info(request->dev, &asked, request->peer->caps.max_msg_fds, reply,
			  &request->fds[0], &request->why);
	request->nr_fds = len >= 0 && request->fds[0] >= 0;
	return len;
}

static size_t entry_bytes(const struct command_peer *peer)
{
	return peer->io_fds == COMMAND_IO_FDS_SPEC ? sizeof(struct wire_io_fd_spec) :
						     sizeof(struct wire_io_fd_deployed);
}

static size_t region_io_fds_room(const struct request *request)
{
	struct wire_region_io_fds asked;

	memcpy(&asked, request->msg->body, sizeof(asked));
	return iofd_most(request->dev, asked.index) * entry_bytes(request->peer);
}

/* The layout is chosen by the user: both hold the same, the published one less. */
static void put_entry(const struct command_peer *peer, uint8_t *at,
		      const struct wire_io_fd_deployed *entry)
{
	bool is_region = entry->type == WIRE_IO_FD_IOREGIONFD;
	struct wire_io_fd_spec spec = {
		.offset = entry->offset,
		.size = entry->size,
		.fd_index = entry->fd_index,
		.type = entry->type,
		.flags = entry->flags,
		.datamatch = is_region ? entry->shadow_offset : entry->datamatch,
	};

	if (peer->io_fds == COMMAND_IO_FDS_SPEC)
		memcpy(at, &spec, sizeof(spec));
	else
		memcpy(at, entry, sizeof(*entry));
}

/*
 * What the client can make use of. All fds travel in one message; what a client is not told of it
 * reaches by message, so that a smaller answer is a correct one.
 */
static struct iofds *plan_io_fds(struct request *request, uint32_t index)
{
	const struct command_peer *peer = request->peer;
	struct iofd_client client = {
		.max_fds = peer->caps.max_msg_fds,
		.shadow = peer->caps.shadow_ioeventfd && peer->io_fds == COMMAND_IO_FDS_DEPLOYED,
	};

	return iofd_plan(request->dev, index, &client);
}

static int put_io_fds(struct request *request, const struct iofds *iofds, uint8_t *at)
{
	uint32_t nr = iofd_count(iofds);
	CLEANUP_FREE struct wire_io_fd_deployed *entries = calloc(nr, sizeof(*entries));

	if (!entries)
		return -ENOMEM;
	request->nr_fds = iofd_tell(iofds, entries, request->fds);
	for (uint32_t i = 0; i < nr; i++)
		put_entry(request->peer, at + i * entry_bytes(request->peer), &entries[i]);
	return 0;
}

static ssize_t region_io_fds(struct request *request, void *reply)
{
	struct wire_region_io_fds fixed, asked;
	struct iofds *iofds;

	memcpy(&asked, request->msg->body, sizeof(asked));
	if (asked.argsz < sizeof(fixed))
		return refuse_value(&request->why, "argsz", asked.argsz, -EINVAL);
	if (asked.flags)
		return refuse_value(&request->why, "flags", asked.flags, -EINVAL);
	if (asked.index >= request->dev->nr_regions)
		return refuse_value(&request->why, "index", asked.index, -EINVAL);
	if (asked.count)
		return refuse_value(&request->why, "count", asked.count, -EINVAL);
	iofds = plan_io_fds(request, asked.index);
	fixed = (struct wire_region_io_fds){ .index = asked.index, .count = iofd_count(iofds) };
	fixed.argsz = (uint32_t)(sizeof(fixed) + fixed.count * entry_bytes(request->peer));
	if (asked.argsz < fixed.argsz || !fixed.count)
		return answer(reply, &fixed, sizeof(fixed));
	/* When there are no fds to be had, a region without any is a correct answer. */
	if (iofd_publish(iofds) || put_io_fds(request, iofds, (uint8_t *)reply + sizeof(fixed))) {
		fixed.argsz = sizeof(fixed);
		fixed.count = 0;
		return answer(reply, &fixed, sizeof(fixed));
	}
	answer(reply, &fixed, sizeof(fixed));
	return fixed.argsz;
}

static ssize_t irq_info(struct request *request, void *reply)
{
	struct wire_irq_info info, asked;

	memcpy(&asked, request->msg->body, sizeof(asked));
	if (asked.argsz < sizeof(info))
		return refuse_value(&request->why, "argsz", asked.argsz, -EINVAL);
	if (asked.index >= FP_NR_IRQS)
		return refuse_value(&request->why, "index", asked.index, -EINVAL);
	info = (struct wire_irq_info){
		.argsz = sizeof(info),
		.flags = request->dev->irqs[asked.index].flags,
		.index = asked.index,
		.count = request->dev->irqs[asked.index].count,
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
		return refuse_value(&request->why, "argsz", set.argsz, -EINVAL);
	if (set.index >= FP_NR_IRQS)
		return refuse_value(&request->why, "index", set.index, -EINVAL);
	if (set.flags & WIRE_IRQ_DATA_BOOL && set.count > msg->body_len - sizeof(set))
		return refuse_value(&request->why, "count", set.count, -EINVAL);
	irqs = (struct irq_request){
		.flags = set.flags,
		.start = set.start,
		.count = set.count,
		.bools = msg->body + sizeof(set),
		.fds = msg->fds,
		.nr_fds = msg->nr_fds,
	};
	return irq_set(&request->dev->irqs[set.index], &irqs, &request->why);
}

static size_t region_read_count(const struct request *request)
{
	struct wire_region_access access;

	memcpy(&access, request->msg->body, sizeof(access));
	return access.count <= request->dev->caps.max_data_xfer_size ? access.count : 0;
}

static ssize_t later(int ret)
{
	return ret == FP_LATER ? COMMAND_LATER : ret;
}

static ssize_t region_read(struct request *request, void *reply)
{
	struct wire_region_access access;
	int ret;

	memcpy(&access, request->msg->body, sizeof(access));
	request->dev->road = ROAD_SOCKET;
	if (access.count > request->dev->caps.max_data_xfer_size)
		return refuse_value(&request->why, "count", access.count, -EINVAL);
	ret = region_access(request->dev, access.region, access.offset,
			    (uint8_t *)reply + sizeof(access), access.count, false, &request->later,
			    &request->why);
	return ret ? later(ret) : answer(reply, &access, sizeof(access)) + (ssize_t)access.count;
}

static ssize_t region_write(struct request *request, void *reply)
{
	const struct channel_msg *msg = request->msg;
	struct wire_region_access access;
	int ret;

	memcpy(&access, msg->body, sizeof(access));
	request->dev->road = msg->hdr.flags & WIRE_NO_REPLY ? ROAD_POSTED : ROAD_SOCKET;
	if (access.count != msg->body_len - sizeof(access) ||
	    access.count > request->dev->caps.max_data_xfer_size)
		return refuse_value(&request->why, "count", access.count, -EINVAL);
	ret = region_access(request->dev, access.region, access.offset,
			    (void *)(msg->body + sizeof(access)), access.count, true,
			    &request->later, &request->why);
	return ret ? later(ret) : answer(reply, &access, sizeof(access));
}

/* Writes of a REGION_WRITE_MULTI in one go: about what a channel's share of a turn takes. */
#define MULTI_STEPS 256u

/* The answer says how many were done: one that is refused ends it, as the ones before are done. */
static ssize_t region_write_multi(struct request *request, void *reply)
{
	const struct channel_msg *msg = request->msg;
	struct wire_region_write_multi multi;
	uint64_t share = request->done + MULTI_STEPS;
	uint64_t nr;

	memcpy(&nr, msg->body, sizeof(nr));
	request->dev->road = ROAD_MULTI;
	if (nr != (msg->body_len - sizeof(nr)) / sizeof(multi) ||
	    (msg->body_len - sizeof(nr)) % sizeof(multi))
		return refuse_value(&request->why, "wr_cnt", nr, -EINVAL);
	while (request->done < nr) {
		int ret;

		request->yields = request->done == share;
		if (request->yields)
			return COMMAND_LATER;
		memcpy(&multi, msg->body + sizeof(nr) + request->done * sizeof(multi),
		       sizeof(multi));
		if (multi.count > sizeof(multi.data))
			break;
		ret = region_access(request->dev, multi.region, multi.offset, &multi.data,
				    multi.count, true, &request->later, &request->why);
		if (ret == FP_LATER)
			return COMMAND_LATER;
		if (ret)
			break;
		request->done++;
	}
	return answer(reply, &request->done, sizeof(request->done));
}

static ssize_t reset(struct request *request, void *reply)
{
	(void)reply;
	return later(device_reset(request->dev));
}

static struct feature_call feature_call(const struct request *request)
{
	uint64_t theirs = request->peer->caps.max_data_xfer_size;
	uint64_t ours = request->dev->caps.max_data_xfer_size;

	return (struct feature_call){
		.dev = request->dev,
		.body = request->msg->body,
		.len = request->msg->body_len,
		.max_data = theirs < ours ? theirs : ours,
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

	request->why = call.why;
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

	request->why = call.why;
	return ret;
}

static ssize_t mig_data_write(struct request *request, void *reply)
{
	struct feature_call call = feature_call(request);
	ssize_t ret;

	(void)reply;
	call.max_data = request->dev->caps.max_data_xfer_size;
	ret = feature_mig_write(&call);
	request->why = call.why;
	return ret;
}

/* An access waits only for those that it may not overtake. */
static bool for_region(const struct fp_device *dev, const struct channel_msg *msg)
{
	struct wire_region_access access;

	if (msg->body_len < sizeof(access))
		return false; /* it will be refused */
	memcpy(&access, msg->body, sizeof(access));
	return deferred_holds_up(dev, access.region);
}

/* Nothing may be in flight, neither transfers of guest memory nor what is done to files. */
static bool for_all(const struct fp_device *dev, const struct channel_msg *msg)
{
	(void)msg;
	return device_is_busy(dev);
}

/* As for_all(), but a disk that is never without anything in flight is not waited for. */
static bool for_answers(const struct fp_device *dev, const struct channel_msg *msg)
{
	(void)msg;
	return dev->deferred || dev->transfers;
}

static bool sets_state(const struct fp_device *dev, const struct channel_msg *msg)
{
	struct feature_call call = {
		.dev = (struct fp_device *)dev,
		.body = msg->body,
		.len = msg->body_len,
	};

	return msg->body_len >= sizeof(struct wire_device_feature) && feature_sets_state(&call);
}

/* The log of dirty pages is asked for while the device is at work: what ends later is logged later. */
static bool for_feature(const struct fp_device *dev, const struct channel_msg *msg)
{
	return sets_state(dev, msg) ? for_all(dev, msg) : for_answers(dev, msg);
}

/* What was sent by io fd before such a message is done before it; and what that begins is awaited. */
static void before_all(struct fp_device *dev, const struct channel_msg *msg)
{
	(void)msg;
	iofd_drain(dev);
}

/* Likewise before a device stops. */
static void before_feature(struct fp_device *dev, const struct channel_msg *msg)
{
	if (sets_state(dev, msg))
		migration_prepare(dev);
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
		.waits = for_all,
		.prepare = before_all,
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
		.run = do_region_info,
		.min = sizeof(struct wire_region_info),
		.max = ANY,
		.reply = REGION_MAX_INFO,
	},
	[WIRE_DEVICE_GET_REGION_IO_FDS] = {
		.run = region_io_fds,
		.min = sizeof(struct wire_region_io_fds),
		.max = ANY,
		.reply = sizeof(struct wire_region_io_fds),
		.more = region_io_fds_room,
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
		.waits = for_region,
		.min = sizeof(struct wire_region_access),
		.reply = sizeof(struct wire_region_access),
		.more = region_read_count,
	},
	[WIRE_REGION_WRITE] = {
		.run = region_write,
		.waits = for_region,
		.min = sizeof(struct wire_region_access),
		.max = ANY,
		.reply = sizeof(struct wire_region_access),
	},
	[WIRE_DEVICE_FEATURE] = {
		.run = device_feature,
		.min = sizeof(struct wire_device_feature),
		.max = ANY,
		.more = device_feature_room,
		.waits = for_feature,
		.prepare = before_feature,
	},
	[WIRE_MIG_DATA_READ] = {
		.run = mig_data_read,
		.min = sizeof(struct wire_mig_data),
		.max = ANY,
		.more = mig_data_read_room,
		.waits = for_answers,
	},
	[WIRE_MIG_DATA_WRITE] = {
		.run = mig_data_write,
		.min = sizeof(struct wire_mig_data),
		.max = ANY,
		.waits = for_answers,
	},
	[WIRE_REGION_WRITE_MULTI] = {
		.run = region_write_multi,
		.min = sizeof(uint64_t),
		.max = ANY,
		.reply = sizeof(uint64_t),
	},
	[WIRE_DEVICE_RESET] = {
		.run = reset,
		.waits = for_all,
		.prepare = before_all,
		.max = ANY,
	},
};

const struct command *command_find(unsigned int cmd)
{
	static const struct command none = { 0 };

	return cmd < WIRE_CMD_END ? &commands[cmd] : &none;
}
