/* SPDX-License-Identifier: BSD-3-Clause */
/* What --stats says. On the thread that answers accesses: nothing that it looks at moves meanwhile. */
#include <inttypes.h>
#include <stdio.h>

#include "vmm_stats_print.h"

/* ---- times ---- */

static void print_times(FILE *to, const char *what, const struct histogram *times)
{
	uint64_t nr = histogram_count(times);

	if (nr)
		fprintf(to, "  %-44s %10" PRIu64 " %10.2f %10.2f\n", what, nr,
			(double)histogram_percentile(times, 50) / 1e3,
			(double)histogram_percentile(times, 99) / 1e3);
}

/* Of all vCPUs; those that are not measured have none. */
static void print_reason(FILE *to, const struct machine *machine, enum vcpu_reason reason)
{
	static const char *const names[VCPU_NR_REASONS] = {
		[VCPU_MMIO_READ] = "read of memory",   [VCPU_MMIO_WRITE] = "write to memory",
		[VCPU_PIO_READ] = "read of a port",    [VCPU_PIO_WRITE] = "write to a port",
		[VCPU_SIGNAL] = "signal, or our kick", [VCPU_OTHER] = "other",
	};
	struct histogram sum = { 0 };

	for (unsigned int i = 0; i < machine->nr_vcpus; i++)
		if (vcpu_times(machine->vcpus[i]))
			histogram_merge(&sum, &vcpu_times(machine->vcpus[i])[reason]);
	print_times(to, names[reason], &sum);
}

/* A device's BAR, or what the range calls itself. */
static void name_range(const struct vmm_stats_of *of, const struct bus_times *times, char *name,
		       size_t size)
{
	snprintf(name, size, "%s", times->ops->name ? times->ops->name : "another");
	for (unsigned int i = 0; i < of->nr_devices; i++) {
		int bar = vfio_pci_bar_of(of->devices[i], times->opaque);

		if (bar == (int)VFIO_PCI_NR_BARS)
			snprintf(name, size, "%s ROM", vfio_pci_name(of->devices[i]));
		else if (bar >= 0)
			snprintf(name, size, "%s BAR %d", vfio_pci_name(of->devices[i]), bar);
	}
}

static void print_range(FILE *to, const struct vmm_stats_of *of, const struct bus_times *times)
{
	char name[128], what[160];

	name_range(of, times, name, sizeof(name));
	snprintf(what, sizeof(what), "%s, reads", name);
	print_times(to, what, &times->reads);
	snprintf(what, sizeof(what), "%s, writes", name);
	print_times(to, what, &times->writes);
}

static void print_all_times(FILE *to, const struct vmm_stats_of *of)
{
	fprintf(to, "%-46s %10s %10s %10s\n", "exits, from KVM_RUN's return on", "count", "p50 us",
		"p99 us");
	for (int reason = 0; reason < VCPU_NR_REASONS; reason++)
		print_reason(to, of->machine, (enum vcpu_reason)reason);
	fprintf(to, "accesses, in who answers them\n");
	for (const struct bus_times *times = bus_times(of->machine->bus); times;
	     times = times->next)
		print_range(to, of, times);
}

/* ---- counters ---- */

static uint64_t now(const uint64_t *number)
{
	return __atomic_load_n(number, __ATOMIC_RELAXED);
}

static struct vcpu_exits sum_exits(const struct machine *machine)
{
	struct vcpu_exits sum = { 0 };

	for (unsigned int i = 0; i < machine->nr_vcpus; i++) {
		const struct vcpu_exits *exits = vcpu_exits(machine->vcpus[i]);

		sum.all += now(&exits->all);
		sum.mmio += now(&exits->mmio);
		sum.pio += now(&exits->pio);
		sum.interrupted += now(&exits->interrupted);
	}
	return sum;
}

/* Of all vCPUs. False when this kernel has no such counter. */
static bool sum_counter(const struct machine *machine, const char *name, uint64_t *sum)
{
	uint64_t value;

	*sum = 0;
	for (unsigned int i = 0; i < machine->nr_vcpus; i++) {
		if (vcpu_stat(machine->vcpus[i], name, &value))
			return false;
		*sum += value;
	}
	return true;
}

static void print_exits(FILE *to, const struct vmm_stats_of *of)
{
	static const char *const counters[] = { "exits",	  "mmio_exits",	    "io_exits",
						"insn_emulation", "irq_injections", "halt_exits" };
	const struct vcpu_exits exits = sum_exits(of->machine);
	const struct bus_stats *stray = bus_stats(of->machine->bus);
	uint64_t value;

	fprintf(to,
		"exits to the monitor: %" PRIu64 " (%" PRIu64 " mmio, %" PRIu64 " pio, %" PRIu64
		" signals); nobody answered %" PRIu64 " reads, %" PRIu64 " writes\n",
		exits.all, exits.mmio, exits.pio, exits.interrupted, stray->stray_reads,
		stray->stray_writes);
	fprintf(to, "%s counts:", of->module);
	for (size_t i = 0; i < sizeof(counters) / sizeof(*counters); i++)
		if (sum_counter(of->machine, counters[i], &value))
			fprintf(to, " %s %" PRIu64, counters[i], value);
	fprintf(to, "\n");
}

/* ---- a device's BARs: the sums, and what is where ---- */

static void print_io_fds(FILE *to, const struct vfio_pci_bar *bar)
{
	const struct iofd_installed *io_fds = bar->io_fds;
	uint32_t spans = 0, spans_used = 0;

	if (!io_fds || !io_fds->set.nr_entries) {
		fprintf(to, "by ioeventfd none");
		return;
	}
	for (uint32_t i = 0; i < io_fds->set.nr_entries; i++) {
		bool is_span = io_fds->set.entries[i].type == FPC_IO_FD_IOREGIONFD;

		spans += is_span;
		spans_used += is_span && io_fds->roads[i];
	}
	fprintf(to, "by ioeventfd %u of %u doorbells", io_fds->nr_roads - spans_used,
		io_fds->set.nr_entries - spans);
	if (spans)
		fprintf(to,
			"; by ioregionfd %u of %u spans, its stand-in %" PRIu64 " reads, %" PRIu64
			" writes",
			spans_used, spans, bar->standin_reads, bar->standin_writes);
}

static void print_mapped(FILE *to, const struct vfio_pci_bar *bar)
{
	if (bar->mapped)
		fprintf(to, "; mapped %" PRIu64 " bytes, %" PRIu64 " of them read-only",
			mapped_bytes(bar->mapped), mapped_read_only_bytes(bar->mapped));
	fprintf(to, "\n");
}

static bool is_standin(const struct iofd_installed *io_fds, uint32_t entry)
{
	for (uint32_t i = 0; i < io_fds->nr_spans; i++)
		if (io_fds->spans[i] == entry)
			return true;
	return false;
}

static const char *road_of(const struct iofd_installed *io_fds, uint32_t entry)
{
	if (!io_fds->roads[entry])
		return "socket";
	if (is_standin(io_fds, entry))
		return "stand-in";
	switch (io_fds->set.entries[entry].type) {
	case FPC_IO_FD_IOREGIONFD:
		return "ioregionfd";
	case FPC_IO_FD_SHADOW:
		return "shadow ioeventfd";
	default:
		return "ioeventfd";
	}
}

/* What is installed where; the rest of the BAR goes by socket. */
static void print_roads(FILE *to, const struct vfio_pci_bar *bar)
{
	const struct iofd_installed *io_fds = bar->io_fds;
	struct fpc_area area;
	bool read_only;

	for (uint32_t i = 0; io_fds && i < io_fds->set.nr_entries; i++) {
		const struct fpc_io_fd *entry = &io_fds->set.entries[i];

		fprintf(to, "  +%#" PRIx64 ", ", entry->offset);
		if (entry->size)
			fprintf(to, "%" PRIu64 " bytes: %s", entry->size, road_of(io_fds, i));
		else
			fprintf(to, "any width: %s", road_of(io_fds, i));
		if (entry->type != FPC_IO_FD_IOREGIONFD && entry->flags & FPC_IOEVENTFD_DATAMATCH)
			fprintf(to, " for %#" PRIx64, entry->datamatch);
		fprintf(to, "\n");
	}
	for (uint32_t i = 0; bar->mapped && mapped_area(bar->mapped, i, &area, &read_only); i++)
		fprintf(to, "  +%#" PRIx64 ", %" PRIu64 " bytes: memory slot%s\n", area.offset,
			area.size, read_only ? ", read-only" : "");
}

static void print_bar(FILE *to, const char *device, const struct vfio_pci_bar *bar,
		      unsigned int index)
{
	if (!bar->size)
		return;
	fprintf(to,
		"%s: BAR %u at %s%#" PRIx64 ", %" PRIu64 " bytes: by socket %" PRIu64
		" reads, %" PRIu64 " writes; ",
		device, index, bar->space == BUS_PIO ? "port " : "", bar->base, bar->size,
		bar->reads, bar->writes);
	print_io_fds(to, bar);
	print_mapped(to, bar);
	if (bar->placed)
		print_roads(to, bar);
	else
		fprintf(to, "  it is nowhere now\n");
}

/* ---- a device's interrupts, and how it is waited for ---- */

/* KVM takes them from the server's eventfds, and keeps no count for each. */
static void print_interrupts(FILE *to, const struct vmm_stats_of *of, unsigned int number)
{
	const struct vfio_pci_interrupts irqs = vfio_pci_interrupts(of->devices[number]);

	if (!of->machine->irqs)
		return;
	if (!irqs.kind) {
		fprintf(to, "%s: no interrupts enabled\n", vfio_pci_name(of->devices[number]));
		return;
	}
	fprintf(to,
		"%s: %s: %u of %u vectors go from the server to KVM, %u pending; the server counts "
		"them\n",
		vfio_pci_name(of->devices[number]), irqs.kind, irqs.routed, irqs.nr, irqs.pending);
}

static void print_waits(FILE *to, const struct vmm_stats_of *of, unsigned int number)
{
	const struct fpc_wait_stats waits = fpc_wait_stats(vfio_pci_client(of->devices[number]));

	if (waits.hits || waits.misses)
		fprintf(to,
			"%s: looking for answers found %" PRIu64 ", slept after all %" PRIu64 "\n",
			vfio_pci_name(of->devices[number]), waits.hits, waits.misses);
}

void vmm_stats_print_to(FILE *to, const struct vmm_stats_of *of)
{
	fprintf(to, "first instruction after %.1f ms\n", (double)*of->start_ns / 1e6);
	print_exits(to, of);
	print_all_times(to, of);
	for (unsigned int i = 0; i < of->nr_devices; i++) {
		for (unsigned int bar = 0; bar < VFIO_PCI_NR_BARS; bar++)
			print_bar(to, vfio_pci_name(of->devices[i]),
				  vfio_pci_bar(of->devices[i], bar), bar);
		print_interrupts(to, of, i);
		print_waits(to, of, i);
	}
}
