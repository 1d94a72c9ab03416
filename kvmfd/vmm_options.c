/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm_options.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "keyval.h"
#include "log.h"
#include "machine.h"
#include "ring.h"

#ifndef FASTPATH_VERSION
#define FASTPATH_VERSION "unversioned"
#endif

#define MAX_KEYS 10

/* Unless told otherwise: what a distribution's kernel is content with. */
#define VMM_KERNEL_MEMORY (256ull << 20)

enum {
	OPT_DEVICE = 256,
	OPT_PAYLOAD,
	OPT_KERNEL,
	OPT_INITRD,
	OPT_APPEND,
	OPT_CPUS,
	OPT_MEMORY,
	OPT_WAIT,
	OPT_CPU,
	OPT_CONTROL,
	OPT_STATS,
	OPT_SANDBOX,
	OPT_LOG_LEVEL,
	OPT_HELP,
	OPT_VERSION
};

static const struct option long_options[] = {
	{ "device", required_argument, NULL, OPT_DEVICE },
	{ "payload", required_argument, NULL, OPT_PAYLOAD },
	{ "kernel", required_argument, NULL, OPT_KERNEL },
	{ "initrd", required_argument, NULL, OPT_INITRD },
	{ "append", required_argument, NULL, OPT_APPEND },
	{ "cpus", required_argument, NULL, OPT_CPUS },
	{ "memory", required_argument, NULL, OPT_MEMORY },
	{ "wait", required_argument, NULL, OPT_WAIT },
	{ "cpu", required_argument, NULL, OPT_CPU },
	{ "control", required_argument, NULL, OPT_CONTROL },
	{ "stats", no_argument, NULL, OPT_STATS },
	{ "sandbox", required_argument, NULL, OPT_SANDBOX },
	{ "log-level", required_argument, NULL, OPT_LOG_LEVEL },
	{ "help", no_argument, NULL, OPT_HELP },
	{ "version", no_argument, NULL, OPT_VERSION },
	{ 0 },
};

static void usage(void)
{
	printf("Usage: fastpath-vmm --kernel FILE [--initrd FILE] [--append TEXT] [options]\n"
	       "       fastpath-vmm --payload FILE [options]\n"
	       "           [--device vfio-user,socket=ADDRESS[,key=value...]] [--device ...]\n"
	       "       fastpath-vmm migrate --control PATH --device ID --to ADDRESS\n"
	       "Boots a kernel, or runs a bare guest program, with vfio-user PCI devices.\n"
	       "Exit status: 0 when the kernel powers off or resets, or the program's exit\n"
	       "code (%d if larger); 1: an error, or a guest that crashed; 128 + N: ended by\n"
	       "signal N.\n\n"
	       "  --kernel FILE           a bzImage, an ELF file with a PVH entry, or a multiboot\n"
	       "                          kernel. Its first serial port (ttyS0) is the standard\n"
	       "                          input and output; Ctrl-a x ends the guest, Ctrl-a Ctrl-a\n"
	       "                          sends a Ctrl-a\n"
	       "  --initrd FILE           its initial RAM disk\n"
	       "  --append TEXT           its command line\n"
	       "  --cpus N                how many vCPUs; default 1, %u at most\n"
	       "  --payload FILE          the guest program, a flat binary for address %#llx\n"
	       "  --device vfio-user,...  a device, up to %u:\n"
	       "      socket=ADDRESS      where its server listens: unix:PATH or just PATH,\n"
	       "                          vsock:CID:PORT, tcp:HOST:PORT or tcp:PORT\n"
	       "      io-fds=on|off       install the server's io fds (the default), or do not\n"
	       "      ioregion=HOW        its ioregionfds: auto (the default: in KVM, else by\n"
	       "                          stand-in), standin, or off: by socket\n"
	       "      mmap=on|off         what may be mapped is the guest's memory (the default)\n"
	       "      posted=on|off       writes by socket don't wait for an answer; default off\n"
	       "      slot=N              on the PCI bus, 1 to 31; default: the next one\n"
	       "      reconnect=HOW       when its server dies: on (the default: wait for it, reset\n"
	       "                          the device and go on), reset (the same, and the guest has\n"
	       "                          to set it up again), or off: end\n"
	       "      id=NAME             what --control calls it; default its number, from 0 on\n"
	       "  --memory MIB            of the guest; default %llu for a kernel, else %llu\n"
	       "  --wait POLICY           how to wait for a server's answer: adaptive (the default),\n"
	       "                          look for it before sleeping, as long as that pays;\n"
	       "                          block; spin=MICROSECONDS; or sqpoll\n"
	       "  --cpu N                 run on this CPU only\n"
	       "  --control PATH          listen there for fastpath-vmm migrate, which moves a device\n"
	       "                          to another server while the guest runs\n"
	       "  --stats                 when it ends, and on SIGUSR1, say how long its start took,\n"
	       "                          what left the guest, why and for how long, and by which\n"
	       "                          roads accesses need not\n"
	       "  --sandbox on|off        once the guest runs, only what that takes is allowed (the\n"
	       "                          default), or all that this user may do: to debug\n"
	       "  --log-level LEVEL       error, warn (the default), info or debug\n"
	       "  --help, --version\n",
	       VMM_MAX_STATUS, MACHINE_MAX_VCPUS, PAYLOAD_LOAD_ADDRESS, VMM_MAX_DEVICES,
	       VMM_KERNEL_MEMORY >> 20, MACHINE_DEFAULT_MEMORY >> 20);
}

static int parse_number(const char *option, const char *text, uint64_t max, uint64_t *number)
{
	char *end;

	errno = 0;
	*number = strtoull(text, &end, 10);
	if (*text >= '0' && *text <= '9' && !*end && !errno && *number <= max)
		return 0;
	log_error("%s %s: wants a number, %" PRIu64 " at most", option, text, max);
	return -EINVAL;
}

static int parse_switch(const struct keyval *pair, bool *on)
{
	*on = !strcmp(pair->value, "on");
	if (*on || !strcmp(pair->value, "off"))
		return 0;
	log_error("--device vfio-user: %s=%s: wants on or off", pair->key, pair->value);
	return -EINVAL;
}

static int parse_ioregion(const char *text, enum iofd_ioregion *ioregion)
{
	static const char *const names[] = {
		[IOFD_IOREGION_AUTO] = "auto",
		[IOFD_IOREGION_STANDIN] = "standin",
		[IOFD_IOREGION_OFF] = "off",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (!strcmp(text, names[i])) {
			*ioregion = (enum iofd_ioregion)i;
			return 0;
		}
	log_error("--device vfio-user: ioregion=%s: wants auto, standin or off", text);
	return -EINVAL;
}

static int parse_reconnect(const char *text, enum vfio_pci_reconnect *reconnect)
{
	static const char *const names[] = {
		[VFIO_PCI_KEEP] = "on",
		[VFIO_PCI_RESET] = "reset",
		[VFIO_PCI_END] = "off",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (!strcmp(text, names[i])) {
			*reconnect = (enum vfio_pci_reconnect)i;
			return 0;
		}
	log_error("--device vfio-user: reconnect=%s: wants on, reset or off", text);
	return -EINVAL;
}

static int parse_slot(const char *text, unsigned int *slot)
{
	uint64_t number;
	int ret = parse_number("--device vfio-user: slot", text, PCI_HOST_SLOTS - 1, &number);

	if (!ret && !number) {
		log_error("--device vfio-user: slot 0 is the host bridge's");
		ret = -EINVAL;
	}
	*slot = (unsigned int)number;
	return ret;
}

static int parse_key(struct vfio_pci_options *device, const struct keyval *pair)
{
	bool on;
	int ret;

	if (!strcmp(pair->key, "socket")) {
		device->socket = pair->value;
		return 0;
	}
	if (!strcmp(pair->key, "id")) {
		device->id = pair->value;
		return 0;
	}
	if (!strcmp(pair->key, "reconnect"))
		return parse_reconnect(pair->value, &device->reconnect);
	if (!strcmp(pair->key, "posted"))
		return parse_switch(pair, &device->posted);
	if (!strcmp(pair->key, "mmap")) {
		ret = parse_switch(pair, &on);
		device->no_mmap = !on;
		return ret;
	}
	if (!strcmp(pair->key, "slot"))
		return parse_slot(pair->value, &device->slot);
	if (!strcmp(pair->key, "ioregion"))
		return parse_ioregion(pair->value, &device->ioregion);
	if (strcmp(pair->key, "io-fds")) {
		log_error("--device vfio-user: no key '%s'; it has: socket, io-fds, ioregion, "
			  "mmap, posted, slot, reconnect, id",
			  pair->key);
		return -EINVAL;
	}
	ret = parse_switch(pair, &on);
	device->no_io_fds = !on;
	return ret;
}

static int parse_pairs(struct vfio_pci_options *device, const struct keyval *pairs, int nr)
{
	const char *twice = keyval_twice(pairs, (size_t)nr);
	int ret = 0;

	if (twice) {
		log_error("--device vfio-user: %s= is there twice", twice);
		return -EINVAL;
	}
	for (int i = 0; i < nr && !ret; i++)
		ret = parse_key(device, &pairs[i]);
	if (!ret && (!device->socket || !*device->socket)) {
		log_error("--device vfio-user: no socket=ADDRESS");
		ret = -EINVAL;
	}
	return ret;
}

/* What a device is called has to be clear. */
static int name_device(struct vmm_options *options, unsigned int number)
{
	struct vfio_pci_options *device = &options->devices[number];

	snprintf(options->ids[number], sizeof(options->ids[number]), "%u", number % 1000);
	if (!device->id)
		device->id = options->ids[number];
	for (unsigned int i = 0; i < number; i++)
		if (!strcmp(device->id, options->devices[i].id)) {
			log_error("--device vfio-user: id=%s: two devices have it", device->id);
			return -EINVAL;
		}
	return 0;
}

static int parse_device(struct vmm_options *options, const char *text)
{
	struct keyval pairs[MAX_KEYS];
	const char *name;
	char *copy;
	int nr;

	if (options->nr_devices == VMM_MAX_DEVICES) {
		log_error("--device %s: more than %u devices", text, VMM_MAX_DEVICES);
		return -E2BIG;
	}
	copy = strdup(text);
	if (!copy)
		return -ENOMEM;
	options->texts[options->nr_devices] = copy;
	nr = keyval_split(copy, &name, pairs, MAX_KEYS);
	if (nr < 0) {
		log_error("--device %s: wants vfio-user,key=value..., %d keys at most", text,
			  MAX_KEYS);
		return nr;
	}
	if (strcmp(name, "vfio-user")) {
		log_error("--device %s: no kind '%s'; there is: vfio-user", text, name);
		return -EINVAL;
	}
	nr = parse_pairs(&options->devices[options->nr_devices], pairs, nr);
	return nr ? nr : name_device(options, options->nr_devices++);
}

static int parse_wait(const char *text, struct fpc_wait *wait)
{
	struct ring_wait parsed;

	if (!ring_wait_parse(text, &parsed)) {
		*wait = (struct fpc_wait){ (enum fpc_wait_mode)parsed.mode, parsed.spin_us };
		return 0;
	}
	log_error("--wait %s: wants " RING_WAIT_WANTED, text);
	return -EINVAL;
}

static int parse_log_level(const char *text)
{
	enum log_level level;

	if (log_level_parse(text, &level)) {
		log_error("--log-level %s: wants error, warn, info or debug", text);
		return -EINVAL;
	}
	log_set_level(level);
	return 0;
}

static int parse_sandbox(const char *text, bool *off)
{
	*off = !strcmp(text, "off");
	if (*off || !strcmp(text, "on"))
		return 0;
	log_error("--sandbox %s: wants on or off", text);
	return -EINVAL;
}

static int parse_memory(const char *text, uint64_t *bytes)
{
	uint64_t mib;
	int ret = parse_number("--memory", text, MEMORY_MAX_BYTES >> 20, &mib);

	if (!ret && !mib) {
		log_error("--memory 0: wants 1 at least");
		ret = -EINVAL;
	}
	*bytes = mib << 20;
	return ret;
}

static int parse_cpus(const char *text, unsigned int *cpus)
{
	uint64_t number;
	int ret = parse_number("--cpus", text, MACHINE_MAX_VCPUS, &number);

	if (!ret && !number) {
		log_error("--cpus 0: wants 1 at least");
		ret = -EINVAL;
	}
	*cpus = (unsigned int)number;
	return ret;
}

static int parse_cpu(const char *text, int *cpu)
{
	uint64_t number;
	int ret = parse_number("--cpu", text, CPU_SETSIZE - 1, &number);

	*cpu = (int)number;
	return ret;
}

/* 0; 1 when there is nothing left to do; -errno. */
static int parse_one(struct vmm_options *options, int opt)
{
	switch (opt) {
	case OPT_DEVICE:
		return parse_device(options, optarg);
	case OPT_PAYLOAD:
		options->payload = optarg;
		return 0;
	case OPT_KERNEL:
		options->boot.kernel = optarg;
		return 0;
	case OPT_INITRD:
		options->boot.initrd = optarg;
		return 0;
	case OPT_APPEND:
		options->boot.append = optarg;
		return 0;
	case OPT_CPUS:
		return parse_cpus(optarg, &options->cpus);
	case OPT_MEMORY:
		return parse_memory(optarg, &options->memory);
	case OPT_WAIT:
		return parse_wait(optarg, &options->wait);
	case OPT_CPU:
		return parse_cpu(optarg, &options->cpu);
	case OPT_CONTROL:
		options->control = optarg;
		return 0;
	case OPT_STATS:
		options->stats = true;
		return 0;
	case OPT_SANDBOX:
		return parse_sandbox(optarg, &options->no_sandbox);
	case OPT_LOG_LEVEL:
		return parse_log_level(optarg);
	case OPT_HELP:
		usage();
		return 1;
	case OPT_VERSION:
		printf("fastpath-vmm (fastpath %s)\n", FASTPATH_VERSION);
		return 1;
	default:
		return -EINVAL;
	}
}

/* What getopt would take two lines for. */
static int complain(int opt, const char *arg)
{
	if (opt == ':')
		log_error("%s: wants a value; try --help", arg);
	else if (optopt && optopt < OPT_DEVICE)
		log_error("-%c: no such option; try --help", optopt);
	else if (optopt)
		log_error("%s: takes no value; try --help", arg);
	else
		log_error("%s: no such option; try --help", arg);
	return -EINVAL;
}

/* What goes together. */
static int check(struct vmm_options *options)
{
	const struct boot_options *boot = &options->boot;
	const char *why = NULL;

	if (!options->payload && !boot->kernel)
		why = "no --kernel FILE and no --payload FILE; try --help";
	else if (options->payload && boot->kernel)
		why = "--kernel and --payload: only one of them can run";
	else if (!boot->kernel && (boot->initrd || boot->append))
		why = "--initrd and --append are for a --kernel";
	else if (options->payload && options->memory > MEMORY_LOW_END)
		why = "--memory: a --payload reaches 3328 at most";
	if (why) {
		log_error("%s", why);
		return -EINVAL;
	}
	if (!options->memory)
		options->memory = boot->kernel ? VMM_KERNEL_MEMORY : MACHINE_DEFAULT_MEMORY;
	return 0;
}

int vmm_options_parse(struct vmm_options *options, int argc, char **argv)
{
	int ret = 0;
	int opt;

	*options = (struct vmm_options){ .cpus = 1, .cpu = -1 };
	opterr = 0;
	while (!ret && (opt = getopt_long(argc, argv, ":", long_options, NULL)) != -1)
		ret = opt == ':' || opt == '?' ? complain(opt, argv[optind - 1]) :
						 parse_one(options, opt);
	if (ret)
		return ret;
	if (optind < argc) {
		log_error("'%s': not an option; try --help", argv[optind]);
		return -EINVAL;
	}
	return check(options);
}

void vmm_options_free(struct vmm_options *options)
{
	for (unsigned int i = 0; i < VMM_MAX_DEVICES; i++)
		free(options->texts[i]);
}
