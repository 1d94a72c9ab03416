/* SPDX-License-Identifier: BSD-3-Clause */
#include "confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "cleanup.h"
#include "log.h"

/* A filter is run through in order. */
#define FIRST 255

/* What Linux 5.13 knows of files: all ways to get at one by its name. */
#define ALL_OF_FILES (LANDLOCK_ACCESS_FS_MAKE_SYM * 2 - 1)

/* What that makes of CONFINE_*: at directories, and of that at files. */
static const struct {
	unsigned int what;
	uint64_t of_directories;
	uint64_t of_files;
} accesses[] = {
	{ CONFINE_READ, LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR,
	  LANDLOCK_ACCESS_FS_READ_FILE },
	{ CONFINE_WRITE, LANDLOCK_ACCESS_FS_WRITE_FILE, LANDLOCK_ACCESS_FS_WRITE_FILE },
	{ CONFINE_MAKE, LANDLOCK_ACCESS_FS_MAKE_REG, 0 },
	{ CONFINE_REMOVE, LANDLOCK_ACCESS_FS_REMOVE_FILE, 0 },
};

#define MAX_CALLS 512u

#ifndef SYS_SECCOMP /* a siginfo's si_code; glibc 2.36 has it not */
#define SYS_SECCOMP 1
#endif

/* ---- what is refused is said ---- */

/* Names, as the handler of a signal can't ask for them; and whether the log has had one. */
static char *names[MAX_CALLS];
static bool said[MAX_CALLS];

static void name_calls(void)
{
	for (unsigned int i = 0; i < MAX_CALLS; i++)
		if (!names[i])
			names[i] = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, (int)i);
}

/* In place of the system call. Anything else that sends a SIGSYS is none of ours. */
static void refuse(int sig, siginfo_t *info, void *context)
{
	ucontext_t *interrupted = context;
	unsigned int call = (unsigned int)info->si_syscall;

	(void)sig;
	if (info->si_code != SYS_SECCOMP)
		return;
	interrupted->uc_mcontext.gregs[REG_RAX] = -EPERM;
	if (call < MAX_CALLS && __atomic_exchange_n(&said[call], true, __ATOMIC_RELAXED))
		return;
	log_warn("the sandbox refuses system call %u (%s)", call,
		 call < MAX_CALLS && names[call] ? names[call] : "unknown");
}

static void hear_of_refusals(void)
{
	const struct sigaction action = { .sa_sigaction = refuse, .sa_flags = SA_SIGINFO };

	name_calls();
	sigaction(SIGSYS, &action, NULL);
}

/* ---- the parts ---- */

static int failed(const char *what, int err)
{
	log_error("the sandbox: %s: %s", what, strerror(err));
	return -err;
}

/* A bit for each capability that is not dropped. */
static uint32_t kept[_LINUX_CAPABILITY_U32S_3];

void confine_keep(unsigned int capability)
{
	if (cap_valid(capability))
		kept[CAP_TO_INDEX(capability)] |= CAP_TO_MASK(capability);
}

static int drop_capabilities(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3];

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return failed("PR_SET_NO_NEW_PRIVS", errno);
	if (syscall(SYS_capget, &header, sets))
		return failed("capget", errno);
	for (size_t i = 0; i < _LINUX_CAPABILITY_U32S_3; i++)
		sets[i] = (struct __user_cap_data_struct){
			.effective = sets[i].effective & kept[i],
			.permitted = sets[i].permitted & kept[i],
		};
	return syscall(SYS_capset, &header, sets) ? failed("capset", errno) : 0;
}

/* A set of rules that has none forbids what it handles. No Landlock is no error. */
int confine_files(void)
{
	const struct landlock_ruleset_attr attr = { .handled_access_fs = ALL_OF_FILES };
	int files = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);

	if (files < 0)
		log_debug("the sandbox: no Landlock: %s", strerror(errno));
	return files < 0 ? -1 : files;
}

int confine_files_add(int files, const char *path, unsigned int what)
{
	CLEANUP_CLOSE int fd = files < 0 ? -1 : open(path, O_PATH | O_CLOEXEC);
	struct landlock_path_beneath_attr rule = { .parent_fd = fd };
	struct stat st;

	if (files < 0 || (fd < 0 && errno == ENOENT && what == CONFINE_REMOVE))
		return 0;
	if (fd < 0 || fstat(fd, &st))
		return failed(path, errno);
	for (size_t i = 0; i < sizeof(accesses) / sizeof(*accesses); i++)
		if (what & accesses[i].what)
			rule.allowed_access |= S_ISDIR(st.st_mode) ? accesses[i].of_directories :
								     accesses[i].of_files;
	if (syscall(SYS_landlock_add_rule, files, LANDLOCK_RULE_PATH_BENEATH, &rule, 0))
		return failed(path, errno);
	return 0;
}

static int add_rule(scmp_filter_ctx filter, const struct confine_rule *rule)
{
	uint32_t action = rule->refusal ? SCMP_ACT_ERRNO((uint32_t)rule->refusal) : SCMP_ACT_ALLOW;
	const struct scmp_arg_cmp condition = {
		.arg = rule->arg,
		.op = SCMP_CMP_MASKED_EQ,
		.datum_a = rule->mask,
		.datum_b = rule->value,
	};

	return seccomp_rule_add_array(filter, action, rule->call, rule->mask ? 1 : 0, &condition);
}

static int fill(scmp_filter_ctx filter, const struct confine_rule *rules, size_t nr)
{
	int ret = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);

	/* capabilities are dropped by now, and with them what would do without this */
	if (!ret)
		ret = seccomp_attr_set(filter, SCMP_FLTATR_CTL_NNP, 1);
	for (size_t i = 0; i < nr && !ret; i++)
		ret = add_rule(filter, &rules[i]);
	if (!ret)
		ret = seccomp_syscall_priority(filter, rules[0].call, FIRST);
	return ret;
}

void confine_prepare(void)
{
	void *volatile chunks[6];

	for (size_t i = 0; i < sizeof(chunks) / sizeof(*chunks); i++)
		chunks[i] = malloc(100000);
	for (size_t i = 0; i < sizeof(chunks) / sizeof(*chunks); i++)
		free(chunks[i]);
}

int confine_thread(int files)
{
	int ret = drop_capabilities();

	if (ret || files < 0)
		return ret;
	return syscall(SYS_landlock_restrict_self, files, 0) ? failed("Landlock", errno) : 0;
}

int confine_calls(const struct confine_rule *rules, size_t nr)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_TRAP);
	int ret;

	hear_of_refusals();
	if (!filter)
		return failed("seccomp", ENOMEM);
	ret = fill(filter, rules, nr);
	if (!ret)
		ret = seccomp_load(filter);
	seccomp_release(filter);
	return ret ? failed("seccomp", -ret) : 0;
}

int confine(const struct confine_rule *rules, size_t nr)
{
	int files = confine_files();
	int ret = confine_thread(files);

	cleanup_close(&files); /* which the rules may not have */
	return ret ? ret : confine_calls(rules, nr);
}
