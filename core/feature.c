/* SPDX-License-Identifier: BSD-3-Clause */
#include "feature.h"

#include <errno.h>
#include <string.h>

#include "dirty.h"
#include "migration.h"
#include "wire.h"

#define HEAD sizeof(struct wire_device_feature)

/* ---- the features ---- */

struct feature {
	bool (*is_offered)(const struct fp_device *dev); /* NULL: always */
	size_t get_min;					 /* bytes of data that GET brings */
	size_t set_min;
	ssize_t (*get_bytes)(struct feature_call *call); /* of data in GET's reply, or -errno */
	void (*get)(const struct feature_call *call, void *to); /* NULL: no GET */
	int (*set)(struct feature_call *call);			/* NULL: no SET */
};

static ssize_t eight_bytes(struct feature_call *call)
{
	(void)call;
	return 8;
}

static void get_migration(const struct feature_call *call, void *to)
{
	struct wire_migration migration = {
		.flags = WIRE_MIGRATION_STOP_COPY | WIRE_MIGRATION_PRE_COPY,
	};

	(void)call;
	static_assert(sizeof(migration) == 8, "eight_bytes()");
	memcpy(to, &migration, sizeof(migration));
}

static void get_state(const struct feature_call *call, void *to)
{
	struct wire_mig_device_state state = { .device_state = call->dev->migration.state };

	static_assert(sizeof(state) == 8, "eight_bytes()");
	memcpy(to, &state, sizeof(state));
}

static int set_state(struct feature_call *call)
{
	struct wire_mig_device_state state;

	memcpy(&state, call->body + HEAD, sizeof(state));
	refuse_value(&call->why,
		     "device_state, or the state that was to be loaded:", state.device_state, 0);
	return migration_go(call->dev, state.device_state);
}

static int set_logging(struct feature_call *call)
{
	struct wire_dma_logging start;

	memcpy(&start, call->body + HEAD, sizeof(start));
	return dirty_start(&call->dev->dirty, &start, call->body + HEAD + sizeof(start),
			   call->len - HEAD - sizeof(start), &call->why);
}

static int stop_logging(struct feature_call *call)
{
	dirty_stop(&call->dev->dirty);
	return 0;
}

static ssize_t report_bytes(struct feature_call *call)
{
	struct wire_dma_report report;
	ssize_t bytes;

	memcpy(&report, call->body + HEAD, sizeof(report));
	bytes = dirty_report_bytes(&call->dev->dirty, &report, call->max_data, &call->why);
	return bytes < 0 ? bytes : (ssize_t)sizeof(report) + bytes;
}

static void get_report(const struct feature_call *call, void *to)
{
	struct wire_dma_report report;

	memcpy(&report, call->body + HEAD, sizeof(report));
	memcpy(to, &report, sizeof(report));
	dirty_report(&call->dev->dirty, &report, (uint8_t *)to + sizeof(report));
}

static const struct feature features[WIRE_FEATURE_END] = {
	[WIRE_FEATURE_MIGRATION] = {
		.is_offered = migration_is_offered,
		.get_bytes = eight_bytes,
		.get = get_migration,
	},
	[WIRE_FEATURE_MIG_DEVICE_STATE] = {
		.is_offered = migration_is_offered,
		.get_bytes = eight_bytes,
		.get = get_state,
		.set_min = sizeof(struct wire_mig_device_state),
		.set = set_state,
	},
	[WIRE_FEATURE_DMA_LOGGING_START] = {
		.set_min = sizeof(struct wire_dma_logging),
		.set = set_logging,
	},
	[WIRE_FEATURE_DMA_LOGGING_STOP] = { .set = stop_logging },
	[WIRE_FEATURE_DMA_LOGGING_REPORT] = {
		.get_min = sizeof(struct wire_dma_report),
		.get_bytes = report_bytes,
		.get = get_report,
	},
};

/* ---- DEVICE_FEATURE ---- */

static struct wire_device_feature head_of(const struct feature_call *call)
{
	struct wire_device_feature head;

	memcpy(&head, call->body, sizeof(head));
	return head;
}

/* The feature that is asked for, if this device has it and can be asked so; *ret says why not. */
static const struct feature *find(struct feature_call *call, int *ret)
{
	struct wire_device_feature head = head_of(call);
	uint32_t index = head.flags & WIRE_FEATURE_INDEX_MASK;
	uint32_t asked = head.flags & (WIRE_FEATURE_GET | WIRE_FEATURE_SET);
	const struct feature *feature = index < WIRE_FEATURE_END ? &features[index] : NULL;

	*ret = refuse_value(&call->why, "argsz", head.argsz, -EINVAL);
	if (head.argsz < HEAD)
		return NULL;
	*ret = refuse_value(&call->why, "flags", head.flags, -EINVAL);
	if (head.flags & ~(WIRE_FEATURE_INDEX_MASK | asked | WIRE_FEATURE_PROBE))
		return NULL;
	*ret = refuse_value(&call->why, "feature", index, -ENOTSUP);
	if (!feature || (!feature->get && !feature->set) ||
	    (feature->is_offered && !feature->is_offered(call->dev)))
		return NULL;
	*ret = refuse_value(&call->why, "flags: the feature has no such operation:", head.flags,
			    -EINVAL);
	if ((asked & WIRE_FEATURE_GET && !feature->get) ||
	    (asked & WIRE_FEATURE_SET && !feature->set))
		return NULL;
	*ret = refuse_value(&call->why, "flags: not one of GET, SET and PROBE:", head.flags,
			    -EINVAL);
	if (!(head.flags & WIRE_FEATURE_PROBE) &&
	    (!asked || asked == (WIRE_FEATURE_GET | WIRE_FEATURE_SET)))
		return NULL;
	*ret = 0;
	return feature;
}

static bool is_get(const struct feature_call *call)
{
	uint32_t flags = head_of(call).flags;

	return flags & WIRE_FEATURE_GET && !(flags & WIRE_FEATURE_PROBE);
}

/* The length of the whole reply to a GET. */
static ssize_t get_len(struct feature_call *call, const struct feature *feature)
{
	ssize_t bytes;

	if (call->len < HEAD + feature->get_min)
		return refuse_value(&call->why, "msg_size", sizeof(struct wire_header) + call->len,
				    -EINVAL);
	bytes = feature->get_bytes(call);
	return bytes < 0 ? bytes : (ssize_t)HEAD + bytes;
}

size_t feature_room(struct feature_call *call)
{
	int ret;
	const struct feature *feature = find(call, &ret);
	ssize_t len = feature && is_get(call) ? get_len(call, feature) : -1;

	return len > (ssize_t)call->len ? (size_t)len : call->len;
}

/* The reply's head, with the length of all of it; whether more than that fits into the argsz. */
static bool put_head(const struct feature_call *call, size_t len, void *reply)
{
	struct wire_device_feature head = head_of(call);
	bool fits = len <= head.argsz;

	head.argsz = (uint32_t)len;
	memcpy(reply, &head, sizeof(head));
	return fits;
}

/* The reply to SET and PROBE: the request. */
static ssize_t repeat(const struct feature_call *call, void *reply)
{
	if (!put_head(call, call->len, reply))
		return HEAD;
	memcpy(reply, call->body, call->len);
	return (ssize_t)call->len;
}

static ssize_t run_get(struct feature_call *call, const struct feature *feature, void *reply)
{
	ssize_t len = get_len(call, feature);

	if (len < 0)
		return len;
	if (!put_head(call, (size_t)len, reply))
		return HEAD;
	feature->get(call, (uint8_t *)reply + HEAD);
	return len;
}

static ssize_t run_set(struct feature_call *call, const struct feature *feature, void *reply)
{
	int ret;

	if (call->len < HEAD + feature->set_min)
		return refuse_value(&call->why, "msg_size", sizeof(struct wire_header) + call->len,
				    -EINVAL);
	if (head_of(call).argsz < HEAD + feature->set_min)
		return refuse_value(&call->why, "argsz", head_of(call).argsz, -EINVAL);
	ret = feature->set(call);
	return ret ? ret : repeat(call, reply);
}

bool feature_sets_state(struct feature_call *call)
{
	int ret;
	const struct feature *feature = find(call, &ret);

	return feature && feature->set == set_state && head_of(call).flags & WIRE_FEATURE_SET;
}

ssize_t feature_run(struct feature_call *call, void *reply)
{
	int ret;
	const struct feature *feature = find(call, &ret);

	if (!feature)
		return ret;
	if (head_of(call).flags & WIRE_FEATURE_PROBE)
		return repeat(call, reply);
	return is_get(call) ? run_get(call, feature, reply) : run_set(call, feature, reply);
}

/* ---- MIG_DATA_READ and MIG_DATA_WRITE ---- */

size_t feature_mig_read_room(struct feature_call *call)
{
	struct wire_mig_data data;

	memcpy(&data, call->body, sizeof(data));
	return sizeof(data) + (data.size <= call->max_data ? data.size : 0);
}

ssize_t feature_mig_read(struct feature_call *call, void *reply)
{
	struct wire_mig_data data;
	uint32_t argsz;
	ssize_t size;

	memcpy(&data, call->body, sizeof(data));
	argsz = data.argsz;
	if (argsz < sizeof(data))
		return refuse_value(&call->why, "argsz", data.argsz, -EINVAL);
	if (data.size > call->max_data)
		return refuse_value(&call->why, "size", data.size, -EINVAL);
	refuse(&call->why, "the device's state: it is not being saved", 0);
	size = migration_available(call->dev, data.size);
	if (size < 0)
		return size;
	data.size = (uint32_t)size;
	data.argsz = (uint32_t)(sizeof(data) + data.size);
	memcpy(reply, &data, sizeof(data));
	if (argsz < data.argsz)
		return sizeof(data);
	migration_read(call->dev, (uint8_t *)reply + sizeof(data), data.size);
	return data.argsz;
}

ssize_t feature_mig_write(struct feature_call *call)
{
	struct wire_mig_data data;

	memcpy(&data, call->body, sizeof(data));
	if (data.argsz < sizeof(data))
		return refuse_value(&call->why, "argsz", data.argsz, -EINVAL);
	if (data.size != call->len - sizeof(data) || data.size > call->max_data)
		return refuse_value(&call->why, "size", data.size, -EINVAL);
	refuse(&call->why, "the device's state: it is not resuming, or there is too much of it", 0);
	return migration_write(call->dev, call->body + sizeof(data), data.size);
}
