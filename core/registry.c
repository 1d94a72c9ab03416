/* SPDX-License-Identifier: BSD-3-Clause */
#include "registry.h"

#include <dlfcn.h>
#include <string.h>

#include "fastpath.h"
#include "log.h"

#define MAX_CLASSES 64

/* From main() or a module's constructor, on the main thread, before any device is made. */
static struct known {
	const struct fp_class *class_;
	void *module; /* of dlopen(); NULL: it is the program's own */
} known[MAX_CLASSES];
static size_t nr_known;

static bool refused; /* somebody was, who is in the log */

/* Nothing of a class of another layout can be read, not even its name. */
static bool is_welcome(const struct fp_class *class_, uint32_t abi, size_t class_bytes)
{
	if (abi != FP_ABI || class_bytes != sizeof(*class_)) {
		log_error("a device was built for version %u of fastpath.h, %zu bytes a class, and "
			  "this is version %u, %zu: build it anew",
			  abi, class_bytes, FP_ABI, sizeof(*class_));
		return false;
	}
	if (registry_find(class_->name)) {
		log_error("device class %s: there are two of that name", class_->name);
		return false;
	}
	if (nr_known == MAX_CLASSES) {
		log_error("device class %s: more than %d classes", class_->name, MAX_CLASSES);
		return false;
	}
	return true;
}

void fp_register_class(const struct fp_class *class_, uint32_t abi, size_t class_bytes)
{
	if (!is_welcome(class_, abi, class_bytes)) {
		refused = true;
		return;
	}
	known[nr_known++].class_ = class_;
}

const struct fp_class *registry_at(size_t i)
{
	return i < nr_known ? known[i].class_ : NULL;
}

const struct fp_class *registry_find(const char *name)
{
	for (size_t i = 0; i < nr_known; i++)
		if (!strcmp(known[i].class_->name, name))
			return known[i].class_;
	return NULL;
}

bool registry_is_module(const char *name)
{
	return strchr(name, '/') != NULL;
}

/* The class of the module that was just loaded, when it brought `nr` of them. */
static const struct fp_class *loaded(const char *path, void *module, size_t nr)
{
	struct known *first = &known[nr_known - nr];

	if (nr == 1) {
		first->module = module;
		return first->class_;
	}
	if (nr) {
		log_error("--device %s: a module has one device, this one has %zu", path, nr);
		nr_known -= nr;
		return NULL;
	}
	for (size_t i = 0; i < nr_known; i++) /* it was there: for another --device */
		if (known[i].module == module)
			return known[i].class_;
	if (!refused)
		log_error("--device %s: it has no FP_DEVICE()", path);
	return NULL;
}

const struct fp_class *registry_load(const char *path)
{
	size_t before = nr_known;
	void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);

	if (module)
		return loaded(path, module, nr_known - before);
	log_error("--device %s", dlerror()); /* which begins with the path */
	return NULL;
}
