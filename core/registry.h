/* SPDX-License-Identifier: BSD-3-Clause */
/* registry: the classes of devices that this program knows, built in or from modules. */
#ifndef FASTPATH_REGISTRY_H
#define FASTPATH_REGISTRY_H

#include <stdbool.h>
#include <stddef.h>

struct fp_class;

/* The class called `name`, or NULL. */
const struct fp_class *registry_find(const char *name);

/* The i-th class, NULL after the last. */
const struct fp_class *registry_at(size_t i);

/* Whether `name` is a module's file, not a class: it has a slash. */
bool registry_is_module(const char *name);

/*
 * The one class of the module at `path`, which is loaded unless it is already, and stays until the
 * program ends. NULL, said to the log: it can't be loaded, was built against another fastpath.h, has
 * no class or several, or one whose name is taken.
 */
const struct fp_class *registry_load(const char *path);

#endif
