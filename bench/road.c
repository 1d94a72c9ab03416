/* SPDX-License-Identifier: BSD-3-Clause */
#include "road.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "reader.h"
#include "testdev.h"
#include "wire.h"

/* The first accesses of a batch find everybody asleep and every cache cold: not in the latencies. */
#define WARM_UP 16u /* whole batches */

/* Long enough for a server to fall asleep; and short enough for one not to. */
#define GAP_ASLEEP_US 50
#define GAP_AWAKE_US 2

/* A shared machine may stand still for a while; what is lost stays lost for longer. */
#define PATIENCE_US 5000000.0

/* Where portio-wildcard-eventfd is in BAR1, and its number there. */
#define PIO_TEST 1
#define PIO_DOORBELL (TESTDEV_IO_TESTS + 3 + PIO_TEST)

#define BAR2(side_, offset_, fd_)                                              \
	{                                                                      \
		.side = (side_), .bar = 2, .offset = (offset_), .by_fd = (fd_) \
	}
#define BAR5(side_, offset_, fd_)                                              \
	{                                                                      \
		.side = (side_), .bar = 5, .offset = (offset_), .by_fd = (fd_) \
	}

#define ASLEEP .server = "asleep", .gap_us = GAP_ASLEEP_US, .is_stamped = true
#define AWAKE .server = "awake", .gap_us = GAP_AWAKE_US, .is_stamped = true

#define SOCKET .name = "socket", .can = "vro", .width = 4
#define SOCKET_WRITE \
	SOCKET, .op = "write", .counter = ROAD_COUNTS_WRITES, .what = "REGION_WRITE and its answer"
#define SOCKET_POSTED                                                             \
	SOCKET, .op = "posted", .counter = ROAD_COUNTS_WRITES, .is_posted = true, \
		.what = "REGION_WRITE without an answer"
#define SOCKET_READ                                                             \
	SOCKET, .op = "read", .counter = ROAD_COUNTS_READS, .job_op = JOB_READ, \
		.what = "REGION_READ and its answer"

#define SOCKET_MULTI                                                                              \
	.name = "socket", .op = "multi", .can = "v-o", .width = 4, .counter = ROAD_COUNTS_WRITES, \
	.way = ROAD_BY_GATHER, .batch = GATHER_WRITES,                                            \
	.what = "one of 16 writes in a REGION_WRITE_MULTI"
#define MULTI_TARGET(side_)                                                                  \
	{                                                                                    \
		.side = (side_), .bar = 2, .offset = TESTDEV_REGISTER_4, .is_gathered = true \
	}

/* The same three of an ioregionfd, by who sends its commands. */
#define SPAN_WRITE                                                              \
	.op = "write", .can = "vro", .width = 4, .counter = ROAD_COUNTS_WRITES, \
	.what = "a store to a span"
#define SPAN_POSTED                                                              \
	.op = "posted", .can = "vro", .width = 4, .counter = ROAD_COUNTS_WRITES, \
	.what = "a store that is not waited for"
#define SPAN_READ                                                                                 \
	.op = "read", .can = "vro", .width = 4, .counter = ROAD_COUNTS_READS, .job_op = JOB_READ, \
	.what = "a load from a span"
#define STANDIN .name = "standin", .way = ROAD_BY_STANDIN
#define IOREGION .name = "ioregionfd", .way = ROAD_BY_IOREGION
#define SPANS(side, state)                                                                     \
	{ STANDIN, SPAN_WRITE, state, .target = BAR2(side, TESTDEV_SCRATCH, false) },          \
		{ STANDIN, SPAN_POSTED, state, .target = BAR2(side, TESTDEV_POSTED, true) },   \
		{ STANDIN, SPAN_READ, state, .target = BAR2(side, TESTDEV_SCRATCH, false) },   \
		{ IOREGION, SPAN_WRITE, state, .target = BAR2(side, TESTDEV_SCRATCH, false) }, \
		{ IOREGION, SPAN_POSTED, state, .target = BAR2(side, TESTDEV_POSTED, true) },  \
	{                                                                                      \
		IOREGION, SPAN_READ, state, .target = BAR2(side, TESTDEV_SCRATCH, false)       \
	}

#define MAPPED(op_, job_op_, what_)                                                   \
	{                                                                             \
		.name = "mmap", .op = (op_), .server = "-", .can = "vr-", .width = 4, \
		.gap_us = GAP_AWAKE_US, .way = ROAD_BY_MAPPING, .job_op = (job_op_),  \
		.what = (what_), .target = {                                          \
			.side = RIG_ASLEEP,                                           \
			.bar = 3,                                                     \
			.offset = TESTDEV_AREA_A                                      \
		}                                                                     \
	}
#define WILDCARD                                                                        \
	.name = "ioeventfd", .op = "wildcard", .width = 4, .counter = ROAD_COUNTS_RUNG, \
	.can = "--o", .doorbell = TESTDEV_ANY,                                          \
	.what = "a doorbell of any width, by the server's eventfd"
#define DATAMATCH                                                                        \
	.name = "ioeventfd", .op = "datamatch", .width = 4, .counter = ROAD_COUNTS_RUNG, \
	.can = "--o", .doorbell = TESTDEV_MATCH_A, .value = TESTDEV_VALUE_A,             \
	.what = "a doorbell for one value"
#define FAN_OUT                                                                        \
	.name = "ioeventfd", .op = "fan-out", .width = 4, .counter = ROAD_COUNTS_ROAD, \
	.can = "v--", .doorbell = TESTDEV_ROAD_FAN, .cycle = TESTDEV_FAN_VALUES,       \
	.what = "a doorbell for four values, each with an eventfd of its own"
#define SHADOW                                                                                  \
	.name = "shadow", .op = "write", .width = 4, .counter = ROAD_COUNTS_ROAD, .can = "v-o", \
	.way = ROAD_BY_SHADOW, .doorbell = TESTDEV_ROAD_SHADOW, .cycle = 1000,                  \
	.what = "a doorbell whose value KVM leaves in memory"
#define SLOT_DOORBELL                                                                 \
	.name = "ro-slot", .op = "doorbell", .width = 4, .counter = ROAD_COUNTS_ROAD, \
	.can = "--o", .doorbell = TESTDEV_ROAD_SLOT,                                  \
	.what = "a doorbell on memory that the guest can only load from"
#define PIO                                                                                     \
	.name = "pio", .op = "doorbell", .width = 1, .counter = ROAD_COUNTS_TEST, .can = "--o", \
	.job_op = JOB_OUT, .what = "a doorbell in I/O space"
#define PIO_TARGET(side_)                                                        \
	{                                                                        \
		.side = (side_), .bar = 1, .offset = PIO_DOORBELL, .by_fd = true \
	}

const struct road roads[] = {
	{ .name = "exit",
	  .op = "write",
	  .server = "-",
	  .width = 4,
	  .gap_us = GAP_AWAKE_US,
	  .can = "vro",
	  .what = "answered in the client: what leaving the guest costs",
	  .target = { .is_floor = true, .offset = RIG_FLOOR_EXIT } },
	{ SOCKET_WRITE, ASLEEP, .target = BAR2(RIG_ASLEEP, TESTDEV_REGISTER_4, false) },
	{ SOCKET_POSTED, ASLEEP, .target = BAR2(RIG_ASLEEP, TESTDEV_REGISTER_4, false) },
	{ SOCKET_MULTI, ASLEEP, .target = MULTI_TARGET(RIG_ASLEEP) },
	{ SOCKET_READ, ASLEEP, .target = BAR2(RIG_ASLEEP, TESTDEV_REGISTER_4, false) },
	SPANS(RIG_ASLEEP, ASLEEP),
	{ WILDCARD, ASLEEP, .target = BAR2(RIG_ASLEEP, 0x800, true) },
	{ DATAMATCH, ASLEEP, .target = BAR2(RIG_ASLEEP, 0x940, true) },
	{ FAN_OUT, ASLEEP, .target = BAR5(RIG_ASLEEP, TESTDEV_FAN, true) },
	{ SHADOW, ASLEEP, .target = BAR5(RIG_ASLEEP, TESTDEV_SHADOW, true) },
	{ SLOT_DOORBELL, ASLEEP, .target = BAR5(RIG_ASLEEP, TESTDEV_SLOT_BELL, true) },
	{ PIO, ASLEEP, .target = PIO_TARGET(RIG_ASLEEP) },
	{ .name = "eventfd",
	  .op = "reader",
	  ASLEEP,
	  .width = 4,
	  .counter = ROAD_COUNTS_STAMPS,
	  .can = "--o",
	  .what = "floor: an ioeventfd with a bare sleeping reader",
	  .target = { .is_floor = true, .offset = RIG_FLOOR_READER } },
	{ SOCKET_WRITE, AWAKE, .target = BAR2(RIG_AWAKE, TESTDEV_REGISTER_4, false) },
	{ SOCKET_POSTED, AWAKE, .target = BAR2(RIG_AWAKE, TESTDEV_REGISTER_4, false) },
	{ SOCKET_MULTI, AWAKE, .target = MULTI_TARGET(RIG_AWAKE) },
	{ SOCKET_READ, AWAKE, .target = BAR2(RIG_AWAKE, TESTDEV_REGISTER_4, false) },
	SPANS(RIG_AWAKE, AWAKE),
	{ WILDCARD, AWAKE, .target = BAR2(RIG_AWAKE, 0x800, true) },
	{ DATAMATCH, AWAKE, .target = BAR2(RIG_AWAKE, 0x940, true) },
	{ FAN_OUT, AWAKE, .target = BAR5(RIG_AWAKE, TESTDEV_FAN, true) },
	{ SHADOW, AWAKE, .target = BAR5(RIG_AWAKE, TESTDEV_SHADOW, true) },
	{ SLOT_DOORBELL, AWAKE, .target = BAR5(RIG_AWAKE, TESTDEV_SLOT_BELL, true) },
	{ PIO, AWAKE, .target = PIO_TARGET(RIG_AWAKE) },
	{ .name = "eventfd",
	  .op = "unlistened",
	  .server = "-",
	  .width = 4,
	  .gap_us = GAP_AWAKE_US,
	  .counter = ROAD_COUNTS_EVENTFD,
	  .can = "--o",
	  .what = "floor: an ioeventfd that nobody listens to",
	  .target = { .is_floor = true, .offset = RIG_FLOOR_UNLISTENED } },
	MAPPED("write", JOB_WRITE, "a store to memory of the device"),
	MAPPED("read", JOB_READ, "a load from it"),
	{ .name = "ro-slot",
	  .op = "read",
	  .server = "-",
	  .width = 4,
	  .gap_us = GAP_AWAKE_US,
	  .can = "-r-",
	  .way = ROAD_BY_MAPPING,
	  .job_op = JOB_READ,
	  .counter = ROAD_COUNTS_SLOT,
	  .what = "a load from what the device keeps up to date there",
	  .target = BAR5(RIG_ASLEEP, TESTDEV_SLOT, false) },
};
static_assert(WARM_UP % GATHER_WRITES == 0, "whole batches");
const unsigned int nr_roads = sizeof(roads) / sizeof(*roads);

bool road_exists(const char *name)
{
	for (unsigned int i = 0; i < nr_roads; i++)
		if (!strcmp(roads[i].name, name))
			return true;
	return false;
}

/* ---- whether a road is there ---- */

/* A device that we know nothing of is accessed where the user says, and nowhere else. */
static const char *adapt_to_place(struct row *row, struct rig *rig, const struct road_place *place)
{
	struct road *road = &row->road;
	bool has_fd;

	if (!place->is_given)
		return "the device is no testdev: say where with --target BAR:OFFSET:WIDTH";
	road->target.bar = place->bar;
	road->target.offset = place->offset;
	road->width = place->width;
	road->is_stamped = false;
	road->counter = ROAD_COUNTS_NOTHING;
	if (!wire_within(place->offset, place->width, rig_bar_bytes(rig, &road->target)))
		return "the target is not inside a BAR of the device";
	has_fd = rig_has_fd(rig, &road->target, road->width, road->value);
	if ((road->target.by_fd && strcmp(road->op, "wildcard") != 0) ||
	    road->way != ROAD_BY_FD_OR_MESSAGE)
		return "the device is no testdev";
	if (road->target.by_fd)
		return has_fd ? NULL : "the server handed out no eventfd for the target";
	if (has_fd && road->job_op == JOB_WRITE)
		return "stores to the target go by eventfd";
	return NULL;
}

/* Whether each of its values has one. */
static bool has_fds(const struct road *road, const struct rig *rig)
{
	bool has = rig_has_fd(rig, &road->target, road->width, road->value);

	for (uint32_t i = 1; i < road->cycle && has; i++)
		has = rig_has_fd(rig, &road->target, road->width, road->value + i);
	return has;
}

/* What the client's end of a road lacks here. */
static const char *why_no_way(const struct road *road, const struct rig *rig)
{
	if (!rig_bar_bytes(rig, &road->target))
		return "the testdev has no such BAR; one with roads=on has";
	if (road->way == ROAD_BY_GATHER)
		return fpc_limits(rig->servers[road->target.side].client)->write_multiple ?
			       NULL :
			       "the server takes no REGION_WRITE_MULTI";
	if (road->way == ROAD_BY_FD_OR_MESSAGE && !road->is_posted)
		return NULL;
	if (!rig->machine)
		return "there is no guest to make it";
	if (road->is_posted)
		return NULL;
	if (road->way == ROAD_BY_MAPPING)
		return rig_is_mapped(rig, &road->target) ? NULL : "it could not be mapped";
	if (road->way == ROAD_BY_SHADOW)
		return rig->machine->vm->has_post_write ?
			       NULL :
			       "this kernel's KVM can't store what was written";
	if (road->way == ROAD_BY_IOREGION && !rig->machine->vm->has_ioregion)
		return "this kernel's KVM has no ioregionfd";
	if (road->way == ROAD_BY_STANDIN && rig->machine->vm->has_ioregion)
		return "KVM has ioregionfds: nothing stands in for them";
	return rig_has_span(rig, &road->target, road->width) ? NULL : "the server has no such span";
}

static const char *why_not(struct row *row, struct rig *rig, const struct road_place *place)
{
	const struct road *road = &row->road;
	bool by_eventfd = road->target.by_fd &&
			  (road->way == ROAD_BY_FD_OR_MESSAGE || road->way == ROAD_BY_SHADOW);
	const struct rig_server *server = &rig->servers[road->target.side];

	if (!rig->machine && (road->job_op == JOB_OUT || !strcmp(road->name, "exit")))
		return "there is no guest to make it";
	if (road->target.is_floor)
		return NULL;
	if (!server->client)
		return "there is no server of ours that stays awake";
	if (!server->is_testdev)
		return adapt_to_place(row, rig, place);
	if (why_no_way(road, rig))
		return why_no_way(road, rig);
	if (by_eventfd && !has_fds(road, rig))
		return "the server's eventfd is not installed";
	return NULL;
}

void row_init(struct row *row, const struct road *road, struct rig *rig,
	      const struct road_place *place)
{
	*row = (struct row){ .road = *road, .where = rig->machine ? "native" : "host" };
	row->skip = why_not(row, rig, place);
	row->has_server_usage = !strcmp(road->op, "reader") ||
				(!road->target.is_floor && row->road.way != ROAD_BY_MAPPING &&
				 rig->servers[road->target.side].pid);
}

bool row_flood(struct row *row)
{
	if (strcmp(row->road.name, "socket") || row->road.is_posted || row->road.batch)
		return false;
	row->road.name = "flooded";
	row->is_flooded = true;
	row->has_server_usage = false; /* it is the flood's for the most part */
	return true;
}

void row_free(struct row *row)
{
	series_free(&row->guest_ns);
	series_free(&row->notify_ns);
	series_free(&row->rtt_ns);
}

/* ---- counting at the other end ---- */

static int read_test_count(struct fpc *client, uint64_t *count)
{
	uint32_t value = 0;
	/* pci-testdev's header has it behind test, width, offset and data. */
	int ret = fpc_region_read(client, 1, 12, &value, sizeof(value));

	*count = value;
	return ret;
}

bool row_has_sum(const struct row *row)
{
	return row->road.counter == ROAD_COUNTS_ROAD;
}

static int read_bench_counter(const struct row *row, struct fpc *client, struct tally *tally)
{
	struct testdev_counters counters = { 0 };
	int ret = fpc_region_read(client, FP_BAR2, 0, &counters,
				  offsetof(struct testdev_counters, trigger));

	if (row->road.counter == ROAD_COUNTS_WRITES)
		tally->times = counters.writes;
	else if (row->road.counter == ROAD_COUNTS_READS)
		tally->times = counters.reads;
	else
		tally->times = counters.rung[row->road.doorbell];
	return ret;
}

static int read_road_counter(const struct row *row, struct fpc *client, struct tally *tally)
{
	struct testdev_roads seen = { 0 };
	int ret = fpc_region_read(client, FP_BAR5, 0, &seen, sizeof(seen));

	tally->times = seen.of[row->road.doorbell].stores;
	tally->sum = seen.of[row->road.doorbell].sum;
	return ret;
}

static int read_counter(const struct row *row, struct rig *rig, struct tally *tally)
{
	struct fpc *client = rig->servers[row->road.target.side].client;

	*tally = (struct tally){ 0 };
	switch (row->road.counter) {
	case ROAD_COUNTS_NOTHING:
		return 0;
	case ROAD_COUNTS_STAMPS:
		tally->times = __atomic_load_n(&rig->job->stamp.count, __ATOMIC_ACQUIRE);
		return 0;
	case ROAD_COUNTS_EVENTFD:
		if (read(rig->unlistened_fd, &tally->times, sizeof(tally->times)) < 0 &&
		    errno != EAGAIN)
			return -errno;
		return 0;
	case ROAD_COUNTS_TEST:
		return read_test_count(client, &tally->times);
	case ROAD_COUNTS_SLOT:
		tally->times = rig->job->agreed;
		return 0;
	case ROAD_COUNTS_ROAD:
		return read_road_counter(row, client, tally);
	default:
		return read_bench_counter(row, client, tally);
	}
}

/* ---- what is known before and after a batch ---- */

struct snapshot {
	struct usage server;
	struct usage client; /* our thread, the guest's time included */
	uint64_t exits;
	uint64_t kvm_exits;
	uint64_t emulated;
	struct tally count;
};

static void look_at_thread(struct usage *usage)
{
	struct rusage rusage;
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	getrusage(RUSAGE_THREAD, &rusage);
	usage->cpu_ns = (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
	usage->switches = (uint64_t)(rusage.ru_nvcsw + rusage.ru_nivcsw);
}

static void look_at_guest(struct row *row, struct rig *rig, struct snapshot *snapshot)
{
	struct vcpu *vcpu = rig->machine->vcpu;
	uint64_t mmio = 0;
	uint64_t io = 0;

	snapshot->exits = vcpu_exits(vcpu)->all - vcpu_exits(vcpu)->interrupted;
	row->has_kvm_stats = !vcpu_stat(vcpu, "mmio_exits", &mmio) &&
			     !vcpu_stat(vcpu, "io_exits", &io) &&
			     !vcpu_stat(vcpu, "insn_emulation", &snapshot->emulated);
	snapshot->kvm_exits = mmio + io;
}

static void look_at_server(const struct row *row, struct rig *rig, struct usage *usage)
{
	if (!strcmp(row->road.op, "reader"))
		reader_usage(rig->reader, usage);
	else if (row->has_server_usage)
		usage_read(rig->usage, rig->servers[row->road.target.side].pid, usage);
}

/*
 * The kernel brings a running process's CPU time up to date at ticks only. So a server that spins is
 * given time to fall asleep first, and what it spins until then is not counted.
 */
static void look_at_server_after(const struct row *row, struct rig *rig, struct usage *usage)
{
	bool spins = row->has_server_usage && row->road.target.side == RIG_AWAKE;

	if (spins)
		usleep(2 * RIG_SPIN_US);
	look_at_server(row, rig, usage);
	if (spins)
		usage->cpu_ns -= RIG_SPIN_US * 1000ull;
}

/* ---- a batch ---- */

/* Makes the accesses, with a flood beside them where the row wants one. */
static int make_accesses(const struct row *row, struct rig *rig)
{
	const struct rig_target *target = &row->road.target;
	struct flood *flood = row->is_flooded ? rig->servers[target->side].flood : NULL;
	int ret = flood ? flood_begin(flood) : 0;

	if (ret)
		return ret;
	if (row->road.is_posted)
		rig_set_posted(rig, target->side, true);
	ret = rig_run(rig, target);
	if (row->road.is_posted)
		rig_set_posted(rig, target->side, false);
	if (flood)
		flood_end(flood);
	return ret;
}

/* Changes what is to be loaded, and asks the device's handler, by message, what that is now. */
static int prepare_slot(struct rig *rig, struct fpc *client)
{
	const uint32_t none = 0;
	int ret = fpc_region_write(client, FP_BAR5, TESTDEV_SLOT_BELL, &none, sizeof(none));

	rig->job->value = 0;
	return ret ? ret :
		     fpc_region_read(client, FP_BAR5,
				     offsetof(struct testdev_roads, of[TESTDEV_ROAD_SLOT].stores),
				     &rig->job->value, sizeof(uint32_t));
}

/* Readies the other end, and reads its counter. */
static int prepare(const struct row *row, struct rig *rig, struct tally *count)
{
	const struct rig_target *target = &row->road.target;
	struct fpc *client = rig->servers[target->side].client;
	uint8_t test = PIO_TEST;
	int ret = 0;

	if (row->road.counter == ROAD_COUNTS_TEST)
		ret = fpc_region_write(client, 1, 0, &test, sizeof(test));
	if (row->road.counter == ROAD_COUNTS_SLOT)
		ret = prepare_slot(rig, client);
	rig->job->agreed = 0;
	__atomic_store_n(&rig->job->stamp.count, 0, __ATOMIC_RELAXED);
	if (!ret)
		ret = read_counter(row, rig, count);
	if (row->road.counter == ROAD_COUNTS_EVENTFD)
		count->times = 0; /* reading it has emptied it */
	/* Last: from here on every access counts. */
	if (!ret && row->road.is_stamped && !target->is_floor)
		ret = rig_stamp(rig, target->side);
	return ret;
}

/* The accesses of a batch from `first` on; of most roads that is one. */
static int collect_batch(struct row *row, const struct rig *rig, const struct job_sample *first)
{
	const struct road *road = &row->road;
	const struct job_sample *last = first + rig->job->batch - 1;
	bool goes_on = road->target.by_fd || road->target.is_floor || road->is_posted;
	uint64_t answered = goes_on ? last->answered : last->after;
	double ns = rig->clock.guest_ns_per_cycle;
	uint64_t cycles = 0;
	int ret;

	for (const struct job_sample *sample = first; sample <= last; sample++)
		cycles += sample->after - sample->before;
	ret = series_add(&row->guest_ns, (double)cycles * ns / rig->job->batch);
	if (!ret && answered)
		ret = series_add(&row->rtt_ns, (double)(answered - first->before) * ns);
	if (!ret && last->handled && !rig->clock.is_scaled) {
		uint64_t before = first->before - (uint64_t)rig->clock.guest_offset;

		ret = series_add(&row->notify_ns, (double)(int64_t)(last->handled - before) * ns);
	}
	return ret;
}

static int collect(struct row *row, const struct rig *rig)
{
	const struct job *job = rig->job;
	int ret = 0;

	for (uint32_t i = WARM_UP; i < job->count && !ret; i += job->batch)
		ret = collect_batch(row, rig, &job->samples[i]);
	if (!ret)
		ret = series_mark(&row->guest_ns);
	if (!ret)
		ret = series_mark(&row->notify_ns);
	return ret;
}

/* Between two accesses the guest waits by itself: not a cost of the road. */
static uint64_t waited_ns(const struct rig *rig)
{
	const struct job *job = rig->job;
	uint64_t cycles = job->gap; /* after the last */

	for (uint32_t i = 0; i + 1 < job->count; i++)
		cycles += job->samples[i + 1].before - job->samples[i].after;
	return (uint64_t)((double)cycles * rig->clock.guest_ns_per_cycle);
}

static void account(struct row *row, const struct rig *rig, const struct snapshot *before,
		    const struct snapshot *after)
{
	uint64_t cpu_ns = after->client.cpu_ns - before->client.cpu_ns;
	uint64_t waited = waited_ns(rig);

	row->accesses += rig->job->count;
	row->counted.times += after->count.times - before->count.times;
	row->counted.sum += after->count.sum - before->count.sum;
	for (uint32_t i = 0; i < rig->job->count; i++)
		row->sum += rig->job->value + i % rig->job->cycle;
	if (after->server.cpu_ns > before->server.cpu_ns)
		row->server.cpu_ns += after->server.cpu_ns - before->server.cpu_ns;
	row->server.switches += after->server.switches - before->server.switches;
	row->client.cpu_ns += cpu_ns > waited ? cpu_ns - waited : 0;
	row->client.switches += after->client.switches - before->client.switches;
	if (!rig->machine)
		return;
	/* The guest reports each job done by a store that leaves it. */
	row->exits += after->exits - before->exits - 1;
	row->kvm_exits += after->kvm_exits - before->kvm_exits - 1;
	row->emulated += after->emulated - before->emulated;
	/* KVM emulates the access itself; where ring 3 is not native, every instruction. */
	if (!row->has_kvm_stats)
		row->where = "unknown";
	else
		row->where = row->emulated > 4 * row->accesses ? "emulated" : "native";
}

static void fill_job(const struct row *row, struct rig *rig, uint32_t count)
{
	struct job *job = rig->job;
	double us = 1000 / rig->clock.guest_ns_per_cycle;

	job->op = row->road.job_op;
	job->width = row->road.width;
	job->value = row->road.value;
	job->cycle = row->road.cycle ? row->road.cycle : 1;
	job->batch = row->road.batch ? row->road.batch : 1;
	job->count = WARM_UP + (count + job->batch - 1) / job->batch * job->batch;
	job->is_stamped = row->road.is_stamped;
	job->gap = (uint64_t)(row->road.gap_us * us);
	job->patience = (uint64_t)(PATIENCE_US * us);
}

int row_measure(struct row *row, struct rig *rig, uint32_t count)
{
	struct snapshot before = { 0 };
	struct snapshot after = { 0 };
	int ret;

	fill_job(row, rig, count);
	ret = prepare(row, rig, &before.count);
	if (ret)
		return ret;
	if (rig->machine)
		look_at_guest(row, rig, &before);
	look_at_server(row, rig, &before.server);
	look_at_thread(&before.client);
	ret = make_accesses(row, rig);
	if (ret)
		return ret;
	look_at_thread(&after.client);
	if (rig->machine)
		look_at_guest(row, rig, &after);
	look_at_server_after(row, rig, &after.server);
	ret = read_counter(row, rig, &after.count);
	if (ret)
		return ret;
	if (rig->job->lost) {
		log_error("%s %s: an access never reached the device", row->road.name,
			  row->road.op);
		return -EPIPE;
	}
	account(row, rig, &before, &after);
	return collect(row, rig);
}
