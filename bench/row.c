/* SPDX-License-Identifier: BSD-3-Clause */
#include "row.h"

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

/* A shared machine may stand still for a while; what is lost stays lost for longer. */
#define PATIENCE_US 5000000.0

static_assert(WARM_UP % GATHER_WRITES == 0, "whole batches");

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

static bool is_reader(const struct road *road)
{
	return road->target.is_floor && road->target.offset == RIG_FLOOR_READER;
}

void row_init(struct row *row, const struct road *road, struct rig *rig,
	      const struct road_place *place)
{
	*row = (struct row){ .road = *road, .where = rig->machine ? "native" : "host" };
	row->skip = why_not(row, rig, place);
	row->has_server_usage =
		is_reader(road) || (!road->target.is_floor && row->road.way != ROAD_BY_MAPPING &&
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
	if (is_reader(&row->road))
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
	if (is_reader(&row->road))
		reader_spin(rig->reader, target->side == RIG_AWAKE);
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
	uint8_t test = ROAD_PIO_TEST;
	int ret = 0;

	if (row->road.counter == ROAD_COUNTS_TEST)
		ret = fpc_region_write(client, 1, 0, &test, sizeof(test));
	if (row->road.counter == ROAD_COUNTS_SLOT)
		ret = prepare_slot(rig, client);
	rig->job->agreed = 0;
	__atomic_store_n(&rig->job->stamp.count, 0, __ATOMIC_RELAXED);
	if (!ret)
		ret = tally_read(&row->road, rig, count);
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
	ret = tally_read(&row->road, rig, &after.count);
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
