/* SPDX-License-Identifier: BSD-3-Clause */
#include "rig.h"

#include <assert.h>
#include <errno.h>
#include <libgen.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "host.h"
#include "log.h"
#include "reader.h"
#include "socket.h"
#include "testdev.h"

#define TEXT_OF(number) #number
#define SPIN_ARG(us) "--wait=spin=" TEXT_OF(us)

/* What a server is told, at most; and how long it may take until it listens. */
#define RIG_SERVER_ARGS 4
#define START_MS 5000

#define FLOOR_BYTES 4096
#define HOST_JOB_IOVA 0x200000ull

extern const char fp_payload_loop_start[];
extern const char fp_payload_loop_end[];

static_assert(sizeof(struct job_stamp) == sizeof(struct testdev_stamp), "one stamp");

/* ---- servers ---- */

static void pin(int cpu)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(cpu, &cpus);
	sched_setaffinity(0, sizeof(cpus), &cpus);
}

/* In the child. A server of ours must not outlive us, however we end. */
static void exec_server(int cpu, const char *const *args, enum rig_side side)
{
	char program[4096];
	char beside[sizeof(program) + 16];
	const char *argv[RIG_SERVER_ARGS + 3] = { "fastpathd" };
	ssize_t len = readlink("/proc/self/exe", program, sizeof(program) - 1);
	int n = 1;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	pin(cpu);
	while (*args)
		argv[n++] = *args++;
	argv[n] = side == RIG_AWAKE ? SPIN_ARG(RIG_SPIN_US) : "--wait=block";
	if (len > 0) {
		program[len] = 0;
		snprintf(beside, sizeof(beside), "%s/fastpathd", dirname(program));
		execv(beside, (char *const *)argv);
	}
	execvp("fastpathd", (char *const *)argv);
	log_error("fastpathd can't be started: %s", strerror(errno));
	_exit(127);
}

static int start_server(struct rig *rig, enum rig_side side, const char *const *args, int unwanted)
{
	struct rig_server *server = &rig->servers[side];

	server->pid = fork();
	if (!server->pid) {
		if (unwanted >= 0)
			close(unwanted);
		exec_server(rig->options.cpu_server, args, side);
	}
	if (server->pid < 0)
		return -errno;
	server->is_ours = true;
	return 0;
}

/* A server of our own at the other end of a socketpair: there is no socket file to be left behind. */
static int start_with_one(struct rig *rig, enum rig_side side, int *fd)
{
	CLEANUP_CLOSE int theirs = -1;
	char fd_arg[32];
	const char *args[] = { "--device", "testdev,roads=on", fd_arg, NULL };
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
		return -errno;
	*fd = pair[0];
	theirs = pair[1];
	snprintf(fd_arg, sizeof(fd_arg), "--fd=%d", theirs);
	return start_server(rig, side, args, pair[0]);
}

/* When the server listens. */
static int connect_soon(const char *path)
{
	const struct timespec pause = { .tv_nsec = 1000000 };
	int fd;

	for (int i = 0; (fd = socket_connect(path)) < 0 && i < START_MS; i++)
		nanosleep(&pause, NULL);
	return fd;
}

/* One with two devices, which one thread serves: the second one's client is the flood. */
static int start_with_two(struct rig *rig, enum rig_side side, int *fd)
{
	char dir[] = "/tmp/fastpath-bench.XXXXXX";
	char device[2][sizeof(dir) + 32];
	const char *args[] = { "--device", device[0], "--device", device[1], NULL };
	int fds[2] = { -1, -1 };
	int ret;

	if (!mkdtemp(dir))
		return -errno;
	for (int i = 0; i < 2; i++)
		snprintf(device[i], sizeof(device[i]), "testdev,roads=on,socket=%s/%d", dir, i);
	ret = start_server(rig, side, args, -1);
	for (int i = 0; i < 2 && !ret; i++) {
		const char *path = strchr(device[i], '/');

		fds[i] = connect_soon(path);
		ret = fds[i] < 0 ? fds[i] : 0;
		unlink(path); /* nobody else is to come, and nothing to be left */
	}
	rmdir(dir);
	*fd = fds[0];
	return ret ? ret :
		     flood_open(rig->options.flood, fds[1], rig->options.cpu_guest,
				&rig->servers[side].flood);
}

static int start_own(struct rig *rig, enum rig_side side, int *fd)
{
	return rig->options.flood ? start_with_two(rig, side, fd) : start_with_one(rig, side, fd);
}

static int find_server(struct rig *rig, const char *path, int *fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	*fd = socket_connect(path);
	if (*fd < 0) {
		log_error("--connect %s: %s", path, strerror(-*fd));
		return *fd;
	}
	if (!getsockopt(*fd, SOL_SOCKET, SO_PEERCRED, &peer, &len))
		rig->servers[RIG_ASLEEP].pid = peer.pid;
	return 0;
}

/* How the client waits for an answer: as the server does for a question. */
static struct fpc_wait side_wait(enum rig_side side)
{
	return side == RIG_AWAKE ? (struct fpc_wait){ FPC_WAIT_SPIN, RIG_SPIN_US } :
				   (struct fpc_wait){ .mode = FPC_WAIT_BLOCK };
}

static int connect_server(struct rig *rig, enum rig_side side)
{
	struct rig_server *server = &rig->servers[side];
	struct fpc_options options = { 0 };
	uint32_t ids = 0;
	int fd = -1;
	int ret = rig->options.connect ? find_server(rig, rig->options.connect, &fd) :
					 start_own(rig, side, &fd);

	if (ret)
		return ret;
	options.wait = side_wait(side);
	if (rig->machine && rig->machine->vm->has_post_write)
		options.flags |= FPC_SHADOW_IOEVENTFD;
	ret = fpc_open(fd, &options, &server->client);
	if (!ret)
		ret = fpc_region_read(server->client, FP_CONFIG, 0, &ids, sizeof(ids));
	if (ret)
		log_error("the server can't be talked to: %s", strerror(-ret));
	else
		server->is_testdev = ids == (TESTDEV_VENDOR | TESTDEV_DEVICE << 16);
	return ret;
}

/* ---- the guest ---- */

static int floor_write(void *opaque, uint64_t offset, const void *data, uint32_t len)
{
	struct rig *rig = opaque;
	uint64_t side = (offset - RIG_FLOOR_GATHER) / 0x100;

	return offset >= RIG_FLOOR_GATHER && side < RIG_NR_SIDES ?
		       gather_write(&rig->gathers[side], data, len) :
		       0;
}

static int floor_read(void *opaque, uint64_t offset, void *data, uint32_t len)
{
	(void)opaque;
	(void)offset;
	memset(data, 0, len);
	return 0;
}

static const struct bus_ops floor_ops = { .read = floor_read, .write = floor_write };

/* The floors' ioeventfds are installed just as a server's are: of any width. */
static int install_floor_fds(struct rig *rig)
{
	struct iofd_target target = {
		.device = "the floors",
		.size = FLOOR_BYTES,
		.base = rig->floor_base,
	};
	struct fpc_io_fds set = {
		.nr_entries = 2,
		.nr_fds = 2,
		.entries = calloc(2, sizeof(*set.entries)),
		.fds = calloc(2, sizeof(*set.fds)),
	};

	if (!set.entries || !set.fds)
		return -ENOMEM;
	set.fds[0] = dup(rig->unlistened_fd);
	set.fds[1] = dup(rig->reader_fd);
	set.entries[0] = (struct fpc_io_fd){ .offset = RIG_FLOOR_UNLISTENED, .fd = set.fds[0] };
	set.entries[1] = (struct fpc_io_fd){
		.offset = RIG_FLOOR_READER,
		.fd = set.fds[1],
		.fd_index = 1,
	};
	return iofd_install(rig->machine->vm, &target, &set, &rig->floor_fds);
}

static int open_floor(struct rig *rig)
{
	struct bus_range range = { .space = BUS_MMIO, .size = FLOOR_BYTES, .ops = &floor_ops };
	int ret = machine_place(rig->machine, BUS_MMIO, FLOOR_BYTES, &rig->floor_base);

	if (ret)
		return ret;
	range.base = rig->floor_base;
	range.opaque = rig;
	ret = bus_add(rig->machine->bus, &range);
	return ret ? ret : install_floor_fds(rig);
}

static int open_devices(struct rig *rig)
{
	for (unsigned int side = 0; side < RIG_NR_SIDES; side++) {
		struct rig_server *server = &rig->servers[side];
		struct vfio_pci_options options = {
			.socket = side == RIG_AWAKE ? "the awake server" : "the server",
			.client = server->client,
			.wait = side_wait(side),
		};
		int ret;

		if (!server->client)
			continue;
		server->client = NULL; /* taken, also on failure */
		ret = vfio_pci_open(rig->machine, &options, &server->device);
		if (ret)
			return ret;
		server->client = vfio_pci_client(server->device);
	}
	return 0;
}

static int run_guest(void *opaque)
{
	struct rig *rig = opaque;
	int ret = vcpu_run(rig->machine->vcpu, rig->machine->bus);

	return ret || rig->payload->exited ? ret : -EIO;
}

static int open_guest(struct rig *rig)
{
	size_t image = (size_t)(fp_payload_loop_end - fp_payload_loop_start);
	int ret = open_floor(rig);

	if (!ret)
		ret = open_devices(rig);
	if (!ret)
		ret = payload_open(rig->machine, "the benchmark's guest", fp_payload_loop_start,
				   image, &rig->payload);
	if (ret)
		return ret;
	rig->job_iova = (rig->payload->params->ram_address + 4095) & ~4095ull;
	rig->job = memory_ptr(rig->machine->memory, rig->job_iova, sizeof(*rig->job));
	if (!rig->job)
		return -ENOMEM;
	ret = run_guest(rig); /* it starts with asking for its first job */
	if (ret)
		return ret;
	return clock_find_offset(&rig->clock, rig->machine->vcpu, rig->job, rig->options.cpu_server,
				 run_guest, rig);
}

/* ---- life ---- */

static int open_eventfds(struct rig *rig)
{
	rig->unlistened_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	rig->reader_fd = eventfd(0, EFD_CLOEXEC);
	return rig->unlistened_fd < 0 || rig->reader_fd < 0 ? -errno : 0;
}

static int open_parts(struct rig *rig)
{
	int ret = open_eventfds(rig);

	clock_calibrate(&rig->clock);
	pin(rig->options.cpu_guest);
	if (!ret)
		ret = usage_open(&rig->usage);
	/* Before the servers: what KVM can do is told to them. */
	if (!ret && !rig->options.no_kvm && !access("/dev/kvm", R_OK | W_OK))
		ret = machine_open(MACHINE_DEFAULT_MEMORY, &rig->machine);
	if (!ret)
		ret = connect_server(rig, RIG_ASLEEP);
	if (!ret && !rig->options.connect)
		ret = connect_server(rig, RIG_AWAKE);
	if (ret)
		return ret;
	ret = rig->machine ? open_guest(rig) : host_open(rig, HOST_JOB_IOVA);
	if (ret)
		return ret;
	return reader_start(rig->reader_fd, rig->options.cpu_server, &rig->job->stamp,
			    &rig->reader);
}

int rig_open(const struct rig_options *options, struct rig **out)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	int ret;

	if (!rig)
		return -ENOMEM;
	rig->options = *options;
	rig->unlistened_fd = -1;
	rig->reader_fd = -1;
	rig->host_memory_fd = -1;
	ret = open_parts(rig);
	if (ret)
		rig_close(rig);
	else
		*out = rig;
	return ret;
}

static void close_server(struct rig_server *server)
{
	if (server->device)
		vfio_pci_close(server->device);
	else
		fpc_close(server->client);
	for (unsigned int i = 0; i < VFIO_PCI_NR_BARS; i++)
		fpc_io_fds_free(&server->io_fds[i]);
	flood_close(server->flood);
	if (server->is_ours) {
		kill(server->pid, SIGTERM);
		waitpid(server->pid, NULL, 0);
	}
}

void rig_close(struct rig *rig)
{
	if (!rig)
		return;
	reader_stop(rig->reader);
	for (unsigned int side = 0; side < RIG_NR_SIDES; side++)
		close_server(&rig->servers[side]);
	payload_close(rig->payload);
	iofd_forget(rig->floor_fds);
	if (!rig->machine)
		host_close(rig);
	machine_close(rig->machine);
	cleanup_close(&rig->unlistened_fd);
	cleanup_close(&rig->reader_fd);
	usage_close(rig->usage);
	free(rig);
}

/* ---- use ---- */

bool rig_has_fd(const struct rig *rig, const struct rig_target *target, uint32_t len,
		uint64_t value)
{
	const struct rig_server *server = &rig->servers[target->side];
	const struct vfio_pci_bar *bar;

	if (!rig->machine)
		return host_fd(rig, target, len, value) >= 0;
	bar = vfio_pci_bar(server->device, target->bar);
	return bar->io_fds && iofd_road(bar->io_fds, target->offset, len, value);
}

bool rig_has_span(const struct rig *rig, const struct rig_target *target, uint32_t len)
{
	const struct vfio_pci_bar *bar =
		vfio_pci_bar(rig->servers[target->side].device, target->bar);

	return bar->io_fds && iofd_has_span(bar->io_fds, target->offset, len);
}

bool rig_is_mapped(const struct rig *rig, const struct rig_target *target)
{
	return vfio_pci_bar(rig->servers[target->side].device, target->bar)->mapped;
}

void rig_set_posted(struct rig *rig, enum rig_side side, bool posted)
{
	vfio_pci_set_posted(rig->servers[side].device, posted);
}

uint64_t rig_bar_bytes(const struct rig *rig, const struct rig_target *target)
{
	const struct rig_server *server = &rig->servers[target->side];
	struct fpc_region_info info;

	if (rig->machine)
		return vfio_pci_bar(server->device, target->bar)->size;
	return fpc_region_info(server->client, target->bar, &info, NULL) ? 0 : info.size;
}

int rig_stamp(struct rig *rig, enum rig_side side)
{
	uint64_t iova = rig->job_iova + offsetof(struct job, stamp);

	__atomic_store_n(&rig->job->stamp.count, 0, __ATOMIC_RELAXED);
	return fpc_region_write(rig->servers[side].client, FP_BAR2,
				offsetof(struct testdev_counters, stamp_iova), &iova, sizeof(iova));
}

static uint64_t address(const struct rig *rig, const struct rig_target *target)
{
	if (target->is_floor)
		return rig->floor_base + target->offset;
	if (target->is_gathered)
		return rig->floor_base + RIG_FLOOR_GATHER + 0x100 * (uint64_t)target->side;
	return vfio_pci_bar(rig->servers[target->side].device, target->bar)->base + target->offset;
}

int rig_run(struct rig *rig, const struct rig_target *target)
{
	int ret;

	rig->job->lost = 0;
	if (target->is_gathered)
		gather_begin(&rig->gathers[target->side], rig->servers[target->side].client,
			     target->bar, target->offset);
	if (!rig->machine)
		return host_run(rig, target);
	rig->job->address = address(rig, target);
	ret = run_guest(rig);
	if (ret)
		log_error("the guest can't go on: %s", strerror(-ret));
	return ret;
}
