/* SPDX-License-Identifier: BSD-3-Clause */
#include "usage.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/taskstats.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct usage_source {
	struct nl_sock *socket; /* NULL: from /proc */
	int family;
};

/* ---- TASKSTATS ---- */

static struct nl_sock *connect_taskstats(int *family)
{
	struct nl_sock *socket = nl_socket_alloc();

	if (!socket)
		return NULL;
	nl_socket_disable_auto_ack(socket);
	if (!genl_connect(socket)) {
		*family = genl_ctrl_resolve(socket, TASKSTATS_GENL_NAME);
		if (*family >= 0)
			return socket;
	}
	nl_socket_free(socket);
	return NULL;
}

/* The reply nests the structure in a container that says whose it is. */
static int take_reply(struct nl_msg *msg, void *arg)
{
	struct genlmsghdr *header = nlmsg_data(nlmsg_hdr(msg));
	struct nlattr *aggregate = nla_find(genlmsg_attrdata(header, 0), genlmsg_attrlen(header, 0),
					    TASKSTATS_TYPE_AGGR_TGID);
	struct nlattr *stats = aggregate ? nla_find(nla_data(aggregate), nla_len(aggregate),
						    TASKSTATS_TYPE_STATS) :
					   NULL;

	/* An older kernel's structure is shorter. */
	if (stats)
		nla_memcpy(arg, stats, sizeof(struct taskstats));
	return NL_OK;
}

static int ask(const struct usage_source *source, pid_t pid)
{
	struct nl_msg *msg = nlmsg_alloc();
	int ret = -ENOMEM;

	if (!msg)
		return ret;
	if (genlmsg_put(msg, NL_AUTO_PORT, NL_AUTO_SEQ, source->family, 0, NLM_F_REQUEST,
			TASKSTATS_CMD_GET, TASKSTATS_GENL_VERSION) &&
	    !nla_put_u32(msg, TASKSTATS_CMD_ATTR_TGID, (uint32_t)pid)) {
		ret = nl_send_auto(source->socket, msg);
		if (ret >= 0)
			ret = nl_recvmsgs_default(source->socket);
	}
	nlmsg_free(msg);
	return ret < 0 ? -EIO : 0;
}

static int read_taskstats(const struct usage_source *source, pid_t pid, struct usage *usage)
{
	struct taskstats stats = { 0 };
	int ret;

	nl_socket_modify_cb(source->socket, NL_CB_VALID, NL_CB_CUSTOM, take_reply, &stats);
	ret = ask(source, pid);
	if (ret || !stats.version)
		return ret ? ret : -EIO;
	/* The scheduler's own clock; the other times are sampled by ticks. */
	usage->cpu_ns = stats.cpu_run_virtual_total;
	usage->switches = stats.nvcsw + stats.nivcsw;
	return 0;
}

/* ---- /proc ---- */

static int read_thread(pid_t pid, const char *tid, struct usage *usage)
{
	char path[64];
	char line[256];
	uint64_t n;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/task/%.16s/schedstat", pid, tid);
	file = fopen(path, "re");
	if (!file)
		return -errno;
	if (fscanf(file, "%" SCNu64, &n) == 1)
		usage->cpu_ns += n;
	fclose(file);
	snprintf(path, sizeof(path), "/proc/%d/task/%.16s/status", pid, tid);
	file = fopen(path, "re");
	if (!file)
		return -errno;
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "voluntary_ctxt_switches: %" SCNu64, &n) == 1 ||
		    sscanf(line, "nonvoluntary_ctxt_switches: %" SCNu64, &n) == 1)
			usage->switches += n;
	fclose(file);
	return 0;
}

static int read_proc(pid_t pid, struct usage *usage)
{
	char path[64];
	struct dirent *entry;
	int ret = 0;
	DIR *dir;

	*usage = (struct usage){ 0 };
	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = opendir(path);
	if (!dir)
		return -errno;
	while (!ret && (entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			ret = read_thread(pid, entry->d_name, usage);
	closedir(dir);
	return ret;
}

/* ---- either ---- */

int usage_open(struct usage_source **out)
{
	struct usage_source *source = calloc(1, sizeof(*source));
	struct usage usage;

	if (!source)
		return -ENOMEM;
	source->socket = connect_taskstats(&source->family);
	if (source->socket && read_taskstats(source, getpid(), &usage)) {
		nl_socket_free(source->socket); /* it wants CAP_NET_ADMIN */
		source->socket = NULL;
	}
	*out = source;
	return 0;
}

void usage_close(struct usage_source *source)
{
	if (!source)
		return;
	if (source->socket)
		nl_socket_free(source->socket);
	free(source);
}

int usage_read(struct usage_source *source, pid_t pid, struct usage *usage)
{
	return source->socket ? read_taskstats(source, pid, usage) : read_proc(pid, usage);
}

const char *usage_name(const struct usage_source *source)
{
	return source->socket ? "taskstats" : "proc";
}
