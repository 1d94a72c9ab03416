/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "report.h"

static double per_op(const struct row *row, uint64_t sum)
{
	return row->accesses ? (double)sum / (double)row->accesses : 0;
}

static void print_row(const struct row *row, FILE *to)
{
	const struct series *guest = &row->guest_ns;

	fprintf(to, "%-10s %-10s %-3s %-7s", row->road.name, row->road.op, row->road.can,
		row->road.server);
	if (row->skip) {
		fprintf(to, " skip: %s\n", row->skip);
		return;
	}
	fprintf(to, "%9.0f %8.0f %8.0f %8.0f %9.0f", series_percentile(guest, 50),
		series_percentile(guest, 90), series_percentile(guest, 99),
		series_percentile(guest, 99.9), series_percentile(guest, 100));
	if (row->notify_ns.nr)
		fprintf(to, " %8.0f", series_percentile(&row->notify_ns, 50));
	else
		fprintf(to, " %8s", "-");
	if (strcmp(row->where, "host"))
		fprintf(to, " %6.2f", per_op(row, row->exits));
	else
		fprintf(to, " %6s", "-");
	if (row->has_server_usage)
		fprintf(to, " %8.0f %5.2f", per_op(row, row->server.cpu_ns),
			per_op(row, row->server.switches));
	else
		fprintf(to, " %8s %5s", "-", "-");
	fprintf(to, " %8.0f %5.2f %7zu %s\n", per_op(row, row->client.cpu_ns),
		per_op(row, row->client.switches), guest->nr, row->where);
}

static const struct row *find(const struct report *report, const char *road, const char *op,
			      const char *server)
{
	for (unsigned int i = 0; i < report->nr_rows; i++) {
		const struct row *row = &report->rows[i];

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
static void print_gain(const struct report *report, const char *server, FILE *to)
{
	const struct row *fd = find(report, "ioeventfd", "wildcard", server);
	const struct row *socket = find(report, "socket", "write", server);

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
static void print_spans(const struct report *report, const char *server, FILE *to)
{
	static const char *const names[] = { "standin", "ioregionfd" };
	static const char *const titles[] = { "an ioregionfd's stand-in", "ioregionfd in KVM" };
	static const char *const ops[] = { "read", "write" };

	for (unsigned int i = 0; i < 4; i++) {
		const struct row *fd = find(report, names[i / 2], ops[i % 2], server);
		const struct row *socket = find(report, "socket", ops[i % 2], server);

		if (!fd || !socket)
			continue;
		fprintf(to, "With the server %s, a %s by %s costs the %s ", server, ops[i % 2],
			titles[i / 2], who(fd));
		print_ratio(&fd->guest_ns, &socket->guest_ns, to);
		fprintf(to, " what it costs by socket.\n");
	}
}

/* A road that is missing for one reason in all its rows is told of once. */
static bool is_told(const struct report *report, unsigned int i)
{
	const struct row *row = &report->rows[i];

	for (unsigned int j = 0; row->skip && j < i; j++)
		if (!strcmp(report->rows[j].road.name, row->road.name) && report->rows[j].skip &&
		    !strcmp(report->rows[j].skip, row->skip))
			return true;
	return false;
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

static void print_floors(const struct report *report, const char *server, const char *floor_op,
			 const char *floor_server, const char *floor_name, FILE *to)
{
	const struct row *floor = find(report, "eventfd", floor_op, floor_server);

	for (unsigned int i = 0; floor && i < sizeof(signals) / sizeof(*signals); i++) {
		const struct row *fd = find(report, signals[i].name, signals[i].op, server);

		if (!fd)
			continue;
		fprintf(to, "With the server %s, %s costs ", server, signals[i].what);
		print_ratio(&fd->guest_ns, &floor->guest_ns, to);
		fprintf(to, " its floor, %s.\n", floor_name);
	}
}

/* What one of several writes in a message costs, and the message. */
static void print_multi(const struct report *report, const char *server, FILE *to)
{
	const struct row *multi = find(report, "socket", "multi", server);
	const struct row *socket = find(report, "socket", "write", server);
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

static void print_slot(const struct report *report, FILE *to)
{
	const struct row *slot = find(report, "ro-slot", "read", "-");
	const struct row *floor = find(report, "mmap", "read", "-");

	if (!slot || !floor)
		return;
	fprintf(to, "A load from read-only memory costs ");
	print_ratio(&slot->guest_ns, &floor->guest_ns, to);
	fprintf(to, " its floor, a load from mapped memory.\n");
}

static void print_notice(const struct report *report, const char *server, const char *floor_op,
			 const char *floor_name, FILE *to)
{
	const struct row *fd = find(report, "ioeventfd", "wildcard", server);
	const struct row *floor = find(report, "eventfd", floor_op, server);

	if (!fd || !floor || !fd->notify_ns.nr || !floor->notify_ns.nr)
		return;
	fprintf(to, "With the server %s, the device hears of it after ", server);
	print_ratio(&fd->notify_ns, &floor->notify_ns, to);
	fprintf(to, " what it takes %s.\n", floor_name);
}

/* What another device's client does to an access, in the middle and at the end of the scale. */
static void print_flood(const struct report *report, const char *server, const char *op, FILE *to)
{
	const struct row *flooded = find(report, "flooded", op, server);
	const struct row *quiet = find(report, "socket", op, server);

	if (!flooded || !quiet)
		return;
	fprintf(to, "With the server %s, a %s beside a flood costs at the median ", server, op);
	print_ratio_at(50, &flooded->guest_ns, &quiet->guest_ns, to);
	fprintf(to, " what it costs without, and at the 99th percentile ");
	print_ratio_at(99, &flooded->guest_ns, &quiet->guest_ns, to);
	fprintf(to, ".\n");
}

static void print_floods(const struct report *report, FILE *to)
{
	static const char *const names[] = { [RIG_ASLEEP] = "asleep", [RIG_AWAKE] = "awake" };
	const struct rig_options *options = &report->rig->options;

	for (unsigned int side = 0; side < RIG_NR_SIDES && options->flood; side++) {
		const struct flood *flood = report->rig->servers[side].flood;

		print_flood(report, names[side], "write", to);
		print_flood(report, names[side], "read", to);
		if (flood && flood_ns(flood))
			fprintf(to, "The flood, %s: %.1f MB/s.\n", options->flood->what,
				(double)flood_bytes(flood) * 1e3 / (double)flood_ns(flood));
	}
}

void report_text(const struct report *report, FILE *to)
{
	fprintf(to, "%-10s %-10s %-3s %-7s %s\n", "", "", "", "",
		"   ------------- guest_ns ---------------  notify_ns exits   -- server -- --- client ---");
	fprintf(to, "%-10s %-10s %-3s %-7s%9s %8s %8s %8s %9s %8s %6s %8s %5s %8s %5s %7s %s\n",
		"road", "op", "can", "server", "p50", "p90", "p99", "p99.9", "max", "p50", "/op",
		"cpu_ns", "sw", "cpu_ns", "sw", "n", "guest");
	for (unsigned int i = 0; i < report->nr_rows; i++)
		if (!is_told(report, i))
			print_row(&report->rows[i], to);
	fprintf(to,
		"\ncan: v carries the value, r answers reads, o keeps the order of accesses\n\n");
	print_gain(report, "awake", to);
	print_spans(report, "awake", to);
	print_multi(report, "awake", to);
	print_floors(report, "awake", "unlistened", "-", "an ioeventfd that nobody listens to", to);
	print_notice(report, "awake", "spinner", "a bare reader that looks", to);
	print_gain(report, "asleep", to);
	print_spans(report, "asleep", to);
	print_multi(report, "asleep", to);
	print_floors(report, "asleep", "reader", "asleep",
		     "an ioeventfd with a bare sleeping reader", to);
	print_notice(report, "asleep", "reader", "a bare sleeping reader", to);
	print_slot(report, to);
	print_floods(report, to);
}

void report_csv(const struct report *report, FILE *to)
{
	fprintf(to, "road,op,server,guest,width_bytes,n,guest_ns_p50,guest_ns_p90,guest_ns_p99,"
		    "guest_ns_p99.9,guest_ns_max,notify_ns_p50,rtt_ns_p50,exits_per_op,"
		    "server_cpu_ns_per_op,server_switches_per_op,client_cpu_ns_per_op,"
		    "client_switches_per_op,skip\n");
	for (unsigned int i = 0; i < report->nr_rows; i++) {
		const struct row *row = &report->rows[i];
		const struct series *guest = &row->guest_ns;

		fprintf(to, "%s,%s,%s,", row->road.name, row->road.op, row->road.server);
		if (row->skip) {
			fprintf(to, ",,,,,,,,,,,,,,,\"%s\"\n", row->skip);
			continue;
		}
		fprintf(to,
			"%s,%u,%zu,%.0f,%.0f,%.0f,%.0f,%.0f,%.0f,%.0f,%.3f,%.0f,%.3f,%.0f,%.3f,\n",
			row->where, row->road.width, guest->nr, series_percentile(guest, 50),
			series_percentile(guest, 90), series_percentile(guest, 99),
			series_percentile(guest, 99.9), series_percentile(guest, 100),
			series_percentile(&row->notify_ns, 50), series_percentile(&row->rtt_ns, 50),
			per_op(row, row->exits), per_op(row, row->server.cpu_ns),
			per_op(row, row->server.switches), per_op(row, row->client.cpu_ns),
			per_op(row, row->client.switches));
	}
}
