# Goals that test; included by the top Makefile.

UNIT_SRC := $(wildcard tests/unit/test_*.c)
FUZZ_SRC := $(wildcard tests/fuzz/fuzz_*.c)
UNIT     := $(UNIT_SRC:%.c=$(O)/%)
FUZZ     := $(FUZZ_SRC:%.c=$(O)/%)
TEST_LIBS := -lxlutil -lxenlight -lxenguest -lyajl -lfdt -lxendevicemodel \
    -lxenforeignmemory -lxenevtchn -lxengnttab -lxenctrl -lxenhypfs -lxenstore \
    -lxentoolcore -lxentoollog -luring -lseccomp -lpthread

# Everything but the programs' main files, so that a test can use any part. What
# a test defines itself is not taken from there.
$(O)/libvrtest.a: $(call obj,$(filter-out %/main.c,$(BACKEND_SRC)))
	$(archive)

$(O)/libvrbroker.a: $(call obj,$(filter-out %/main.c,$(BROKER_SRC)))
	$(archive)

$(O)/libvrctl.a: $(call obj,$(filter-out %/main.c,$(VRCTL_SRC)))
	$(archive)

$(O)/libvrplugin.a: $(call obj,$(PLUGIN_SRC))
	$(archive)

TEST_ARCHIVES := $(O)/libvrtest.a $(O)/libvrbroker.a $(O)/libvrctl.a \
    $(O)/libvrplugin.a $(O)/libvrxen.a $(O)/libvr.a

# These have a file of the plug-in in them.
$(call obj,tests/unit/test_plugin_arm.c tests/unit/test_preload.c): \
    ALL_CPPFLAGS += -I.

$(UNIT): $(O)/%: $(O)/%.o $(TEST_ARCHIVES)
	$(call link,-pie,-lcmocka $(TEST_LIBS))

# The survey's reader of traces goes into a program of its own, for the guest.
SURVEY_TESTS := tests/unit/test_survey tests/fuzz/fuzz_survey
$(SURVEY_TESTS:%=$(O)/%): $(O)/tests/survey/events.o
$(SURVEY_TESTS:%=$(O)/%.o): ALL_CPPFLAGS += -I.

# The guest module's files, in a process: each of the kernel's headers that they
# include is guest/kernel.h, which is no kernel's and warns as none.
KERNEL := $(addprefix $(O)/kernel/,$(shell \
    sed -n 's/^\#include <\(.*\)>/\1/p' tools/guest-linux/*.[ch] | sort -u))
GUEST_TESTS := $(filter tests/fuzz/fuzz_guest% tests/unit/test_guest%,\
    $(FUZZ_SRC) $(UNIT_SRC))

$(KERNEL):
	@mkdir -p $(@D)
	@echo '#include "kernel.h"' > $@

$(call obj,$(GUEST_TESTS)): $(KERNEL)
$(call obj,$(GUEST_TESTS)): ALL_CPPFLAGS += -I$(O)/kernel -Itests/fuzz/guest
$(call obj,$(GUEST_TESTS)): WARN := -Wall -Wstrict-prototypes -Wno-unused

$(FUZZ): $(O)/%: $(O)/%.o $(TEST_ARCHIVES)
	$(call link,-fsanitize=fuzzer,$(TEST_LIBS))

# Benchmarks of single modules, for the machine that builds; tests/bench/run
# measures the whole in an emulated host.
BENCH := $(O)/tests/bench/viommu

$(BENCH): $(O)/%: $(O)/%.o $(O)/libvr.a
	$(call link,-pie,)

# A guest's device tree, for tests/bindings/check.
TREE := $(O)/tests/bindings/tree

$(TREE): $(O)/%: $(O)/%.o $(O)/libvr.a
	$(call link,-pie,-lfdt)

OBJECTS := $(call obj,$(LIB_SRC) $(LIBXEN_SRC) $(BROKER_SRC) $(BACKEND_SRC) \
    $(VRCTL_SRC)) $(call pic,$(PLUGIN_SRC) xl-plugin/preload.c)

.PHONY: unit-build fuzz-build objects bench-modules
unit-build: $(UNIT) $(BENCH) $(TREE)
fuzz-build: $(FUZZ)
objects: $(OBJECTS)

bench-modules: $(BENCH)
	@for b in $^; do $$b || exit 1; done

.PHONY: setup unit guest-module model check e2e demo bench fuzz host-up host-shell host-down
setup:
	@tests/host/setup.sh

unit: setup
	@tests/check.sh unit

guest-module: setup
	@tests/check.sh module

model: setup
	@tests/check.sh model

fuzz: setup
	@FUZZ_SECONDS=$${FUZZ_SECONDS:-60} tests/check.sh fuzz

check: setup
	@HOST=$(HOST) tests/check.sh all

# Emulated hosts: HOST=arm64 or HOST=x86; e2e, check and bench do both by
# default.
HOST ?=
NAME := $(or $(HOST),arm64)

# The programs as they go into the emulated arm64 host.
.PHONY: arm64
arm64: setup
	@$(MAKE) --no-print-directory O=out/arm64 WERROR=1 \
	    CROSS_COMPILE=aarch64-linux-gnu- SYSROOT=$$(tests/host/host path sysroot)

e2e: setup
	@HOST=$(HOST) tests/check.sh e2e

demo: setup
	@tests/demo/demo $(HOST)

bench: setup bench-modules
	@for h in $(or $(HOST),arm64 x86); do tests/bench/run --host $$h --record || exit 1; done

# Memory access patterns of all virtio devices, without Xen; docs/survey/.
.PHONY: survey
survey: setup
	@tests/survey/survey

host-up: setup
	@tests/host/host up --arch $(NAME)

host-shell: host-up
	@tests/host/host shell --name $(NAME)

host-down:
	@tests/host/host down --name $(NAME)
