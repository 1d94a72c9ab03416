/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sandbox: what a server may still do once its devices are there and before its first client: the base
 * that all servers need, and what devices have declared.
 */
#ifndef FASTPATH_SANDBOX_H
#define FASTPATH_SANDBOX_H

struct fp_device;
struct sandbox;

/* *out is to be given to sandbox_close(), before or after it was entered. -ENOMEM. */
int sandbox_open(struct sandbox **out);
void sandbox_close(struct sandbox *sandbox);

/* Adds what the device's class has in `calls`, its paths and its capabilities. -errno, said to the log. */
int sandbox_allow_device(struct sandbox *sandbox, const struct fp_device *dev);

/* Adds a path, for FP_PATH_*. -errno, said to the log. */
int sandbox_allow_path(struct sandbox *sandbox, const char *path, unsigned int what);

/* Files in that directory are made, replaced and removed, by its fd. -errno, said to the log. */
int sandbox_allow_state(struct sandbox *sandbox, const char *dir);

/* For confine_thread(), which each thread but the caller of sandbox_enter() has to do before that. */
int sandbox_files(const struct sandbox *sandbox);

/* For good. -errno, said to the log: nothing can be relied upon then. */
int sandbox_enter(const struct sandbox *sandbox);

#endif
