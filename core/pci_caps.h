/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pci_caps: the list of capabilities in a device's configuration space.
 */
#ifndef FASTPATH_PCI_CAPS_H
#define FASTPATH_PCI_CAPS_H

#include "pci.h"

/* What is wrong with the capabilities that the class asks for, or NULL. */
const char *pci_caps_check(const struct fp_class *class_);

/* Puts them into a space that has its header. */
void pci_caps_init(struct pci *pci, const struct fp_class *class_);

#endif
