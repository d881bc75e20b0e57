# virtio-restricted: plain GNU make, no generator. `make help` lists the goals.

# What each program says to --version; NEWS tells what is in it.
VERSION := 1.0

PREFIX     ?= /usr/local
SBINDIR    ?= $(PREFIX)/sbin
LIBEXECDIR ?= $(PREFIX)/lib/virtio-restricted
MANDIR     ?= $(PREFIX)/share/man
SHAREDIR   ?= $(PREFIX)/share/virtio-restricted
USERSDIR   ?= $(PREFIX)/lib/sysusers.d
SYSCONFDIR ?= /etc
DESTDIR    ?=

# One build folder per flavour, so that native, cross and sanitizer builds live
# side by side: make O=out/arm64 CROSS_COMPILE=aarch64-linux-gnu- SYSROOT=...
O             ?= out/native
CROSS_COMPILE ?=
SYSROOT       ?=
XEN_INCLUDE   ?=
ifeq ($(origin CC),default)
CC := $(CROSS_COMPILE)gcc
endif
AR := $(CROSS_COMPILE)ar

WARN     := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes
HARDEN   := -fstack-protector-strong -fPIE -D_FORTIFY_SOURCE=2 -fno-common
CFLAGS   ?= -O2 -g
PATHS        = -DVR_SBINDIR='"$(SBINDIR)"' -DVR_LIBEXECDIR='"$(LIBEXECDIR)"' \
    -DVR_VERSION='"$(VERSION)"'
ALL_CPPFLAGS = -D_GNU_SOURCE -Itools $(PATHS) $(CPPFLAGS)
ALL_CFLAGS   = -std=gnu11 $(WARN) $(HARDEN) $(CFLAGS) -MMD -MP
ALL_LDFLAGS  = -Wl,-z,relro,-z,now $(LDFLAGS)
ifneq ($(XEN_INCLUDE),)
ALL_CPPFLAGS += -isystem $(XEN_INCLUDE)
endif
ifneq ($(SYSROOT),)
ALL_CPPFLAGS += -isystem $(SYSROOT)/usr/include \
    -isystem $(SYSROOT)/usr/include/aarch64-linux-gnu
ALL_LDFLAGS += -L$(SYSROOT)/usr/lib/aarch64-linux-gnu \
    -Wl,-rpath-link,$(SYSROOT)/usr/lib/aarch64-linux-gnu:$(SYSROOT)/lib/aarch64-linux-gnu
endif
ifeq ($(WERROR),1)
ALL_CFLAGS += -Werror
endif

# Which Xen libraries each program may reach says what it can do.
PLUGIN_LIBS  := -lxlutil -lxenlight -lxenguest -lxenctrl -lxenforeignmemory \
    -lxenhypfs -lxenstore -lxentoollog -lyajl -lfdt
BROKER_LIBS  := -lxendevicemodel -lxenforeignmemory -lxenevtchn -lxengnttab \
    -lxenctrl -lxenstore -lxentoolcore -lxentoollog -lyajl -lseccomp
VRCTL_LIBS   := -lxenlight -lxenctrl -lxenforeignmemory -lxenhypfs -lxenstore \
    -lxentoollog -lyajl
BACKEND_LIBS := -lxengnttab -lxenevtchn -lxenstore -lxentoolcore -lxentoollog \
    -luring -lseccomp

# The folders of a program or library: docs/architecture.md has their order.
sources      = $(wildcard $(1)/*.c $(1)/*/*.c $(1)/*/*/*.c)
LIBXEN_SRC  := $(call sources,tools/libs/xen)
LIB_SRC     := $(filter-out $(LIBXEN_SRC),$(call sources,tools/libs))
BROKER_SRC  := $(call sources,tools/broker)
BACKEND_SRC := $(call sources,tools/backend)
VRCTL_SRC   := $(call sources,tools/vrctl)
PLUGIN_SRC  := $(filter-out xl-plugin/preload.c,$(wildcard xl-plugin/*.c))

# One short line per step; V=1 shows the commands.
ifeq ($(V),1)
run = $(2)
else
run = @echo '  $(1)	$@'; $(2)
endif

obj = $(patsubst %.c,$(O)/%.o,$(1))
pic = $(patsubst %.c,$(O)/%.pic.o,$(1))

PROGRAMS := $(O)/vr-broker $(O)/vr-backend $(O)/vrctl \
    $(O)/xl-virtio-restricted.so $(O)/vr-plugin.so

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
all: $(PROGRAMS)

$(O)/%.o: %.c $(O)/how
	@mkdir -p $(@D)
	$(call run,CC,$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -c -o $@ $<)

$(O)/%.pic.o: %.c $(O)/how
	@mkdir -p $(@D)
	$(call run,CC,$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -fPIC -fvisibility=hidden -c -o $@ $<)

# What was made with another compiler or other flags is made again: a file with
# warnings is not up to date for WERROR=1. The installed files' places are left
# to the next rule.
HOW = $(CC) $(filter-out $(PATHS),$(ALL_CPPFLAGS)) $(ALL_CFLAGS) $(ALL_LDFLAGS)
stamp = @mkdir -p $(@D); echo '$(1)' | cmp -s - $@ || echo '$(1)' > $@

$(O)/how: FORCE
	$(call stamp,$(HOW))

# What names an installed file is compiled again when that is to be elsewhere:
# make; make install PREFIX=/usr. So is what names the version.
NAMING := $(shell grep -lE 'VR_(SBINDIR|LIBEXECDIR|VERSION)' $(BROKER_SRC) $(BACKEND_SRC) \
    $(VRCTL_SRC) $(PLUGIN_SRC) xl-plugin/preload.c)

$(call obj,$(NAMING)) $(call pic,$(NAMING)): $(O)/paths
$(O)/paths: FORCE
	$(call stamp,$(SBINDIR) $(LIBEXECDIR) $(VERSION))

# What ACPI guests are told, compiled on the machine that builds.
IASL ?= iasl
ACPI_AML := $(O)/tools/libs/guest/acpi/aml.h

$(ACPI_AML): tools/libs/guest/acpi/aml.sh \
    $(wildcard tools/libs/guest/acpi/*.asl)
	@mkdir -p $(@D)
	$(call run,ASL,$< $(IASL) $@ $(filter %.asl,$^))

ACPI_OBJ := $(call obj,tools/libs/guest/acpi.c) $(call pic,tools/libs/guest/acpi.c)

$(ACPI_OBJ): $(ACPI_AML)
$(ACPI_OBJ): ALL_CPPFLAGS += -I$(O)/tools

archive = $(call run,AR,rm -f $@ && $(AR) rcs $@ $^)
link    = $(call run,LD,$(CC) $(ALL_CFLAGS) $(1) $(ALL_LDFLAGS) -o $@ $^ -Wl$(comma)--as-needed $(2))
comma   := ,

$(O)/libvr.a: $(call obj,$(LIB_SRC))
	$(archive)

$(O)/libvrxen.a: $(call obj,$(LIBXEN_SRC))
	$(archive)

$(O)/libvrpic.a: $(call pic,$(LIB_SRC) $(LIBXEN_SRC))
	$(archive)

$(O)/vr-broker: $(call obj,$(BROKER_SRC)) $(O)/libvrxen.a $(O)/libvr.a
	$(call link,-pie,$(BROKER_LIBS))

$(O)/vr-backend: $(call obj,$(BACKEND_SRC)) $(O)/libvr.a
	$(call link,-pie,$(BACKEND_LIBS) -lpthread)

$(O)/vrctl: $(call obj,$(VRCTL_SRC)) $(O)/libvrxen.a $(O)/libvr.a
	$(call link,-pie,$(VRCTL_LIBS))

# Loaded into every process below `xl`: no library but libc.
$(O)/xl-virtio-restricted.so: $(call pic,xl-plugin/preload.c)
	$(call link,-shared,-ldl)

$(O)/vr-plugin.so: $(call pic,$(PLUGIN_SRC)) $(O)/libvrpic.a
	$(call link,-shared,$(PLUGIN_LIBS))

include tests/tests.mk tests/habits.mk
-include $(shell find $(O) -name '*.d' 2>/dev/null)

.PHONY: all install install-divert uninstall clean format format-check help FORCE
INSTALL ?= install
RELOCATE = sed -e 's|@LIBEXECDIR@|$(LIBEXECDIR)|g' \
    -e 's|@VERSION@|$(VERSION)|g' \
    -e 's|/usr/local/share/virtio-restricted|$(SHAREDIR)|g'
MAN5 := $(notdir $(wildcard docs/man/*.5))
MAN8 := $(notdir $(wildcard docs/man/*.8))
EXAMPLES := $(wildcard config/*)
OWN_XL = grep -qs virtio-restricted $(DESTDIR)$(SBINDIR)/xl

# The dynamic linker ends the name of an object to be preloaded at either.
ifneq ($(words x$(SBINDIR) x$(LIBEXECDIR)),2)
$(error PREFIX, SBINDIR and LIBEXECDIR cannot have blanks: "$(LIBEXECDIR)")
endif
ifneq ($(findstring :,$(LIBEXECDIR)),)
$(error PREFIX and LIBEXECDIR cannot have colons: "$(LIBEXECDIR)")
endif

# What a user of the host needs; the backend is here too because vr-mkdriver
# puts it into driver-domain images.
install: all
	@[ ! -e $(DESTDIR)$(SBINDIR)/xl ] || $(OWN_XL) || { \
	    echo "$(DESTDIR)$(SBINDIR)/xl is the distribution's: choose another" \
	        "PREFIX, or first move it aside: make install-divert" >&2; exit 1; }
	$(INSTALL) -d $(DESTDIR)$(SBINDIR) $(DESTDIR)$(LIBEXECDIR) \
	    $(DESTDIR)$(MANDIR)/man5 $(DESTDIR)$(MANDIR)/man8 \
	    $(DESTDIR)$(SHAREDIR)/examples $(DESTDIR)$(SHAREDIR)/guest \
	    $(DESTDIR)$(USERSDIR)
	$(INSTALL) -m 0755 $(O)/vrctl $(DESTDIR)$(SBINDIR)
	$(INSTALL) -m 0755 tools/bootfiles/vr-bootfiles-hook \
	    $(DESTDIR)$(SHAREDIR)/guest
	$(INSTALL) -m 0755 $(O)/vr-broker $(O)/vr-backend $(DESTDIR)$(LIBEXECDIR)
	$(INSTALL) -m 0644 $(O)/xl-virtio-restricted.so $(O)/vr-plugin.so \
	    $(DESTDIR)$(LIBEXECDIR)
	@mkdir -p $(O)/install
	$(RELOCATE) xl-plugin/xl.in > $(O)/install/xl
	$(RELOCATE) tools/mkdriver/vr-mkdriver > $(O)/install/vr-mkdriver
	$(RELOCATE) tools/bootfiles/vr-bootfiles > $(O)/install/vr-bootfiles
	for f in $(MAN5) $(MAN8); do \
	    $(RELOCATE) docs/man/$$f > $(O)/install/$$f || exit 1; done
	$(INSTALL) -m 0755 $(addprefix $(O)/install/,xl vr-mkdriver vr-bootfiles) \
	    $(DESTDIR)$(SBINDIR)
	$(INSTALL) -m 0644 $(MAN5:%=$(O)/install/%) $(DESTDIR)$(MANDIR)/man5
	$(INSTALL) -m 0644 $(MAN8:%=$(O)/install/%) $(DESTDIR)$(MANDIR)/man8
	$(INSTALL) -m 0644 $(EXAMPLES) $(DESTDIR)$(SHAREDIR)/examples
	$(INSTALL) -m 0644 tools/broker/sysusers.conf \
	    $(DESTDIR)$(USERSDIR)/virtio-restricted.conf

# For callers of the absolute path /usr/sbin/xl: the distribution's file is
# moved aside by dpkg, ours takes its place. Undo with uninstall.
install-divert:
	dpkg-divert --local --rename --divert /usr/sbin/xl.distrib --add /usr/sbin/xl
	[ $(SBINDIR) = /usr/sbin ] || ln -sf $(SBINDIR)/xl /usr/sbin/xl

uninstall:
	! $(OWN_XL) || rm -f $(DESTDIR)$(SBINDIR)/xl
	if [ -z "$(DESTDIR)" ] && [ ! -e /usr/sbin/xl ] && \
	    [ -e /usr/sbin/xl.distrib ]; then \
	    rm -f /usr/sbin/xl; \
	    dpkg-divert --local --rename --remove /usr/sbin/xl; fi
	rm -f $(addprefix $(DESTDIR)$(SBINDIR)/,vrctl vr-mkdriver vr-bootfiles) \
	    $(DESTDIR)$(SHAREDIR)/guest/vr-bootfiles-hook \
	    $(addprefix $(DESTDIR)$(LIBEXECDIR)/,vr-broker vr-backend \
	    vr-plugin.so xl-virtio-restricted.so) \
	    $(MAN5:%=$(DESTDIR)$(MANDIR)/man5/%) \
	    $(MAN8:%=$(DESTDIR)$(MANDIR)/man8/%) \
	    $(DESTDIR)$(USERSDIR)/virtio-restricted.conf \
	    $(EXAMPLES:config/%=$(DESTDIR)$(SHAREDIR)/examples/%)
	rmdir $(DESTDIR)$(LIBEXECDIR) $(DESTDIR)$(SHAREDIR)/examples \
	    $(DESTDIR)$(SHAREDIR)/guest $(DESTDIR)$(SHAREDIR) 2>/dev/null || :

format:
	git ls-files '*.c' '*.h' | xargs clang-format -i

format-check:
	git ls-files '*.c' '*.h' | xargs clang-format --dry-run -Werror

clean:
	rm -rf out

help:
	@echo 'make                 build for this machine (out/native)'
	@echo 'make install         DESTDIR= PREFIX=/usr/local'
	@echo 'make install-divert  for callers of /usr/sbin/xl; see README.md'
	@echo 'make uninstall       undo both'
	@echo 'make demo            watch it work on an emulated Xen host'
	@echo 'make check           every test: unit, sanitizers, models, fuzz, end to end'
	@echo 'make unit | guest-module | model | fuzz | e2e'
	@echo '                     one part of it'
	@echo 'make quick           what needs no emulated host, in a minute'
	@echo 'make test T=NAME     one unit test: tests/unit/test_NAME.c'
	@echo 'make lint            clang-tidy, shellcheck, pylint'
	@echo 'make coverage        how many lines the unit tests run'
	@echo 'make compile_commands.json'
	@echo '                     for editors and tools of clang'
	@echo 'make bench           measure, on both emulated hosts'
	@echo 'make survey          see what memory each virtio device uses'
	@echo 'make host-shell      a shell in the emulated host; make host-down ends it'
	@echo 'make format | format-check | clean'
	@echo
	@echo 'HOST=x86 or HOST=arm64 selects the emulated host: for check, e2e and bench'
	@echo 'only that one; demo has x86 by default, host-shell and host-down arm64'
