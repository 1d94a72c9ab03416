/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fastpath-vmm: the companion client, a small KVM monitor that boots kernels, and attaches vfio-user
 * devices.
 */
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "acpi.h"
#include "attendant.h"
#include "boot.h"
#include "console.h"
#include "crew.h"
#include "fwcfg.h"
#include "log.h"
#include "machine.h"
#include "payload.h"
#include "power.h"
#include "vfio_pci.h"
#include "vmm_migrate.h"
#include "vmm_options.h"

/* Everything that runs. */
struct vmm {
	struct machine *machine;
	struct crew *crew;
	struct vfio_pci *devices[VMM_MAX_DEVICES];
	struct attendant *attendant;
	struct payload *payload; /* or a kernel's: */
	struct power *power;
	struct fwcfg *fwcfg;
	uint64_t began_ns;
	uint64_t start_ns; /* how long it was until the guest ran */
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static int pin(int cpu)
{
	cpu_set_t cpus;

	if (cpu < 0)
		return 0;
	CPU_ZERO(&cpus);
	CPU_SET(cpu, &cpus);
	if (!sched_setaffinity(0, sizeof(cpus), &cpus))
		return 0;
	log_error("--cpu %d: %s", cpu, strerror(errno));
	return -EINVAL;
}

static int open_devices(struct vmm *vmm, const struct vmm_options *options)
{
	int ret = 0;

	for (unsigned int i = 0; i < options->nr_devices && !ret; i++) {
		struct vfio_pci_options device = options->devices[i];

		device.wait = options->wait;
		device.attended = true;
		ret = vfio_pci_open(vmm->machine, &device, &vmm->devices[i]);
	}
	return ret;
}

static void introduce(struct payload *payload, const struct vfio_pci *dev, unsigned int number)
{
	for (unsigned int i = 0; i < VFIO_PCI_NR_BARS; i++) {
		const struct vfio_pci_bar *bar = vfio_pci_bar(dev, i);
		const struct payload_bar told = {
			.address = bar->base,
			.size = bar->size,
			.device = (uint16_t)number,
			.bar = (uint16_t)i,
			.flags = bar->space == BUS_PIO ? PAYLOAD_BAR_IO : 0,
			.vendor_id = vfio_pci_vendor_id(dev),
			.device_id = vfio_pci_device_id(dev),
		};

		if (bar->size)
			payload_add_bar(payload, &told);
	}
}

static int open_payload(struct vmm *vmm, const struct vmm_options *options)
{
	int ret = payload_open_file(vmm->machine, options->payload, &vmm->payload);

	for (unsigned int i = 0; i < options->nr_devices && !ret; i++)
		introduce(vmm->payload, vmm->devices[i], i);
	return ret;
}

static int open_ports(struct vmm *vmm)
{
	int ret = power_open(vmm->machine->bus, &vmm->power);

	if (!ret)
		ret = fwcfg_open(vmm->machine, &vmm->fwcfg);
	if (ret)
		log_error("the machine's ports: %s", strerror(-ret));
	return ret;
}

static int open_kernel(struct vmm *vmm, const struct vmm_options *options)
{
	int ret = open_ports(vmm);

	if (!ret)
		ret = acpi_write(vmm->machine);
	return ret ? ret : boot_load(vmm->machine, &options->boot);
}

static int open_machine(struct vmm *vmm, const struct vmm_options *options)
{
	int ret = options->payload ?
			  machine_open_bare(options->memory, options->cpus, &vmm->machine) :
			  machine_open_pc(options->memory, options->cpus, &vmm->machine);

	return ret ? ret : crew_open(vmm->machine, &vmm->crew);
}

static int open_all(struct vmm *vmm, const struct vmm_options *options)
{
	int ret = pin(options->cpu);

	if (!ret)
		ret = open_machine(vmm, options);
	if (!ret)
		ret = open_devices(vmm, options);
	if (!ret)
		ret = options->payload ? open_payload(vmm, options) : open_kernel(vmm, options);
	if (!ret)
		ret = attendant_open(vmm->crew, vmm->devices, options->nr_devices, options->control,
				     &vmm->attendant);
	return ret;
}

static void close_all(struct vmm *vmm)
{
	attendant_close(vmm->attendant);
	fwcfg_close(vmm->fwcfg);
	power_close(vmm->power);
	payload_close(vmm->payload);
	for (unsigned int i = 0; i < VMM_MAX_DEVICES; i++)
		vfio_pci_close(vmm->devices[i]);
	crew_close(vmm->crew);
	machine_close(vmm->machine);
}

/* For the signal handler, which has nothing else to get them from. */
static struct crew *running;
static volatile sig_atomic_t ended_by;

static const int ends[] = { SIGINT, SIGTERM, SIGHUP };

static void end(int sig)
{
	ended_by = sig;
	crew_end(running);
}

/* Until here a signal simply kills: there is nothing to clean up that the kernel would not. */
static void catch_signals(struct crew *crew)
{
	const struct sigaction action = { .sa_handler = end };

	running = crew;
	for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++)
		sigaction(ends[i], &action, NULL);
}

static void release_signals(void)
{
	for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++)
		signal(ends[i], SIG_DFL);
}

/* Meanwhile the terminal is a kernel's. What crew_run() returns. */
static int run_crew(struct vmm *vmm)
{
	struct console *console = NULL;
	int ret = vmm->power ? console_open(vmm->machine, vmm->crew, &console) : 0;

	if (ret)
		return ret;
	ret = attendant_start(vmm->attendant);
	vmm->start_ns = now_ns() - vmm->began_ns;
	if (!ret)
		ret = crew_run(vmm->crew);
	console_close(console);
	return ret;
}

static int exit_status(uint64_t code)
{
	return code > VMM_MAX_STATUS ? VMM_MAX_STATUS : (int)code;
}

/* Runs the guest to its end; the exit status. */
static int run(struct vmm *vmm)
{
	int ret;

	catch_signals(vmm->crew);
	ret = run_crew(vmm);
	release_signals();
	if (ended_by)
		return 128 + ended_by;
	if (attendant_has_ended_it(vmm->attendant))
		return EXIT_FAILURE;
	/* By Ctrl-a x. */
	if (ret == -EINTR)
		return EXIT_SUCCESS;
	if (ret)
		return EXIT_FAILURE;
	/* A kernel that is off, or wants to start again, has done well. */
	return exit_status(vmm->payload ? vmm->payload->exit_code : vmm->power->exit_code);
}

/* ---- --stats ---- */

static struct vcpu_exits sum_exits(const struct machine *machine)
{
	struct vcpu_exits sum = { 0 };

	for (unsigned int i = 0; i < machine->nr_vcpus; i++) {
		const struct vcpu_exits *exits = vcpu_exits(machine->vcpus[i]);

		sum.all += exits->all;
		sum.mmio += exits->mmio;
		sum.pio += exits->pio;
		sum.interrupted += exits->interrupted;
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

static void print_exits(const struct machine *machine)
{
	static const char *const counters[] = { "exits", "mmio_exits", "io_exits",
						"insn_emulation" };
	const struct vcpu_exits exits = sum_exits(machine);
	const struct bus_stats *stray = bus_stats(machine->bus);
	uint64_t value;

	fprintf(stderr,
		"exits to the monitor: %" PRIu64 " (%" PRIu64 " mmio, %" PRIu64 " pio, %" PRIu64
		" signals); nobody answered %" PRIu64 " reads, %" PRIu64 " writes\n",
		exits.all, exits.mmio, exits.pio, exits.interrupted, stray->stray_reads,
		stray->stray_writes);
	fprintf(stderr, "%s counts:", vm_module());
	for (size_t i = 0; i < sizeof(counters) / sizeof(*counters); i++)
		if (sum_counter(machine, counters[i], &value))
			fprintf(stderr, " %s %" PRIu64, counters[i], value);
	fprintf(stderr, "\n");
}

static void print_io_fds(const struct vfio_pci_bar *bar)
{
	const struct iofd_installed *io_fds = bar->io_fds;
	uint32_t spans = 0, spans_used = 0;

	if (!io_fds || !io_fds->set.nr_entries) {
		fprintf(stderr, "by ioeventfd none");
		return;
	}
	for (uint32_t i = 0; i < io_fds->set.nr_entries; i++) {
		bool is_span = io_fds->set.entries[i].type == FPC_IO_FD_IOREGIONFD;

		spans += is_span;
		spans_used += is_span && io_fds->roads[i];
	}
	fprintf(stderr, "by ioeventfd %u of %u doorbells", io_fds->nr_roads - spans_used,
		io_fds->set.nr_entries - spans);
	if (spans)
		fprintf(stderr,
			"; by ioregionfd %u of %u spans, its stand-in %" PRIu64 " reads, %" PRIu64
			" writes",
			spans_used, spans, bar->standin_reads, bar->standin_writes);
}

static void print_mapped(const struct vfio_pci_bar *bar)
{
	if (bar->mapped)
		fprintf(stderr, "; mapped %" PRIu64 " bytes, %" PRIu64 " of them read-only",
			mapped_bytes(bar->mapped), mapped_read_only_bytes(bar->mapped));
	fprintf(stderr, "\n");
}

static void print_bar(const struct vfio_pci *dev, unsigned int index)
{
	const struct vfio_pci_bar *bar = vfio_pci_bar(dev, index);

	if (!bar->size)
		return;
	fprintf(stderr,
		"%s: BAR %u at %s%#" PRIx64 ", %" PRIu64 " bytes: by socket %" PRIu64
		" reads, %" PRIu64 " writes; ",
		vfio_pci_name(dev), index, bar->space == BUS_PIO ? "port " : "", bar->base,
		bar->size, bar->reads, bar->writes);
	print_io_fds(bar);
	print_mapped(bar);
}

static void print_stats(const struct vmm_options *options, const struct vmm *vmm)
{
	fprintf(stderr, "started in %.1f ms\n", (double)vmm->start_ns / 1e6);
	print_exits(vmm->machine);
	for (unsigned int i = 0; i < options->nr_devices; i++)
		for (unsigned int bar = 0; bar < VFIO_PCI_NR_BARS; bar++)
			print_bar(vmm->devices[i], bar);
}

int main(int argc, char **argv)
{
	struct vmm_options options;
	struct vmm vmm = { .began_ns = now_ns() };
	int status = EXIT_FAILURE;
	int ret;

	log_set_name("fastpath-vmm");
	if (argc > 1 && !strcmp(argv[1], "migrate"))
		return vmm_migrate_main(argc - 1, argv + 1);
	ret = vmm_options_parse(&options, argc, argv);
	if (ret > 0)
		status = EXIT_SUCCESS;
	if (!ret && !open_all(&vmm, &options)) {
		status = run(&vmm);
		if (options.stats)
			print_stats(&options, &vmm);
	}
	close_all(&vmm);
	vmm_options_free(&options);
	return status;
}
