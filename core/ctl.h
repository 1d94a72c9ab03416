/* SPDX-License-Identifier: BSD-3-Clause */
/* ctl: fastpathctl's commands that ask or tell a fastpathd at its control socket. */
#ifndef FASTPATH_CTL_H
#define FASTPATH_CTL_H

#include <json-c/json.h>
#include <stdbool.h>

/* Such a command, argv[0], with its arguments. Returns the exit status. */
int ctl_main(int argc, char **argv);

/* ---- what the server said, for people, to stdout ---- */

void ctl_print_list(struct json_object *reply);
void ctl_print_show(struct json_object *reply);
void ctl_print_stats(struct json_object *reply);
void ctl_print_metrics(struct json_object *reply); /* for Prometheus: as OpenMetrics */

/* What has happened between two replies of `stats`, `seconds` apart; `is_screen`: on a clear one. */
void ctl_print_rates(struct json_object *now, struct json_object *then, double seconds,
		     bool is_screen);

/* A line of `watch` or `trace`. */
void ctl_print_event(struct json_object *event);

#endif
