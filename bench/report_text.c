/* SPDX-License-Identifier: BSD-3-Clause */
#include <math.h>
#include <stdlib.h>

#include "report.h"
#include "series.h"
#include "table.h"
#include "terminal.h"

#define NUMBER(name, what)                               \
	static double name(const struct result_row *row) \
	{                                                \
		return what;                             \
	}
#define TEXT(name, what)                                      \
	static const char *name(const struct result_row *row) \
	{                                                     \
		return what;                                  \
	}

TEXT(road, row->road)
TEXT(op, row->op)
TEXT(can, row->can)
TEXT(server, row->server)
TEXT(guest, row->guest)
NUMBER(p50, row->cost.p50)
NUMBER(p90, row->cost.p90)
NUMBER(p99, row->cost.p99)
NUMBER(p999, row->cost.p999)
NUMBER(max, row->cost.max)
NUMBER(notify, row->notify.nr ? row->notify.p50 : NAN)
NUMBER(exits, row->exits)
NUMBER(server_cpu, row->server_cpu)
NUMBER(server_switches, row->server_switches)
NUMBER(client_cpu, row->client_cpu)
NUMBER(client_switches, row->client_switches)
NUMBER(n, row->n)
NUMBER(size, row->size_bytes)
NUMBER(accesses, row->accesses)
NUMBER(low, result_rounds_percentile(&row->cost, 10))
NUMBER(high, result_rounds_percentile(&row->cost, 90))

static const struct table_column of_roads[] = {
	{ "", "road", .is_text = true, .text = road },
	{ "", "op", .is_text = true, .text = op },
	{ "", "can", 9, .is_text = true, .text = can },
	{ "", "server", .is_text = true, .text = server },
	{ "guest_ns", "p50", .number = p50 },
	{ "guest_ns", "p90", 8, .number = p90 },
	{ "guest_ns", "p99", 1, .number = p99 },
	{ "guest_ns", "p99.9", 11, .number = p999 },
	{ "guest_ns", "max", 10, .number = max },
	{ "notify", "p50_ns", 2, .number = notify },
	{ "", "exits", 7, .number = exits, .decimals = 2 },
	{ "server", "cpu_ns", 5, .number = server_cpu },
	{ "server", "sw", 12, .number = server_switches, .decimals = 2 },
	{ "client", "cpu_ns", 6, .number = client_cpu },
	{ "client", "sw", 13, .number = client_switches, .decimals = 2 },
	{ "", "n", 14, .number = n },
	{ "", "guest", 15, .is_text = true, .text = guest },
};

#define OF_PEERS                                                                       \
	{ "", "access", .is_text = true, .text = op }, { "", "size", .number = size }, \
		{ "", "peer", .is_text = true, .text = road },                         \
	{                                                                              \
		"", "client", 8, .is_text = true, .text = server                       \
	}
#define CPU_OF_PEERS                                                              \
	{ "server", "cpu_ns", 5, .number = server_cpu },                          \
		{ "server", "sw", 10, .number = server_switches, .decimals = 2 }, \
		{ "client", "cpu_ns", 6, .number = client_cpu },                  \
		{ "client", "sw", 11, .number = client_switches, .decimals = 2 }, \
	{                                                                         \
		"", "accesses", 12, .number = accesses                            \
	}

static const struct table_column of_rtt[] = {
	OF_PEERS,
	{ "rtt_ns", "p50", .number = p50 },
	{ "rtt_ns", "p90", 7, .number = p90 },
	{ "rtt_ns", "p99", 1, .number = p99 },
	{ "8 of 10 rounds", "from", 3, .number = low },
	{ "8 of 10 rounds", "to", 2, .number = high },
	CPU_OF_PEERS,
};

static const struct table_column of_throughput[] = {
	OF_PEERS,
	{ "", "accesses/s", .number = p50 },
	{ "8 of 10 rounds", "from", 3, .number = low },
	{ "8 of 10 rounds", "to", 2, .number = high },
	CPU_OF_PEERS,
};

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

void report_text(const struct result *result, FILE *to)
{
	unsigned int width = terminal_width(to);

	if (result->is_roads)
		table_print(of_roads, COUNT(of_roads), result, width, to);
	else if (result->more_is_better)
		table_print(of_throughput, COUNT(of_throughput), result, width, to);
	else
		table_print(of_rtt, COUNT(of_rtt), result, width, to);
	fputc('\n', to);
	if (result->is_roads) {
		terminal_wrap(to,
			      "can: v carries the value, r answers reads, o keeps the order "
			      "of accesses",
			      width);
		fputc('\n', to);
	}
	for (unsigned int i = 0; i < result->nr_findings; i++)
		terminal_wrap(to, result->findings[i], width);
}
