# SPDX-License-Identifier: BSD-3-Clause
#
# make            programs, libraries and guest payloads, into build/
# make help       the other targets, and the variables
#
# Sources are found by wildcard: a new file needs no change here.

VERSION := 0.1.0
SOVERSION := 0

SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c

ifeq ($(origin CC),default)
CC := gcc
endif
PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
UNITDIR ?= $(PREFIX)/lib/systemd/system
JOBS ?= 1
CLANG_FORMAT ?= clang-format-14
CLANG_TIDY ?= clang-tidy-14

Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-9s%s\n' $1 '$2')

# Every compiler and sanitizer has a directory of its own, so that their objects never mix.
comma := ,
space := $(subst ,, )
variant := $(filter-out gcc,$(notdir $(CC))) $(if $(SAN),san-$(subst $(comma),-,$(SAN)))
variant := $(subst $(space),-,$(strip $(variant)))
B := build$(if $(variant),/$(variant))

# ---- what is built from what -------------------------------------------------------------------

obj = $(patsubst %,$B/obj/%.o,$(basename $1))

MAINS := $(wildcard core/fastpathd.c core/fastpathctl.c kvmfd/fastpath-vmm.c)
# Of the core, fastpathctl alone has what looks at servers, and the client is a library of its own.
CTL := $(call obj,$(wildcard core/probe*.c core/ctl*.c))
CORE := $(filter-out $(CTL),$(call obj,$(filter-out $(MAINS),$(wildcard core/*.c))))
CLIENT := $(call obj,$(wildcard core/client*.c))
CLIENT_LIB := $(CLIENT) $(call obj,$(wildcard core/ring*.c) \
	$(addprefix core/,$(addsuffix .c,address caps channel fault fdkind log socket wire)))
KVMFD := $(call obj,$(filter-out $(MAINS),$(wildcard kvmfd/*.c)))
DEVICES := $(call obj,$(wildcard devices/*.c))
LOOP := $(patsubst %,$B/payload/loop.o,$(wildcard bench/guest/loop.[cS]))
BENCH := $(call obj,$(wildcard bench/*.c)) $(LOOP)
PAYLOADS := $(patsubst bench/guest/%,$B/payload/%.bin,$(basename $(wildcard bench/guest/*.[cS])))
TEST_LIB := $(call obj,$(wildcard selftests/lib/*.c))
TEST_MAINS := $(wildcard selftests/*.c)
# Of the kernel that kvmfd/kernel/ makes.
KERNEL_TEST_MAINS := $(wildcard selftests/kernel/*.c)
# With a guest of fastpath-vmm, in QEMU.
GUEST_TEST_MAINS := $(wildcard selftests/guest/*.c)
SOAK := $(call obj,$(wildcard selftests/soak/*.c))
TEST_PROGRAMS := $(patsubst %.c,$B/%,$(TEST_MAINS) $(KERNEL_TEST_MAINS) $(GUEST_TEST_MAINS))
FUZZ_MAINS := $(wildcard selftests/fuzz/*.c)
FUZZ_PROGRAMS := $(FUZZ_MAINS:%.c=$B/%)
FUZZ_LIB := $(call obj,$(wildcard selftests/fuzz/lib/*.c))
FUZZ_TEXTS := $(wildcard selftests/fuzz/corpus/*/*.txt selftests/fuzz/regressions/*/*.txt)
FUZZ_SEEDS := $(FUZZ_TEXTS:selftests/fuzz/%.txt=build/fuzz-seeds/%)

PROGRAMS := $(addprefix $B/,$(basename $(notdir $(MAINS)))) \
	$(if $(wildcard bench/*.c),$B/fastpath-bench)
LIBRARIES := $(addprefix $B/,$(foreach lib,libfastpath libfastpath-client,$(lib).a $(lib).so))
MEMBERS := $(CORE) $(CTL) $(KVMFD) $(DEVICES) $(BENCH) $(TEST_LIB) $(FUZZ_LIB) $(SOAK)
OBJECTS := $(sort $(MEMBERS) $(call obj,$(MAINS) $(TEST_MAINS) $(KERNEL_TEST_MAINS) $(GUEST_TEST_MAINS) $(FUZZ_MAINS)))

GENERATED := $(addprefix $B/,fastpath.pc fastpath-client.pc fastpathd.json fastpathd@.service)

all: $(LIBRARIES) $(PROGRAMS) $(PAYLOADS) $(GENERATED)

# ---- flags; CFLAGS and LDFLAGS are the user's and come last --------------------------------------

WARNINGS := -Wall -Wextra -Werror -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition \
	-Wshadow -Wpointer-arith -Wvla -Wundef -Wwrite-strings -Wformat=2
CODEGEN := -O2 -g -pthread -fPIC -fvisibility=hidden -fstack-protector-strong
LINK := -pthread -Wl,--as-needed -Wl,-z,relro,-z,now,-z,noexecstack

ifneq ($(SAN),)
SANITIZE := -fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=undefined
ifneq ($(findstring thread,$(SAN)),)
# Fences are between a device and its guest, which is no thread of ours. clang does not warn of them.
SANITIZE += $(if $(findstring clang,$(CC)),,-Wno-tsan)
endif
else ifeq ($(filter -O0,$(CFLAGS)),)
# glibc turns this into a warning without optimization; the sanitizers look closer by themselves.
CODEGEN += -D_FORTIFY_SOURCE=2
endif

DEFINES := -D_GNU_SOURCE -DFASTPATH_VERSION='"$(VERSION)"'

# -iquote: a header called memory.h or bus.h must never stand in for a system header.
INC_core := -iquotecore
INC_devices := -iquotecore
INC_kvmfd := -iquotecore -iquotekvmfd
INC_bench := -iquotecore -iquotekvmfd -iquotebench -iquotedevices
# The harness' FIXTURE_SETUP() defines global functions and its TEST() takes more than it uses.
INC_selftests := $(INC_bench) -iquoteselftests -iquoteselftests/lib -iquoteselftests/fuzz/lib \
	-isystem build/kselftest -Wno-missing-prototypes -Wno-unused-parameter

COMPILE = $(CC) -std=gnu17 $(DEFINES) $(WARNINGS) $(CODEGEN) $(SANITIZE) $(PKG_CFLAGS)
LINKED = $(CC) $(CODEGEN) $(SANITIZE) $(LINK) $(LDFLAGS)

# Guest code runs without a C library, in ring 3 of a machine that has nothing: no sanitizer, no
# stack protector, no SSE, and none of the user's flags.
GUEST := -std=gnu17 $(WARNINGS) -O2 -g -ffreestanding -fno-stack-protector -fno-pic -mcmodel=small \
	-mno-red-zone -mgeneral-regs-only -fcf-protection=none -fno-asynchronous-unwind-tables \
	-iquotebench -iquotekvmfd
GUEST_LINK := -static -nostdlib -fuse-ld=bfd -Wl,-T,bench/guest/payload.ld \
	-Wl,--build-id=none -Wl,-z,noexecstack -Wl,--no-warn-rwx-segments

# ---- dependencies --------------------------------------------------------------------------------

PKG := liburing json-c libseccomp
PKG_DEVICES := libnl-3.0 libnl-route-3.0
PKG_BENCH := libnl-3.0 libnl-genl-3.0

# Included, so that make builds it first and starts over: pkg-config is asked only once the packages
# are there, and only once.
ifneq ($(filter-out help clean format deb deps-lint,$(or $(MAKECMDGOALS),all)),)
include build/deps.mk

# $(call stamp,FILE,VARIABLE): makes FILE newer than what was built with another value of VARIABLE.
define stamp
ifneq ($$(file <$1),$$(strip $$($2)))
$$(file >$1,$$(strip $$($2)))
endif
$1: ; $$(shell mkdir -p $B)$$(file >$$@,$$(strip $$($2)))
endef
FLAGS_USED = $(COMPILE) $(INC_selftests) $(CFLAGS) / $(LINKED) $(PKG_LIBS) $(PKG_BENCH_LIBS) $(PKG_DEVICES_LIBS) / \
	$(GUEST) $(GUEST_LINK)
PLACES = $(VERSION) $(PREFIX) $(LIBDIR)
$(shell mkdir -p $B)
$(eval $(call stamp,$B/.flags,FLAGS_USED))
$(eval $(call stamp,$B/.members,MEMBERS))
$(eval $(call stamp,$B/.places,PLACES))
endif

build/deps.mk: Makefile .ci/deps
	$(Q).ci/deps build
	$(Q)mkdir -p $(@D)
	$(Q)cflags=$$(pkg-config --cflags $(PKG) $(PKG_DEVICES) $(PKG_BENCH)) && libs=$$(pkg-config --libs $(PKG)) && \
	bench=$$(pkg-config --libs $(PKG_BENCH)) && devices=$$(pkg-config --libs $(PKG_DEVICES)) && \
	liburing=$$(pkg-config --modversion liburing) && \
	printf 'PKG_CFLAGS := %s -DLIBURING_VERSION=\\"%s\\"\nPKG_LIBS := %s\nPKG_BENCH_LIBS := %s\nPKG_DEVICES_LIBS := %s\n' \
		"$$cflags" "$$liburing" "$$libs" "$$bench" "$$devices" >$@.$$$$ && mv $@.$$$$ $@

build/.deps-%: .ci/deps
	$(Q).ci/deps $*
	$(Q)mkdir -p $(@D) && touch $@

build/kselftest/kselftest_harness.h: | build/.deps-check
	$(call say,EXTRACT,$(@D))
	$(Q).ci/deps harness $(@D)

# ---- compiling -----------------------------------------------------------------------------------

$(OBJECTS) $(PAYLOADS): | $(if $(findstring clang,$(CC)),build/.deps-clang)
$(call obj,$(TEST_MAINS) $(KERNEL_TEST_MAINS) $(GUEST_TEST_MAINS)) $(TEST_LIB): | build/kselftest/kselftest_harness.h

$B/obj/%.o: %.c $B/.flags
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(COMPILE) $(INC_$(firstword $(subst /, ,$<))) $(CFLAGS) -MMD -MP -c -o $@ $<

$B/obj/bench/guest/%.o: bench/guest/%.c $B/.flags
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(GUEST) -MMD -MP -c -o $@ $<

$B/obj/bench/guest/%.o: bench/guest/%.S $B/.flags
	$(call say,AS,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(GUEST) -MMD -MP -c -o $@ $<

$B/payload/%.elf: $B/obj/bench/guest/%.o bench/guest/payload.ld
	$(call say,LD,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(GUEST_LINK) -o $@ $<

$B/payload/%.bin: $B/payload/%.elf
	$(call say,OBJCOPY,$@)
	$(Q)objcopy -O binary $< $@

# NAME.bin as fp_payload_NAME_start to fp_payload_NAME_end
$B/payload/%.o: $B/payload/%.bin
	$(call say,EMBED,$@)
	$(Q)printf '%s\n' '.section .rodata' '.balign 16' \
		'.globl fp_payload_$*_start, fp_payload_$*_end' \
		'fp_payload_$*_start: .incbin "$<"' 'fp_payload_$*_end: .byte 0' \
		'.section .note.GNU-stack,"",@progbits' | $(CC) -c -x assembler -o $@ -

# A program for Linux guests, which have no libraries.
GUEST_CHECKS := $(wildcard selftests/guest/checks/*.c)

$B/guest-checks: $(GUEST_CHECKS) $(wildcard selftests/guest/checks/*.h) devices/testdev.h core/fastpath.h $B/.flags
	$(call say,LD,$@)
	$(Q)$(CC) -std=gnu17 $(DEFINES) $(WARNINGS) -O2 -s -static -iquotecore -iquotedevices \
		-o $@ $(GUEST_CHECKS)

.SECONDARY:
.DELETE_ON_ERROR:
-include $(OBJECTS:.o=.d) $(PAYLOADS:$B/payload/%.bin=$B/obj/bench/guest/%.d)

# ---- linking -------------------------------------------------------------------------------------

$B/libfastpath.a: $(CORE)
$B/libkvmfd.a: $(KVMFD)
$B/libbench.a: $(BENCH)
$B/%.a: $B/.members
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcs $@ $(filter %.o,$^)

# One object, in which only what the header declares is left to be seen: a static library must not
# clash with what its users call a ring or a channel.
$B/fastpath-client.o: $(CLIENT_LIB) $B/.members
	$(call say,LD,$@)
	$(Q)ld -r -o $@ $(filter %.o,$^) && objcopy --localize-hidden $@

$B/libfastpath-client.a: $B/fastpath-client.o

# The sanitizers' runtime is in the program, so only a plain build can insist on having all symbols.
$B/libfastpath.so: $(filter-out $(CLIENT),$(CORE)) $B/.members
$B/libfastpath-client.so: $(CLIENT_LIB) $B/.members
# The signal handler of core/fault.c stays when a program closes the library.
$B/libfastpath.so $B/libfastpath-client.so: LINKED += -Wl,-z,nodelete
$B/%.so:
	$(call say,LD,$@)
	$(Q)$(LINKED) -shared -Wl,-soname,$(@F).$(SOVERSION) $(if $(SAN),,-Wl,-z,defs) -o $@ \
		$(filter %.o,$^) $(PKG_LIBS)
	$(Q)ln -sf $(@F) $@.$(SOVERSION)

$B/fastpathd: $B/obj/core/fastpathd.o $(DEVICES) $B/libfastpath.a
# Modules find fp_*() in the program, all of them, also those that no device in here calls.
$B/fastpathd: LINK += -rdynamic
$B/fastpathd: WHOLE := -Wl,--whole-archive $B/libfastpath.a -Wl,--no-whole-archive
$B/fastpathctl: $B/obj/core/fastpathctl.o $(CTL) $B/libfastpath.a
$B/fastpath-vmm: $B/obj/kvmfd/fastpath-vmm.o $B/libkvmfd.a $B/libfastpath.a
$B/fastpath-bench: $(BENCH) $B/libkvmfd.a $B/libfastpath.a
$(TEST_PROGRAMS): $B/%: $B/obj/%.o $(TEST_LIB) $(DEVICES) $B/libbench.a $B/libkvmfd.a $B/libfastpath.a
$B/fastpath-bench $(TEST_PROGRAMS): PKG_LIBS += $(PKG_BENCH_LIBS) -lm
$B/fastpathd $(TEST_PROGRAMS) $(FUZZ_PROGRAMS): PKG_LIBS += $(PKG_DEVICES_LIBS)

$B/selftests/soak: $(SOAK) $(TEST_LIB) $B/libkvmfd.a $B/libfastpath.a
$B/selftests/soak: PKG_LIBS += $(PKG_BENCH_LIBS) -lm

# With libFuzzer's main(), or our own that only replays.
$B/selftests/fuzz/control: $(CTL)
$(FUZZ_PROGRAMS): $B/%: $B/obj/%.o \
	$(if $(findstring fuzzer,$(SAN)),$(filter-out %/standalone.o,$(FUZZ_LIB)),$(FUZZ_LIB)) \
	$(DEVICES) $B/libkvmfd.a $B/libfastpath.a
# It counts them.
$B/selftests/hot_path: LINK += -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=pthread_mutex_lock,--wrap=log_line
$B/selftests/fuzz/client: LINK += -Wl,--wrap=ring_turn
$(FUZZ_PROGRAMS): PKG_LIBS += $(if $(findstring fuzzer,$(SAN)),-fsanitize=fuzzer)

$(PROGRAMS) $(TEST_PROGRAMS) $(FUZZ_PROGRAMS) $B/selftests/soak: $B/.members
	$(call say,LD,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(LINKED) -pie -o $@ $(filter %.o,$^) $(or $(WHOLE),$(filter %.a,$^)) $(PKG_LIBS)

# $(call PC,LIBRARY,DESCRIPTION)
define PC
prefix=$(PREFIX)
libdir=$(LIBDIR)
includedir=$${prefix}/include

Name: $1
Description: $2
Version: $(VERSION)
Libs: -L$${libdir} -l$1
Libs.private: -luring -ljson-c -lseccomp -pthread
Cflags: -I$${includedir}
endef

# The specification ("Backend Program Conventions") asks for such a file and leaves its schema open;
# these are the mandatory members of the vhost-user one, on which those conventions are based.
define BACKEND
{
	"description": "Fastpath vfio-user server",
	"type": "pci",
	"binary": "$(PREFIX)/bin/fastpathd"
}
endef

$B/fastpath.pc: $B/.places
	$(file >$@,$(call PC,fastpath,vfio-user devices reached by file descriptor))
$B/fastpath-client.pc: $B/.places
	$(file >$@,$(call PC,fastpath-client,a vfio-user client))
$B/fastpathd.json: $B/.places
	$(file >$@,$(BACKEND))
$B/fastpathd@.service: core/fastpathd@.service.in $B/.places
	$(Q)sed 's|@BINDIR@|$(PREFIX)/bin|' $< >$@

# ---- targets -------------------------------------------------------------------------------------

TESTS ?= $(basename $(notdir $(TEST_MAINS) $(wildcard selftests/*.sh)))
test_path = $(if $(wildcard selftests/$1.sh),selftests/$1.sh,$B/selftests/$1)
TEST_PATHS := $(foreach test,$(TESTS),$(call test_path,$(test)))
QEMU_PARTS := $(if $(filter qemu vsock guest,$(TESTS)),build/qemu/made-by) \
	$(if $(filter qemu guest,$(TESTS)),$B/guest-checks $(GUEST_TEST_MAINS:%.c=$B/%))
# What the scripts tcp and vsock run.
AGAIN := $(if $(filter tcp vsock,$(TESTS)),$(addprefix $B/selftests/,\
	commands feature in_flight pci stream transport))
SOAK_PARTS := $(if $(filter soak,$(TESTS)),$B/selftests/soak)
FUZZ_PARTS = $(if $(filter fuzz,$(TESTS)),$(FUZZ_PROGRAMS) $(FUZZ_SEEDS))

check: all $(filter $B/%,$(TEST_PATHS)) $(QEMU_PARTS) $(AGAIN) $(FUZZ_PARTS) $(SOAK_PARTS) | build/.deps-check ## all selftests, or TESTS="NAME...", by prove
	$(Q)FASTPATH_BUILD=$(abspath $B) SAN=$(SAN) \
		prove $(if $V,-v) -j$(JOBS) -e .ci/tap $(TEST_PATHS)

check-qemu: ## our devices in QEMU, and a Linux guest that uses them (no KVM needed)
	$(Q)$(MAKE) --no-print-directory check TESTS=qemu

check-guest: ## a distribution's kernel in fastpath-vmm, in QEMU (no KVM needed)
	$(Q)$(MAKE) --no-print-directory check TESTS=guest

# Those that need KVM, or of them what TESTS names, in a machine that has one of its own.
NESTED_MAINS := $(shell grep -l 'bare_guest\.h' $(TEST_MAINS)) $(KERNEL_TEST_MAINS)
NESTED := $(NESTED_MAINS:selftests/%.c=%)
ifneq ($(origin TESTS),file)
NESTED := $(foreach test,$(NESTED),$(if $(filter $(TESTS),$(notdir $(test))),$(test)))
endif
NESTED_PARTS := $(NESTED:%=$B/selftests/%) build/qemu/made-by

# $(call nested,KERNEL,MODULES,DIR)
define nested
	$(call say,BOOT,$1)
	$(Q)FASTPATH_BUILD=$(abspath $B) \
		selftests/nested/boot $1 '$2' $3 $(NESTED:%="120 selftests/%")
	$(Q)prove $(if $V,-v) -e cat $(patsubst %,$3/%.tap,$(notdir $(NESTED)))
endef

check-nested: all $(NESTED_PARTS) ## those that need KVM, in QEMU on Debian's kernel
	$(call nested,build/qemu/vmlinuz,build/qemu/modules,$B/nested)

# KVM_UNIT_TESTS is where they were built; VMEXIT are tests of theirs.
VMEXIT ?= pci-mem pci-io

vmexit: all $(GUEST_TEST_MAINS:%.c=$B/%) $B/guest-checks build/qemu/made-by ## kvm-unit-tests' vmexit with testdev, in QEMU; KVM_UNIT_TESTS=DIR
	$(Q)FASTPATH_BUILD=$(abspath $B) NESTED_FILES=$(or $(KVM_UNIT_TESTS),$(error \
		make vmexit wants KVM_UNIT_TESTS=DIR))/x86/vmexit.flat selftests/nested/boot \
		build/qemu/vmlinuz build/qemu/modules $B/vmexit "300 selftests/guest/vmexit $(VMEXIT)"
	$(Q)cat $B/vmexit/vmexit.tap

kernel: build/.deps-kernel ## Linux 6.1 with ioregionfd, into build/kernel (minutes the first time, 2 GB)
	$(Q)kvmfd/kernel/build build/kernel

check-kernel: all kernel $(NESTED_PARTS) ## those that need KVM, in QEMU on that kernel; then bench-kernel
	$(call nested,build/kernel/obj/arch/x86/boot/bzImage,,$B/nested-kernel)
	$(Q)$(MAKE) --no-print-directory bench-kernel

IN_QEMU := --ops 2000 --repeat 5

bench-kernel: all kernel build/qemu/made-by ## what each road costs there; ratios mean something, times don't
	$(Q)FASTPATH_BUILD=$(abspath $B) selftests/nested/boot build/kernel/obj/arch/x86/boot/bzImage '' \
		$B/bench-kernel "600 fastpath-bench $(or $(BENCH_ARGS),$(IN_QEMU))"
	$(Q)cat $B/bench-kernel/fastpath-bench.tap

# What the selftests qemu and vsock run: without it they say why and are skipped.
build/qemu/made-by: .ci/qemu
	$(call say,UNPACK,$(@D))
	$(Q)mkdir -p build
	$(Q).ci/qemu $(@D) 2>build/qemu.why || true

# ---- fuzzing ---------------------------------------------------------------------------------------
#
# A target is a file in selftests/fuzz/; what a target's inputs look like is in its head. Its seeds
# are selftests/fuzz/corpus/TARGET/*.txt, inputs that once were trouble regressions/TARGET/*.txt, both
# for people to read (see selftests/fuzz/assemble), and selftests/fuzz/TARGET.dict is its dictionary.
# `make check` replays seeds and regressions, with any compiler. `make fuzz` looks for more: what it
# finds grows in build/fuzz/corpus/, from run to run.

FUZZ ?= $(basename $(notdir $(FUZZ_MAINS)))
SECONDS ?= 60
FUZZ_SAN := fuzzer-no-link,address,undefined
FUZZ_BUILD = $(MAKE) --no-print-directory CC=clang B=build/fuzz SAN=$(FUZZ_SAN)
FUZZ_COVERED = $(MAKE) --no-print-directory CC=clang B=build/fuzz/coverage SAN= \
	CFLAGS='-fprofile-instr-generate -fcoverage-mapping' LDFLAGS=-fprofile-instr-generate

$(FUZZ_SEEDS): build/fuzz-seeds/%: selftests/fuzz/%.txt selftests/fuzz/assemble \
		$(wildcard selftests/fuzz/corpus/*/names) | build/.deps-check
	$(Q)mkdir -p $(@D)
	$(Q)selftests/fuzz/assemble \
		selftests/fuzz/corpus/$(notdir $(patsubst %/,%,$(dir $*)))/names $< >$@

fuzz-programs: $(FUZZ_PROGRAMS) $(FUZZ_SEEDS)

fuzz: build/.deps-clang build/.deps-fuzz ## looks for inputs that do harm: SECONDS=60, FUZZ="NAME..."
	$(Q)$(FUZZ_BUILD) fuzz-programs
	$(Q)$(FUZZ_COVERED) fuzz-programs build/fuzz/coverage/fastpathd build/fuzz/coverage/fastpathctl
	$(Q)selftests/fuzz/run $(SECONDS) $(FUZZ)

HOURS ?= 1
SOAK_ARGS ?= --seconds $(shell awk 'BEGIN { print int(3600 * $(HOURS)) }')

soak: ## random clients, roads, resets, kills, moves against a model: HOURS=1, SAN=address,undefined
	$(Q)$(MAKE) --no-print-directory B=$B $B/fastpathd $B/selftests/soak
	$(Q)FASTPATH_BUILD=$(abspath $B) SAN=$(SAN) $B/selftests/soak $(SOAK_ARGS)

# With a page of it, but for what has none, or has it elsewhere. Its status is the benchmark's.
BENCH_PAGE := $(if $(filter compare report --help --version --html --html=%,$(BENCH_ARGS)),,$B/bench.html)

bench: all ## what each road costs on this host, and a page of it; BENCH_ARGS="..."
	$(Q)$B/fastpath-bench $(BENCH_ARGS) $(BENCH_PAGE:%=--html %); status=$$?; \
	[ -z "$(BENCH_PAGE)" ] || ! [ -e "$(BENCH_PAGE)" ] || [ $$status != 0 -a $$status != 4 ] || \
		printf '\nTo look at: %s\n' "$(BENCH_PAGE)" >&2; \
	exit $$status

# Without what is built within Linux, by its rules.
SOURCES = $(shell find core kvmfd devices bench selftests -name '*.[ch]' -not -path 'kvmfd/kernel/*')
TIDY = $(CLANG_TIDY) --quiet {} -- -std=gnu17 $(DEFINES) $(INC_selftests) $(PKG_CFLAGS)
CPPCHECK = cppcheck --quiet -j$$(nproc) --std=c11 --enable=warning,performance,portability \
	--inline-suppr --suppress='*:build/kselftest/*' --suppress=comparePointers \
	--error-exitcode=1 -D_GNU_SOURCE \
	-Icore -Ikvmfd -Ibench -Iselftests/lib -Ibuild/kselftest

lint: build/.deps-lint build/kselftest/kselftest_harness.h ## clang-format, clang-tidy, cppcheck
	$(call say,FORMAT,$(words $(SOURCES)) files)
	$(Q)$(CLANG_FORMAT) --dry-run -Werror $(SOURCES)
	$(call say,TIDY,$(words $(filter %.c,$(SOURCES))) files)
	$(Q)printf '%s\n' $(filter %.c,$(SOURCES)) | xargs -P$$(nproc) -I{} $(TIDY) 2>&1 | \
		sed '/^[0-9]* warnings\? generated/d'
	$(call say,CPPCHECK,$(words $(filter %.c,$(SOURCES))) files)
	$(Q)$(CPPCHECK) $(filter %.c,$(SOURCES))

format: ## clang-format -i
	$(Q)$(CLANG_FORMAT) -i $(SOURCES)

deps: build/kselftest/kselftest_harness.h ## what a build and the selftests need (Debian 12)
	$(Q).ci/deps build check $(if $(findstring clang,$(CC)),clang)

deps-lint: ## what lint needs
	$(Q).ci/deps lint

DEST = $(DESTDIR)$(PREFIX)
LIBDEST = $(DESTDIR)$(LIBDIR)

# $(call install_library,NAME): NAME.a, NAME.so with its versions, and NAME.pc
define install_library
	install -D -m 644 -t $(LIBDEST) $B/lib$1.a
	install -D $B/lib$1.so $(LIBDEST)/lib$1.so.$(VERSION)
	ln -sf lib$1.so.$(VERSION) $(LIBDEST)/lib$1.so.$(SOVERSION)
	ln -sf lib$1.so.$(SOVERSION) $(LIBDEST)/lib$1.so
	install -D -m 644 -t $(LIBDEST)/pkgconfig $B/$1.pc
endef

install: all ## into PREFIX (/usr/local), below DESTDIR
	install -D -t $(DEST)/bin $(PROGRAMS)
	install -D -m 644 -t $(DEST)/include core/fastpath.h core/fastpath-client.h
	$(call install_library,fastpath)
	$(call install_library,fastpath-client)
	install -D -m 644 -t $(DEST)/share/vfio-user $B/fastpathd.json
	install -D -m 644 -t $(DESTDIR)$(UNITDIR) $B/fastpathd@.service core/fastpathd@.socket
	install -D -m 644 core/fastpath.bash $(DEST)/share/bash-completion/completions/fastpathd
	$(foreach program,fastpathctl fastpath-vmm fastpath-bench,ln -sf fastpathd \
		$(DEST)/share/bash-completion/completions/$(program) &&) true
	$(foreach man,$(wildcard docs/*.[13578]),install -D -m 644 -t \
		$(DEST)/share/man/man$(subst .,,$(suffix $(man))) $(man) &&) true

# The packaging is .debian/, as the top level has no room for a debian/.
DEB := build/deb/fastpath-$(VERSION)

deb: build/.deps-deb ## Debian packages, into build/deb, and what lintian says of them
	$(call say,PACKAGE,$(DEB))
	$(Q)rm -rf build/deb && mkdir -p $(DEB)
	$(Q)tar -c --exclude=./build --exclude=./.git . | tar -x -C $(DEB)
	$(Q)mv $(DEB)/.debian $(DEB)/debian
	$(Q)cd $(DEB) && dpkg-buildpackage -us -uc $(if $V,,>../build.log 2>&1 || { tail -20 ../build.log; exit 1; })
	$(Q)lintian --allow-root --fail-on error build/deb/*.changes
	$(Q)ls build/deb/*.deb

clean: ## remove build/
	rm -rf build

help: ## this
	@awk -F': .*## ' '/^[a-z-]+:.*## / { printf "make %-13s%s\n", $$1, $$2 }' Makefile
	@echo 'CC=gcc|clang  SAN=address,undefined|thread  V=1  JOBS=N (tests at a time)  CFLAGS=  LDFLAGS='

.PHONY: all check check-qemu check-guest vmexit check-nested check-kernel bench-kernel kernel fuzz fuzz-programs soak bench lint format deps \
	deps-lint install deb clean help
