/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "ladder.h"

static const struct row *find(const struct ladder *ladder, const char *road, const char *op,
			      const char *server)
{
	for (unsigned int i = 0; i < ladder->nr_rows; i++) {
		const struct row *row = &ladder->rows[i];

		if (!strcmp(row->road.name, road) && !strcmp(row->road.op, op) &&
		    !strcmp(row->road.server, server) && !row->skip && row->guest_ns.nr)
			return row;
	}
	return NULL;
}

static double mark_of(const struct series *series, size_t i, double percent)
{
	return percent < 99 ? series->marks[i].median : series->marks[i].p99;
}

/* The ratio of two percentiles, and between what the rounds' own ratios lie, four out of five. */
static void print_ratio_at(double percent, const struct series *a, const struct series *b, FILE *to)
{
	struct series ratios = { 0 };
	size_t rounds = a->nr_marks < b->nr_marks ? a->nr_marks : b->nr_marks;

	for (size_t i = 0; i < rounds; i++)
		if (mark_of(b, i, percent) > 0)
			series_add(&ratios, mark_of(a, i, percent) / mark_of(b, i, percent));
	series_sort(&ratios);
	fprintf(to, "%.3f times (%.3f to %.3f in %s rounds)",
		series_percentile(a, percent) / series_percentile(b, percent),
		series_percentile(&ratios, rounds < 10 ? 0 : 10),
		series_percentile(&ratios, rounds < 10 ? 100 : 90),
		rounds < 10 ? "all" : "8 of 10");
	series_free(&ratios);
}

static void print_ratio(const struct series *a, const struct series *b, FILE *to)
{
	print_ratio_at(50, a, b, to);
}

/* Who makes the accesses. */
static const char *who(const struct row *row)
{
	return strcmp(row->where, "host") ? "guest" : "host";
}

/* What a doorbell costs by fd and by socket, with the server in one state. */
static void print_gain(const struct ladder *ladder, const char *server, FILE *to)
{
	const struct row *fd = find(ladder, "ioeventfd", "wildcard", server);
	const struct row *socket = find(ladder, "socket", "write", server);

	if (!fd || !socket)
		return;
	fprintf(to, "With the server %s, a doorbell by ioeventfd costs the %s ", server, who(fd));
	print_ratio(&fd->guest_ns, &socket->guest_ns, to);
	fprintf(to, " what it costs by socket: %.1f us against %.1f us",
		series_percentile(&fd->guest_ns, 50) / 1000,
		series_percentile(&socket->guest_ns, 50) / 1000);
	if (fd->notify_ns.nr && socket->notify_ns.nr)
		fprintf(to, "; the device hears of it after %.1f us instead of %.1f us",
			series_percentile(&fd->notify_ns, 50) / 1000,
			series_percentile(&socket->notify_ns, 50) / 1000);
	fprintf(to, ".\n");
}

/* What an access with its value costs by ioregionfd, whoever sends it, and by socket. */
static void print_spans(const struct ladder *ladder, const char *server, FILE *to)
{
	static const char *const names[] = { "standin", "ioregionfd" };
	static const char *const titles[] = { "an ioregionfd's stand-in", "ioregionfd in KVM" };
	static const char *const ops[] = { "read", "write" };

	for (unsigned int i = 0; i < 4; i++) {
		const struct row *fd = find(ladder, names[i / 2], ops[i % 2], server);
		const struct row *socket = find(ladder, "socket", ops[i % 2], server);

		if (!fd || !socket)
			continue;
		fprintf(to, "With the server %s, a %s by %s costs the %s ", server, ops[i % 2],
			titles[i / 2], who(fd));
		print_ratio(&fd->guest_ns, &socket->guest_ns, to);
		fprintf(to, " what it costs by socket.\n");
	}
}

/* The roads that end as an eventfd's signal does. */
static const struct {
	const char *name;
	const char *op;
	const char *what;
} signals[] = {
	{ "ioeventfd", "wildcard", "the store" },
	{ "ioeventfd", "fan-out", "a store of one of four values" },
	{ "shadow", "write", "a store whose value KVM leaves in memory" },
	{ "ro-slot", "doorbell", "a store to read-only memory" },
};

static void print_floors(const struct ladder *ladder, const char *server, const char *floor_op,
			 const char *floor_server, const char *floor_name, FILE *to)
{
	const struct row *floor = find(ladder, "eventfd", floor_op, floor_server);

	for (unsigned int i = 0; floor && i < sizeof(signals) / sizeof(*signals); i++) {
		const struct row *fd = find(ladder, signals[i].name, signals[i].op, server);

		if (!fd)
			continue;
		fprintf(to, "With the server %s, %s costs ", server, signals[i].what);
		print_ratio(&fd->guest_ns, &floor->guest_ns, to);
		fprintf(to, " its floor, %s.\n", floor_name);
	}
}

/* What one of several writes in a message costs, and the message. */
static void print_multi(const struct ladder *ladder, const char *server, FILE *to)
{
	const struct row *multi = find(ladder, "socket", "multi", server);
	const struct row *socket = find(ladder, "socket", "write", server);
	double us = multi ? series_percentile(&multi->guest_ns, 50) / 1000 : 0;

	if (!multi || !socket)
		return;
	fprintf(to, "With the server %s, one of %u writes in a REGION_WRITE_MULTI costs the %s ",
		server, multi->road.batch, who(multi));
	print_ratio(&multi->guest_ns, &socket->guest_ns, to);
	fprintf(to,
		" what it costs by a message of its own: %.1f us against %.1f us, and %.1f us for "
		"all of them.\n",
		us, series_percentile(&socket->guest_ns, 50) / 1000, us * multi->road.batch);
}

static void print_slot(const struct ladder *ladder, FILE *to)
{
	const struct row *slot = find(ladder, "ro-slot", "read", "-");
	const struct row *floor = find(ladder, "mmap", "read", "-");

	if (!slot || !floor)
		return;
	fprintf(to, "A load from read-only memory costs ");
	print_ratio(&slot->guest_ns, &floor->guest_ns, to);
	fprintf(to, " its floor, a load from mapped memory.\n");
}

static void print_notice(const struct ladder *ladder, const char *server, const char *floor_op,
			 const char *floor_name, FILE *to)
{
	const struct row *fd = find(ladder, "ioeventfd", "wildcard", server);
	const struct row *floor = find(ladder, "eventfd", floor_op, server);

	if (!fd || !floor || !fd->notify_ns.nr || !floor->notify_ns.nr)
		return;
	fprintf(to, "With the server %s, the device hears of it after ", server);
	print_ratio(&fd->notify_ns, &floor->notify_ns, to);
	fprintf(to, " what it takes %s.\n", floor_name);
}

/* What another device's client does to an access, in the middle and at the end of the scale. */
static void print_flood(const struct ladder *ladder, const char *server, const char *op, FILE *to)
{
	const struct row *flooded = find(ladder, "flooded", op, server);
	const struct row *quiet = find(ladder, "socket", op, server);

	if (!flooded || !quiet)
		return;
	fprintf(to, "With the server %s, a %s beside a flood costs at the median ", server, op);
	print_ratio_at(50, &flooded->guest_ns, &quiet->guest_ns, to);
	fprintf(to, " what it costs without, and at the 99th percentile ");
	print_ratio_at(99, &flooded->guest_ns, &quiet->guest_ns, to);
	fprintf(to, ".\n");
}

static void print_floods(const struct ladder *ladder, FILE *to)
{
	static const char *const names[] = { [RIG_ASLEEP] = "asleep", [RIG_AWAKE] = "awake" };
	const struct rig_options *options = &ladder->rig->options;

	for (unsigned int side = 0; side < RIG_NR_SIDES && options->flood; side++) {
		const struct flood *flood = ladder->rig->servers[side].flood;

		print_flood(ladder, names[side], "write", to);
		print_flood(ladder, names[side], "read", to);
		if (flood && flood_ns(flood))
			fprintf(to, "The flood, %s: %.1f MB/s.\n", options->flood->what,
				(double)flood_bytes(flood) * 1e3 / (double)flood_ns(flood));
	}
}

int ladder_findings(const void *opaque, FILE *to)
{
	const struct ladder *ladder = opaque;

	print_gain(ladder, "awake", to);
	print_spans(ladder, "awake", to);
	print_multi(ladder, "awake", to);
	print_floors(ladder, "awake", "unlistened", "-", "an ioeventfd that nobody listens to", to);
	print_notice(ladder, "awake", "spinner", "a bare reader that looks", to);
	print_gain(ladder, "asleep", to);
	print_spans(ladder, "asleep", to);
	print_multi(ladder, "asleep", to);
	print_floors(ladder, "asleep", "reader", "asleep",
		     "an ioeventfd with a bare sleeping reader", to);
	print_notice(ladder, "asleep", "reader", "a bare sleeping reader", to);
	print_slot(ladder, to);
	print_floods(ladder, to);
	return 0;
}
