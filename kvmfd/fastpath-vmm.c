/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fastpath-vmm: the companion client, a small KVM monitor that boots kernels, and attaches vfio-user
 * devices.
 */
#include <errno.h>
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
#include "fdlimit.h"
#include "fwcfg.h"
#include "log.h"
#include "machine.h"
#include "payload.h"
#include "power.h"
#include "vfio_pci.h"
#include "vmm_confine.h"
#include "vmm_migrate.h"
#include "vmm_options.h"
#include "vmm_stats.h"

/* Everything that runs. */
struct vmm {
	struct machine *machine;
	struct crew *crew;
	struct vfio_pci *devices[VMM_MAX_DEVICES];
	struct attendant *attendant;
	struct payload *payload; /* or a kernel's: */
	struct power *power;
	struct fwcfg *fwcfg;
	struct vmm_stats *stats; /* NULL: not asked for */
	const char *module;	 /* that is KVM here: later nobody may look */
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
	log_error("--cpu %d: %s", cpu,
		  errno == EINVAL ? "no CPU that this process may run on" : strerror(errno));
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

	fdlimit_raise();
	vmm->module = vm_module();
	if (!ret)
		ret = open_machine(vmm, options);
	if (!ret)
		ret = open_devices(vmm, options);
	if (!ret)
		ret = options->payload ? open_payload(vmm, options) : open_kernel(vmm, options);
	if (!ret)
		ret = attendant_open(vmm->crew, vmm->devices, options->nr_devices, options->control,
				     &vmm->attendant);
	if (!ret && !options->no_sandbox)
		ret = vmm_confine();
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

static int open_stats(struct vmm *vmm, const struct vmm_options *options)
{
	const struct vmm_stats_of of = {
		.machine = vmm->machine,
		.crew = vmm->crew,
		.devices = vmm->devices,
		.nr_devices = options->nr_devices,
		.module = vmm->module,
		.start_ns = &vmm->start_ns,
	};

	return options->stats ? vmm_stats_open(&of, &vmm->stats) : 0;
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
	if (!ret && !open_all(&vmm, &options) && !open_stats(&vmm, &options)) {
		status = run(&vmm);
		if (vmm.stats)
			vmm_stats_print(vmm.stats);
	}
	vmm_stats_close(vmm.stats);
	close_all(&vmm);
	vmm_options_free(&options);
	return status;
}
