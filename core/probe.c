/* SPDX-License-Identifier: BSD-3-Clause */
#include "probe.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "fdkind.h"
#include "log.h"

#define CONFIG_REGION 7u
#define MAX_TIMEOUT_MS 3600000ul

const struct probe_feature_name probe_features[PROBE_NR_FEATURES] = {
	{ FPC_FEATURE_MIGRATION, FPC_FEATURE_GET, "MIGRATION" },
	{ FPC_FEATURE_MIG_DEVICE_STATE, FPC_FEATURE_GET | FPC_FEATURE_SET, "MIG_DEVICE_STATE" },
	{ FPC_FEATURE_DMA_LOGGING_START, FPC_FEATURE_SET, "DMA_LOGGING_START" },
	{ FPC_FEATURE_DMA_LOGGING_STOP, FPC_FEATURE_SET, "DMA_LOGGING_STOP" },
	{ FPC_FEATURE_DMA_LOGGING_REPORT, FPC_FEATURE_GET, "DMA_LOGGING_REPORT" },
};

/* ---- asking ---- */

static bool is_socket(int fd)
{
	struct stat stat;

	return !fstat(fd, &stat) && S_ISSOCK(stat.st_mode);
}

static const char *problem_of(const struct fpc_io_fd *entry, uint64_t size)
{
	if (entry->type > FPC_IO_FD_SHADOW)
		return "its type is unknown";
	if (entry->fd < 0)
		return "its fd was not sent";
	if (entry->offset >= size || (entry->size ? entry->size : 1) > size - entry->offset)
		return "it leaves the region";
	if (entry->type != FPC_IO_FD_IOREGIONFD && !fd_is_eventfd(entry->fd))
		return "its fd is no eventfd";
	if (entry->type == FPC_IO_FD_IOREGIONFD && !is_socket(entry->fd))
		return "its fd is no socket";
	if (entry->type == FPC_IO_FD_SHADOW && entry->shadow_fd < 0)
		return "the fd of its memory was not sent";
	return NULL;
}

static int take_io_fds(struct probe_region *region, const struct fpc_io_fds *set)
{
	region->io_fds = calloc(set->nr_entries + 1u, sizeof(*region->io_fds));
	if (!region->io_fds)
		return -ENOMEM;
	region->nr_fds = set->nr_fds;
	region->nr_io_fds = set->nr_entries;
	region->entry_bytes = set->entry_bytes;
	for (uint32_t i = 0; i < set->nr_entries; i++) {
		region->io_fds[i].entry = set->entries[i];
		region->io_fds[i].problem = problem_of(&set->entries[i], region->region.size);
		region->io_fds[i].entry.fd = -1;
	}
	return 0;
}

static void ask_io_fds(struct fpc *client, struct probe_region *region)
{
	struct fpc_io_fds set;

	region->io_error = fpc_region_io_fds(client, region->region.index, &set);
	if (region->io_error)
		return;
	region->io_error = take_io_fds(region, &set);
	fpc_io_fds_free(&set);
}

static void ask_region(struct fpc *client, uint32_t index, struct probe_region *region)
{
	region->error = fpc_region_open(client, index, &region->region);
	region->has_file = region->region.fd >= 0;
	if (region->has_file)
		close(take_fd(&region->region.fd));
	if (!region->error && region->region.size)
		ask_io_fds(client, region);
}

static void ask_features(struct fpc *client, struct probe *probe)
{
	for (unsigned int i = 0; i < PROBE_NR_FEATURES; i++)
		probe->features[i].error =
			fpc_feature_probe(client, probe_features[i].index, probe_features[i].ops);
	probe->migration_error = probe->features[0].error;
	if (!probe->migration_error)
		probe->migration_error = fpc_migration_flags(client, &probe->migration);
	probe->state_error = probe->features[1].error;
	if (!probe->state_error)
		probe->state_error = fpc_migration_state(client, &probe->state);
}

static unsigned int at_most(uint32_t nr)
{
	return nr < PROBE_MAX ? nr : PROBE_MAX;
}

void probe_collect(struct fpc *client, struct probe *probe)
{
	struct fpc_device_info again;

	probe->limits = *fpc_limits(client);
	probe->device_error = fpc_device_info(client, &probe->device);
	if (probe->device_error)
		memset(&probe->device, 0, sizeof(probe->device));
	probe->nr_regions = at_most(probe->device.num_regions);
	for (unsigned int i = 0; i < probe->nr_regions; i++)
		ask_region(client, i, &probe->regions[i]);
	probe->nr_irqs = at_most(probe->device.num_irqs);
	for (unsigned int i = 0; i < probe->nr_irqs; i++)
		probe->irqs[i].error = fpc_irq_info(client, i, &probe->irqs[i].info);
	if (probe->device.flags & FPC_DEVICE_PCI && probe->nr_regions > CONFIG_REGION)
		probe_pci_read(client, probe->regions[CONFIG_REGION].region.size, &probe->pci);
	ask_features(client, probe);
	/* Whether the server is still there. */
	probe->complete = probe->device_error != -ECONNRESET && probe->device_error != -ETIMEDOUT &&
			  fpc_device_info(client, &again) != -ECONNRESET;
}

void probe_free(struct probe *probe)
{
	for (unsigned int i = 0; i < probe->nr_regions; i++) {
		fpc_region_close(&probe->regions[i].region);
		free(take_ptr(probe->regions[i].io_fds));
	}
}

/* ---- the command line ---- */

struct options {
	const char *socket;
	unsigned int timeout_ms;
	bool json;
};

enum {
	OPT_JSON = 256,
	OPT_TIMEOUT,
	OPT_HELP
};

static const struct option long_options[] = {
	{ "json", no_argument, NULL, OPT_JSON },
	{ "timeout", required_argument, NULL, OPT_TIMEOUT },
	{ "help", no_argument, NULL, OPT_HELP },
	{ 0 },
};

static void usage(void)
{
	printf("Usage: fastpathctl probe SOCKET [--json] [--timeout MS]\n"
	       "Tells what the vfio-user server at SOCKET is. Changes nothing there.\n\n"
	       "  --json        as JSON; fastpathctl(1) has the keys\n"
	       "  --timeout MS  how long to wait for an answer; default 5000\n"
	       "  --help\n");
}

static int parse_timeout(const char *text, unsigned int *ms)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end || !n || n > MAX_TIMEOUT_MS) {
		log_error("--timeout %s: wants milliseconds, 1 to %lu", text, MAX_TIMEOUT_MS);
		return -EINVAL;
	}
	*ms = (unsigned int)n;
	return 0;
}

/* 0; 1 when there is nothing left to do; -errno. */
static int parse(struct options *options, int argc, char **argv)
{
	int opt;

	while ((opt = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		if (opt == OPT_HELP) {
			usage();
			return 1;
		}
		if (opt == OPT_JSON) {
			options->json = true;
		} else if (opt != OPT_TIMEOUT) { /* getopt has said which it does not know */
			fprintf(stderr, "Try 'fastpathctl probe --help'.\n");
			return -EINVAL;
		} else if (parse_timeout(optarg, &options->timeout_ms)) {
			return -EINVAL;
		}
	}
	if (optind + 1 != argc) {
		if (optind < argc)
			log_error("'%s': one SOCKET is enough; try --help", argv[optind + 1]);
		else
			log_error("no SOCKET given; try --help");
		return -EINVAL;
	}
	options->socket = argv[optind];
	return 0;
}

static int print(const struct options *options, const struct probe *probe)
{
	int ret = 0;

	if (options->json)
		ret = probe_print_json(probe);
	else
		probe_print_text(probe);
	if (probe->complete)
		return ret;
	log_error("%s: the server left before it had answered everything", options->socket);
	return -ECONNRESET;
}

static int run(const struct options *options)
{
	static struct probe probe;
	const struct fpc_options how = { .timeout_ms = options->timeout_ms,
					 .flags = FPC_SHADOW_IOEVENTFD };
	struct fpc *client;
	int ret = fpc_connect(options->socket, &how, &client);

	if (ret) {
		log_error("%s: %s: %s", options->socket,
			  ret == -EBUSY || ret == -EPERM ? "the server turns us away" :
							   "no vfio-user server to talk to",
			  probe_error(ret));
		return ret;
	}
	/* What is wrong is told with the item that it concerns. */
	log_set_level(LOG_ERROR);
	probe.socket = options->socket;
	probe_collect(client, &probe);
	fpc_close(client);
	ret = print(options, &probe);
	probe_free(&probe);
	return ret;
}

int probe_main(int argc, char **argv)
{
	struct options options = { 0 };
	int ret = parse(&options, argc, argv);

	if (!ret)
		ret = run(&options);
	return ret < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
