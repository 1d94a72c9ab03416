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

#define MAX_KEYS 8

enum {
	OPT_DEVICE = 256,
	OPT_PAYLOAD,
	OPT_MEMORY,
	OPT_WAIT,
	OPT_CPU,
	OPT_STATS,
	OPT_LOG_LEVEL,
	OPT_HELP,
	OPT_VERSION
};

static const struct option long_options[] = {
	{ "device", required_argument, NULL, OPT_DEVICE },
	{ "payload", required_argument, NULL, OPT_PAYLOAD },
	{ "memory", required_argument, NULL, OPT_MEMORY },
	{ "wait", required_argument, NULL, OPT_WAIT },
	{ "cpu", required_argument, NULL, OPT_CPU },
	{ "stats", no_argument, NULL, OPT_STATS },
	{ "log-level", required_argument, NULL, OPT_LOG_LEVEL },
	{ "help", no_argument, NULL, OPT_HELP },
	{ "version", no_argument, NULL, OPT_VERSION },
	{ 0 },
};

static void usage(void)
{
	printf("Usage: fastpath-vmm --device vfio-user,socket=ADDRESS[,key=value...] [--device ...]\n"
	       "                    --payload FILE [options]\n"
	       "Runs a bare guest program on one vCPU, with vfio-user PCI devices. Its exit code\n"
	       "is the exit status (%d if larger); 1: an error; 128 + N: ended by signal N.\n\n"
	       "  --device vfio-user,...  a device, up to %u:\n"
	       "      socket=ADDRESS      where its server listens: unix:PATH or just PATH,\n"
	       "                          vsock:CID:PORT, tcp:HOST:PORT or tcp:PORT\n"
	       "      io-fds=on|off       install the server's io fds (the default), or do not\n"
	       "      ioregion=HOW        its ioregionfds: auto (the default: in KVM, else by\n"
	       "                          stand-in), standin, or off: by socket\n"
	       "      mmap=on|off         what may be mapped is the guest's memory (the default)\n"
	       "      posted=on|off       writes by socket don't wait for an answer; default off\n"
	       "  --payload FILE          the guest program, a flat binary for address %#llx\n"
	       "  --memory MIB            of the guest; default %llu\n"
	       "  --wait POLICY           how to wait for a server's answer: block (the default),\n"
	       "                          or spin=MICROSECONDS to look for it before sleeping\n"
	       "  --cpu N                 run on this CPU only\n"
	       "  --stats                 when it ends, say what left the guest and why\n"
	       "  --log-level LEVEL       error, warn (the default), info or debug\n"
	       "  --help, --version\n",
	       VMM_MAX_STATUS, VMM_MAX_DEVICES, PAYLOAD_LOAD_ADDRESS, MACHINE_DEFAULT_MEMORY >> 20);
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

static int parse_key(struct vfio_pci_options *device, const struct keyval *pair)
{
	bool on;
	int ret;

	if (!strcmp(pair->key, "socket")) {
		device->socket = pair->value;
		return 0;
	}
	if (!strcmp(pair->key, "posted"))
		return parse_switch(pair, &device->posted);
	if (!strcmp(pair->key, "mmap")) {
		ret = parse_switch(pair, &on);
		device->no_mmap = !on;
		return ret;
	}
	if (!strcmp(pair->key, "ioregion"))
		return parse_ioregion(pair->value, &device->ioregion);
	if (strcmp(pair->key, "io-fds")) {
		log_error("--device vfio-user: no key '%s'; it has: socket, io-fds, ioregion, "
			  "mmap, posted",
			  pair->key);
		return -EINVAL;
	}
	ret = parse_switch(pair, &on);
	device->no_io_fds = !on;
	return ret;
}

static int parse_pairs(struct vfio_pci_options *device, const struct keyval *pairs, int nr)
{
	int ret = 0;

	for (int i = 0; i < nr && !ret; i++)
		ret = parse_key(device, &pairs[i]);
	if (!ret && (!device->socket || !*device->socket)) {
		log_error("--device vfio-user: no socket=ADDRESS");
		ret = -EINVAL;
	}
	return ret;
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
	return parse_pairs(&options->devices[options->nr_devices++], pairs, nr);
}

static int parse_wait(const char *text, struct fpc_wait *wait)
{
	struct ring_wait parsed;

	if (!ring_wait_parse(text, &parsed)) {
		wait->mode = parsed.mode == RING_WAIT_SPIN ? FPC_WAIT_SPIN : FPC_WAIT_BLOCK;
		wait->spin_us = parsed.spin_us;
		return 0;
	}
	log_error("--wait %s: wants block or spin=MICROSECONDS, 1,000,000 at most", text);
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

static int parse_memory(const char *text, uint64_t *bytes)
{
	uint64_t mib;
	int ret = parse_number("--memory", text, MEMORY_MAX_BYTES >> 20, &mib);

	*bytes = mib << 20;
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
	case OPT_MEMORY:
		return parse_memory(optarg, &options->memory);
	case OPT_WAIT:
		return parse_wait(optarg, &options->wait);
	case OPT_CPU:
		return parse_cpu(optarg, &options->cpu);
	case OPT_STATS:
		options->stats = true;
		return 0;
	case OPT_LOG_LEVEL:
		return parse_log_level(optarg);
	case OPT_HELP:
		usage();
		return 1;
	case OPT_VERSION:
		printf("fastpath-vmm (fastpath %s)\n", FASTPATH_VERSION);
		return 1;
	default: /* getopt has said what it does not know */
		fprintf(stderr, "Try 'fastpath-vmm --help'.\n");
		return -EINVAL;
	}
}

int vmm_options_parse(struct vmm_options *options, int argc, char **argv)
{
	int ret = 0;
	int opt;

	*options = (struct vmm_options){ .memory = MACHINE_DEFAULT_MEMORY, .cpu = -1 };
	while (!ret && (opt = getopt_long(argc, argv, "", long_options, NULL)) != -1)
		ret = parse_one(options, opt);
	if (ret)
		return ret;
	if (optind < argc) {
		log_error("'%s': not an option; try --help", argv[optind]);
		return -EINVAL;
	}
	if (!options->payload) {
		log_error("no --payload FILE; try --help");
		return -EINVAL;
	}
	return 0;
}

void vmm_options_free(struct vmm_options *options)
{
	for (unsigned int i = 0; i < VMM_MAX_DEVICES; i++)
		free(options->texts[i]);
}
