/* SPDX-License-Identifier: BSD-3-Clause */
#include "contest_options.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "option.h"
#include "ring.h"

#define DEFAULT_ROUNDS 40
#define DEFAULT_COUNT 500
#define DEFAULT_STREAM_COUNT 5000
#define DEFAULT_DEPTH 32
#define MAX_COUNT 1000000
#define MAX_ATS CONTEST_MAX

/* What is only known to be right when all options are read. */
struct draft {
	struct contest_options *options;
	const char *region;
	const char *offset;
	const char *client;	/* of all peers */
	char *at[MAX_ATS];	/* of one: NAME=REGION:OFFSET */
	char *clients[MAX_ATS]; /* likewise: NAME=KIND */
	unsigned int nr_at;
	unsigned int nr_clients;
	bool same_cpu;
	bool no_floor;
};

enum {
	OPT_CONNECT = 256,
	OPT_START,
	OPT_AT,
	OPT_CLIENT,
	OPT_REGION,
	OPT_OFFSET,
	OPT_SIZE,
	OPT_ACCESS,
	OPT_ROUNDS,
	OPT_COUNT,
	OPT_CPUS,
	OPT_SAME_CPU,
	OPT_NO_PIN,
	OPT_WAIT,
	OPT_NO_FLOOR,
	OPT_HELP,
	OPT_DEPTH,
	OPT_MIX,
};

static const struct option long_options[] = {
	/* Of throughput alone: rtt begins behind them. */
	{ "depth", required_argument, NULL, OPT_DEPTH },
	{ "mix", required_argument, NULL, OPT_MIX },
	{ "connect", required_argument, NULL, OPT_CONNECT },
	{ "start", required_argument, NULL, OPT_START },
	{ "at", required_argument, NULL, OPT_AT },
	{ "client", required_argument, NULL, OPT_CLIENT },
	{ "region", required_argument, NULL, OPT_REGION },
	{ "offset", required_argument, NULL, OPT_OFFSET },
	{ "size", required_argument, NULL, OPT_SIZE },
	{ "access", required_argument, NULL, OPT_ACCESS },
	{ "rounds", required_argument, NULL, OPT_ROUNDS },
	{ "count", required_argument, NULL, OPT_COUNT },
	{ "cpus", required_argument, NULL, OPT_CPUS },
	{ "same-cpu", no_argument, NULL, OPT_SAME_CPU },
	{ "no-pin", no_argument, NULL, OPT_NO_PIN },
	{ "wait", required_argument, NULL, OPT_WAIT },
	{ "no-floor", no_argument, NULL, OPT_NO_FLOOR },
	OUTPUTS_OPTIONS,
	{ "help", no_argument, NULL, OPT_HELP },
	{ 0 },
};
#define NR_STREAM_OPTIONS 2

static void usage(bool is_throughput)
{
	printf("Usage: fastpath-bench %s [options]\n%s\n"
	       "Every round has each kind of access to each server, in another order.\n\n"
	       "  --connect NAME=SOCKET  a vfio-user server; may be given several times\n"
	       "  --start NAME=COMMAND   one that this shell command starts; it is to listen at\n"
	       "                         $SOCKET. Without any server: our own, as \"fastpath\"\n"
	       "  --region N, --offset N where to access all of them (region 0, offset 0; of a\n"
	       "                         testdev region 2, offset 0x200). They are written to!\n"
	       "  --at NAME=REGION:OFFSET\n"
	       "                         where to access this one\n"
	       "  --size N,...           bytes: 1, 2, 4, 8 (4)\n"
	       "  --client [NAME=]fastpath|bare\n"
	       "                         by our own client, or by send() and recv() alone\n"
	       "  --wait POLICY          how our client waits for an answer: block, spin=US\n"
	       "  --rounds N             (%d)\n"
	       "  --count N              accesses of each row in each round (%d)\n"
	       "  --cpus CLIENT,SERVER   where they run (the first two CPUs)\n"
	       "  --same-cpu             all on one CPU\n"
	       "  --no-pin               wherever they run\n"
	       "  --no-floor             without the row of one recv() and one send()\n",
	       is_throughput ? "throughput" : "rtt",
	       is_throughput ? "How many accesses each of several servers can do." :
			       "What one access to each of several servers costs.",
	       DEFAULT_ROUNDS, is_throughput ? DEFAULT_STREAM_COUNT : DEFAULT_COUNT);
	if (is_throughput)
		printf("  --access KIND,...      read, write, posted, mix (read,write,posted)\n"
		       "  --depth N              without an answer at a time (%d)\n"
		       "  --mix PERCENT          so many accesses of \"mix\" are reads (50)\n",
		       DEFAULT_DEPTH);
	else
		printf("  --access KIND,...      read, write (both)\n");
	printf("\nWhat comes of it:\n");
	outputs_usage(stdout, 25);
	printf("\nExit status: 0, or 1 when something failed or accesses were lost.\n");
}

/* ---- single options ---- */

/* NAME=REST: both parts, in place. */
static int split(const char *option, char *text, char **rest)
{
	char *equals = strchr(text, '=');

	if (!equals || equals == text || !equals[1]) {
		log_error("%s %s: wants NAME=...", option, text);
		return -EINVAL;
	}
	*equals = 0;
	*rest = equals + 1;
	return 0;
}

static struct contender_options *find_peer(struct contest_options *options, const char *name)
{
	for (unsigned int i = 0; i < options->nr_peers; i++)
		if (!strcmp(options->peers[i].name, name))
			return &options->peers[i];
	return NULL;
}

static int add_peer(struct contest_options *options, const char *option, char *text,
		    bool is_command)
{
	struct contender_options *peer = &options->peers[options->nr_peers];
	char *rest;

	if (split(option, text, &rest))
		return -EINVAL;
	if (find_peer(options, text) || !strcmp(text, CONTENDER_FLOOR)) {
		log_error("%s %s=%s: there is a '%s' already", option, text, rest, text);
		return -EINVAL;
	}
	if (text[strcspn(text, ",\"\n")]) {
		log_error("%s %s=%s: a name is without comma and quote", option, text, rest);
		return -EINVAL;
	}
	if (options->nr_peers + 1 == CONTEST_MAX) { /* the floor is one */
		log_error("%s %s: more than %u servers", option, text, CONTEST_MAX - 1);
		return -EINVAL;
	}
	*peer = (struct contender_options){ .name = text, .kind = &link_fastpath };
	*(is_command ? &peer->command : &peer->address) = rest;
	options->nr_peers++;
	return 0;
}

static int parse_sizes(const char *text, unsigned int *sizes)
{
	const char *at = text;
	char *end;

	*sizes = 0;
	do {
		unsigned long size = strtoul(at, &end, 10);

		if (end == at || (*end && *end != ',') ||
		    (size != 1 && size != 2 && size != 4 && size != 8)) {
			log_error("--size %s: wants 1, 2, 4 or 8, by commas", text);
			return -EINVAL;
		}
		*sizes |= (unsigned int)size;
		at = end + 1;
	} while (*end);
	return 0;
}

static int access_bit(const char *name, size_t len, bool is_throughput, unsigned int *bits)
{
	for (unsigned int i = 0; i < contest_nr_accesses; i++)
		if (strlen(contest_accesses[i].name) == len &&
		    !strncmp(contest_accesses[i].name, name, len) &&
		    (is_throughput || !contest_accesses[i].only_streams)) {
			*bits |= 1u << i;
			return 0;
		}
	return -EINVAL;
}

static int parse_accesses(const char *text, struct contest_options *options)
{
	options->accesses = 0;
	for (const char *at = text;; at++) {
		size_t len = strcspn(at, ",");

		if (access_bit(at, len, options->is_throughput, &options->accesses)) {
			log_error("--access %s: wants %s, by commas", text,
				  options->is_throughput ? "read, write, posted or mix" :
							   "read or write");
			return -EINVAL;
		}
		at += len;
		if (!*at)
			return 0;
	}
}

static int parse_wait(const char *text, struct contest_options *options)
{
	struct ring_wait wait;

	if (ring_wait_parse(text, &wait)) {
		log_error("--wait %s: wants " RING_WAIT_WANTED, text);
		return -EINVAL;
	}
	options->wait_text = text;
	options->wait = (struct fpc_wait){
		.mode = (enum fpc_wait_mode)wait.mode,
		.spin_us = wait.spin_us,
	};
	return 0;
}

static int keep(const char *option, char **list, unsigned int *nr, char *text)
{
	if (*nr == MAX_ATS) {
		log_error("%s %s: it was given too often", option, text);
		return -EINVAL;
	}
	list[(*nr)++] = text;
	return 0;
}

static int parse_count(const char *option, const char *text, unsigned long least,
		       unsigned long most, unsigned int *value)
{
	unsigned long number;

	if (option_number(option, text, least, most, &number))
		return -EINVAL;
	*value = (unsigned int)number;
	return 0;
}

/* Where an option's value is kept as it is; NULL: it is looked at first. */
static const char **text_of(struct draft *draft, int opt)
{
	switch (opt) {
	case OPT_REGION:
		return &draft->region;
	case OPT_OFFSET:
		return &draft->offset;
	default:
		return NULL;
	}
}

/* 0; 1 when there is nothing left to do; -EINVAL. */
static int parse_one(struct draft *draft, int opt)
{
	struct contest_options *options = draft->options;
	const char **text = text_of(draft, opt);
	int ret = outputs_option(&options->outputs, opt, optarg);

	if (ret)
		return ret < 0 ? ret : 0;
	if (text) {
		*text = optarg;
		return 0;
	}
	switch (opt) {
	case OPT_CONNECT:
		return add_peer(options, "--connect", optarg, false);
	case OPT_START:
		return add_peer(options, "--start", optarg, true);
	case OPT_AT:
		return keep("--at", draft->at, &draft->nr_at, optarg);
	case OPT_CLIENT:
		if (strchr(optarg, '='))
			return keep("--client", draft->clients, &draft->nr_clients, optarg);
		draft->client = optarg;
		return 0;
	case OPT_SIZE:
		return parse_sizes(optarg, &options->sizes);
	case OPT_ACCESS:
		return parse_accesses(optarg, options);
	case OPT_ROUNDS:
		return parse_count("--rounds", optarg, 1, 100000, &options->rounds);
	case OPT_COUNT:
		return parse_count("--count", optarg, 1, MAX_COUNT, &options->count);
	case OPT_DEPTH:
		return parse_count("--depth", optarg, 1, LINK_MAX_DEPTH, &options->depth);
	case OPT_MIX:
		return parse_count("--mix", optarg, 0, 100, &options->read_percent);
	case OPT_CPUS:
		return option_cpus(optarg, "CLIENT,SERVER", &options->cpu_client,
				   &options->cpu_server);
	case OPT_SAME_CPU:
		draft->same_cpu = true;
		return 0;
	case OPT_NO_PIN:
		options->cpu_client = options->cpu_server = -1;
		return 0;
	case OPT_WAIT:
		return parse_wait(optarg, options);
	case OPT_NO_FLOOR:
		draft->no_floor = true;
		return 0;
	case OPT_HELP:
		usage(options->is_throughput);
		return 1;
	default:
		fprintf(stderr, "Try 'fastpath-bench %s --help'.\n",
			options->is_throughput ? "throughput" : "rtt");
		return -EINVAL;
	}
}

/* ---- all of them ---- */

static int set_place(struct contender_options *peer, const char *region, const char *offset)
{
	unsigned long number;

	if (region && option_number("--region", region, 0, UINT32_MAX, &number))
		return -EINVAL;
	peer->region = region ? (uint32_t)number : 0;
	if (offset && option_number("--offset", offset, 0, INT64_MAX, &number))
		return -EINVAL;
	peer->offset = offset ? number : 0;
	peer->has_at = true;
	return 0;
}

static int set_client(struct contender_options *peer, const char *name)
{
	peer->kind = link_kind(name);
	if (peer->kind)
		return 0;
	log_error("--client %s: wants fastpath or bare", name);
	return -EINVAL;
}

/* The peer that an option's NAME=... is about, and what it says. */
static struct contender_options *named(struct contest_options *options, const char *option,
				       char *text, char **rest)
{
	struct contender_options *peer;

	if (split(option, text, rest))
		return NULL;
	peer = find_peer(options, text);
	if (!peer)
		log_error("%s %s=%s: there is no server '%s'", option, text, *rest, text);
	return peer;
}

static int set_named(struct draft *draft)
{
	int ret = 0;

	for (unsigned int i = 0; i < draft->nr_at && !ret; i++) {
		char *rest;
		struct contender_options *peer = named(draft->options, "--at", draft->at[i], &rest);
		char *colon = peer ? strchr(rest, ':') : NULL;

		if (peer && !colon)
			log_error("--at %s=%s: wants NAME=REGION:OFFSET", peer->name, rest);
		if (!colon)
			return -EINVAL;
		*colon = 0;
		ret = set_place(peer, rest, colon + 1);
	}
	for (unsigned int i = 0; i < draft->nr_clients && !ret; i++) {
		char *rest;
		struct contender_options *peer =
			named(draft->options, "--client", draft->clients[i], &rest);

		ret = peer ? set_client(peer, rest) : -EINVAL;
	}
	return ret;
}

static int complete(struct draft *draft)
{
	struct contest_options *options = draft->options;
	int ret = 0;

	if (!options->nr_peers)
		options->peers[options->nr_peers++] = (struct contender_options){
			.name = "fastpath",
			.command = "exec fastpathd --device testdev,socket=$SOCKET",
			.kind = &link_fastpath,
		};
	for (unsigned int i = 0; i < options->nr_peers && !ret; i++) {
		if (draft->region || draft->offset)
			ret = set_place(&options->peers[i], draft->region, draft->offset);
		if (draft->client && !ret)
			ret = set_client(&options->peers[i], draft->client);
	}
	if (!ret)
		ret = set_named(draft);
	if (draft->same_cpu)
		options->cpu_server = options->cpu_client;
	if (!draft->no_floor)
		options->peers[options->nr_peers++] =
			(struct contender_options){ .name = CONTENDER_FLOOR, .kind = &link_bare };
	return ret;
}

int contest_options_parse(struct contest_options *options, int argc, char **argv)
{
	struct draft draft = { .options = options };
	const struct option *known =
		options->is_throughput ? long_options : long_options + NR_STREAM_OPTIONS;
	int ret = 0;
	int opt;

	options->argc = argc;
	options->argv = argv;
	options->rounds = DEFAULT_ROUNDS;
	options->count = options->is_throughput ? DEFAULT_STREAM_COUNT : DEFAULT_COUNT;
	options->depth = DEFAULT_DEPTH;
	options->read_percent = 50;
	options->sizes = 4;
	parse_accesses(options->is_throughput ? "read,write,posted" : "read,write", options);
	place_default(&options->cpu_client, &options->cpu_server);
	optind = 2; /* behind the command */
	while (!ret && (opt = getopt_long(argc, argv, "", known, NULL)) != -1)
		ret = parse_one(&draft, opt);
	if (!ret && optind < argc) {
		log_error("'%s': not an option; try --help", argv[optind]);
		ret = -EINVAL;
	}
	return ret ? ret : complete(&draft);
}
