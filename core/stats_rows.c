/* SPDX-License-Identifier: BSD-3-Clause */
#include "stats_rows.h"

#include "json_put.h"
#include "ring.h"
#include "stats.h"

#define WORKER(member) offsetof(struct ring_stats, member)
#define DEVICE(member) offsetof(struct stats, member)
#define REGION(member) offsetof(struct stats_region, member)

/* clang-format off */
const struct stats_row stats_worker_rows[] = {
	{ "turns", "turns", "worker_turns", NULL, "Turns of a worker's ring", WORKER(turns) },
	{ "enters", "enters", "worker_enters", NULL,
	  "io_uring_enter() calls of a worker's ring", WORKER(enters) },
	{ "sends", "sends", "worker_sends", NULL,
	  "send() calls of what had nothing to leave with", WORKER(sends) },
	{ "completions", "completions", "worker_completions", NULL,
	  "Completions that a worker's ring has seen", WORKER(completions) },
	{ "spin_hits", "spins that hit", "worker_spin_hits", NULL,
	  "Turns that found something while spinning", WORKER(spin_hits) },
	{ "spin_misses", "spins that missed", "worker_spin_misses", NULL,
	  "Turns that spun in vain and went to sleep", WORKER(spin_misses) },
	{ "spin_denied", "spins denied", "worker_spin_denied", NULL,
	  "Turns that did not spin as others do on all CPUs", WORKER(spin_denied) },
	{ 0 },
};

const struct stats_row stats_device_rows[] = {
	{ "replies", "replies", "replies", NULL,
	  "Replies to the client, errors among them", DEVICE(replies) },
	{ "errors", "of them errors", "errors", NULL,
	  "Replies that are an error", DEVICE(errors) },
	{ "refused", "refused", "refused", NULL,
	  "Messages refused, answered or not", DEVICE(refused) },
	{ "asked", "asked the client", "asked", NULL,
	  "Commands to the client", DEVICE(asked) },
	{ "answers", "answered", "answers", NULL,
	  "Replies of the client to these", DEVICE(answers) },
	{ "bytes_in", "bytes in", "received_bytes", "bytes",
	  "Bytes of messages received, headers included", DEVICE(bytes_in) },
	{ "bytes_out", "bytes out", "sent_bytes", "bytes",
	  "Bytes of messages sent, headers included", DEVICE(bytes_out) },
	{ "fds_in", "fds in", "received_fds", NULL,
	  "File descriptors received with messages", DEVICE(fds_in) },
	{ "fds_out", "fds out", "sent_fds", NULL,
	  "File descriptors sent with messages", DEVICE(fds_out) },
	{ "resets", "resets", "resets", NULL, "Resets of the device", DEVICE(resets) },
	{ 0 },
};

const struct stats_row stats_region_rows[] = {
	{ "reads", "reads", "region_reads", NULL,
	  "Reads of the region by message or ioregionfd", REGION(reads) },
	{ "writes", "writes", "region_writes", NULL,
	  "Writes by message or ioregionfd that ring nothing", REGION(writes) },
	{ "rings_by_message", "rings by message", "region_rings_by_message", NULL,
	  "Doorbells rung by message or ioregionfd", REGION(rings_by_message) },
	{ "rings_by_eventfd", "rings by eventfd", "region_rings_by_eventfd", NULL,
	  "Doorbells rung by eventfd", REGION(rings_by_eventfd) },
	{ "by_ioregionfd", "by ioregionfd", "region_by_ioregionfd", NULL,
	  "Of all but those by eventfd what came by ioregionfd", REGION(by_ioregionfd) },
	{ 0 },
};
/* clang-format on */

void stats_rows_put(const struct stats_row *rows, const void *numbers, struct json_object *object)
{
	for (; rows->key; rows++)
		put_number(object, rows->key,
			   *(const uint64_t *)((const char *)numbers + rows->offset));
}
