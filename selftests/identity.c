// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who a server is, and what the kernel says that it may: in each of its threads.
 *
 * GPL-2.0-only, because it includes the kernel's kselftest harness.
 */
#include <dirent.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fastpath.h"
#include "kselftest_harness.h"
#include "lib/peer.h"
#include "lib/program.h"

/* Whether each of its threads' status has `line`. */
static bool all_say(const struct peer *peer, const char *line)
{
	char path[64], text[8192];
	unsigned int nr = 0, said = 0;
	struct dirent *entry;
	DIR *tasks;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)peer->pid);
	tasks = opendir(path);
	while (tasks && (entry = readdir(tasks))) {
		FILE *status;
		size_t len;

		if (*entry->d_name == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/%d/task/%.10s/status", (int)peer->pid,
			 entry->d_name);
		status = fopen(path, "r");
		if (!status)
			continue;
		len = fread(text, 1, sizeof(text) - 1, status);
		text[len] = '\0';
		fclose(status);
		nr++;
		said += strstr(text, line) != NULL;
	}
	if (tasks)
		closedir(tasks);
	return nr && said == nr;
}

#define WORKERS (PEER_LISTEN | PEER_TWO | PEER_TWO_WORKERS)

TEST(all_threads_have_a_filter_no_capability_and_no_new_privileges)
{
	struct peer *peer;

	if (program_without_sandbox())
		SKIP(return, "no sandbox where a sanitizer looks on");
	peer = peer_open("testdev", WORKERS);
	EXPECT_TRUE(all_say(peer, "\nSeccomp:\t2\n"));
	EXPECT_TRUE(all_say(peer, "\nNoNewPrivs:\t1\n"));
	EXPECT_TRUE(all_say(peer, "\nCapInh:\t0000000000000000\n"));
	EXPECT_TRUE(all_say(peer, "\nCapPrm:\t0000000000000000\n"));
	EXPECT_TRUE(all_say(peer, "\nCapEff:\t0000000000000000\n"));
	EXPECT_STREQ("", peer_log(peer));
	peer_stop(peer);
}

static int keep(struct fp_device *dev)
{
	fp_keep_capability(dev, CAP_NET_BIND_SERVICE);
	return 0;
}

FP_DEVICE(keeper) = {
	.name = "keeper",
	.summary = "keeps a capability",
	.pci = { .vendor = 0x1b36, .device = 0x0005, .class_code = 0x00ff00 },
	.open = keep,
};

TEST(a_capability_that_a_device_asks_to_keep_is_kept_and_no_other)
{
	struct peer *peer;

	if (program_without_sandbox())
		SKIP(return, "no sandbox where a sanitizer looks on");
	if (geteuid())
		SKIP(return, "only root has capabilities");
	peer = peer_open("keeper", WORKERS | PEER_OWN_CLASSES);
	EXPECT_TRUE(all_say(peer, "\nCapInh:\t0000000000000000\n"));
	EXPECT_TRUE(all_say(peer, "\nCapPrm:\t0000000000000400\n"));
	EXPECT_TRUE(all_say(peer, "\nCapEff:\t0000000000000400\n"));
	peer_stop(peer);
}

TEST(with_sandbox_off_they_have_none)
{
	struct peer *peer;

	peer_set_option("--sandbox=off");
	peer = peer_open("testdev", WORKERS);
	EXPECT_TRUE(all_say(peer, "\nSeccomp:\t0\n"));
	EXPECT_TRUE(all_say(peer, "\nNoNewPrivs:\t0\n"));
	peer_stop(peer);
}

/* ---- who a server is ---- */

#define NOBODY "\t65534\t65534\t65534\t65534\n"

TEST(a_server_becomes_the_user_that_it_is_told_to_with_all_threads)
{
	struct peer *peer;

	if (geteuid())
		SKIP(return, "only root can become another user");
	peer_set_option("--user=65534:65534");
	peer = peer_start("testdev", PEER_TWO_WORKERS);
	EXPECT_EQ(0, peer_version(peer, PEER_JSON));
	EXPECT_TRUE(all_say(peer, "\nUid:" NOBODY));
	EXPECT_TRUE(all_say(peer, "\nGid:" NOBODY));
	EXPECT_TRUE(all_say(peer, "\nGroups:\t65534 \n"));
	EXPECT_TRUE(all_say(peer, "\nCapEff:\t0000000000000000\n"));
	peer_stop(peer);
}

TEST(a_user_by_name_has_its_groups)
{
	struct peer *peer;

	if (geteuid())
		SKIP(return, "only root can become another user");
	peer_set_option("--user=daemon");
	peer = peer_open("testdev", 0);
	EXPECT_TRUE(all_say(peer, "\nUid:\t1\t1\t1\t1\n"));
	EXPECT_TRUE(all_say(peer, "\nGroups:\t1 \n"));
	peer_stop(peer);
}

static const struct {
	const char *option, *says;
} mistakes[] = {
	{ "--sandbox=maybe", "--sandbox=maybe: wants on or off\n" },
	{ "--user=", "--user=: there is no such user\n" },
	{ "--user=nobody-of-that-name", "--user=nobody-of-that-name: there is no such user\n" },
	{ "--user=12x", "--user=12x: wants NAME, UID or UID:GID\n" },
	{ "--user=1:x", "--user=1:x: wants a number as GID\n" },
	{ "--user=4294967295:1", "--user=4294967295:1: wants NAME, UID or UID:GID\n" },
	{ "--user=3999999999", "--user=3999999999: no user has that UID: wants UID:GID\n" },
};

TEST(a_user_or_sandbox_that_is_none_is_one_line)
{
	for (size_t i = 0; i < sizeof(mistakes) / sizeof(*mistakes); i++) {
		static struct program program;

		ASSERT_EQ(0, program_start(&program, "fastpathd",
					   (const char *const[]){ "--device", "testdev",
								  mistakes[i].option, NULL },
					   false));
		program_wait(&program);
		EXPECT_EQ(1, program.status);
		EXPECT_NE(NULL, strstr(program.complained, mistakes[i].says))
		{
			TH_LOG("%s: %s", mistakes[i].option, program.complained);
		}
	}
}

TEST(state_that_the_user_could_not_keep_is_told_at_the_start)
{
	static struct program program;
	char dir[] = "/tmp/fastpath-test.XXXXXX", device[96], state[96], lock[96];

	if (geteuid())
		SKIP(return, "only root can become another user");
	ASSERT_NE(NULL, mkdtemp(dir));
	snprintf(device, sizeof(device), "testdev,socket=%s/socket", dir);
	snprintf(state, sizeof(state), "--state=%s", dir);
	snprintf(lock, sizeof(lock), "%s/testdev.state.lock", dir);
	ASSERT_EQ(0, program_start(&program, "fastpathd",
				   (const char *const[]){ "--device", device, state,
							  "--user=65534:65534", NULL },
				   false));
	program_wait(&program);
	EXPECT_EQ(1, program.status);
	EXPECT_NE(NULL, strstr(program.complained, "uid 65534: Permission denied\n"))
	{
		TH_LOG("%s", program.complained);
	}
	unlink(lock);
	unlink(device + strlen("testdev,socket=")); /* which it could not any more */
	EXPECT_EQ(0, rmdir(dir));
}

TEST_HARNESS_MAIN
