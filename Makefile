# fgfmd: build, test, install. `make help` lists the targets.

VERSION     := 0.1.0
B           ?= build
O           ?= $(B)/obj
# Objects of the programs and unit tests that see mbedTLS's headers: of another mbedTLS they alone are compiled again.
MBED_O      ?= $(O)
PREFIX      ?= /usr/local
SYSCONFDIR  ?= /etc
CC          ?= cc
PKG_CONFIG  ?= pkg-config
# An idle daemon's memory is mostly pages of its program. Unless CFLAGS are given, what does not run for each packet,
# frame or line of a configuration is compiled for size, and tables to unwind the stack are left to the debugger's file.
# CFLAGS_OF: $(1) is an object without folder and ending.
ifeq ($(origin CFLAGS),undefined)
CFLAGS      := -O2 -g -fno-asynchronous-unwind-tables
OFTEN       := base/% config/% tun/% $(addprefix agent/,agent_tunnel channel conn frame message session tls) test/%
CFLAGS_OF    = $(CFLAGS) $(if $(filter $(OFTEN),$(1)),,-Os)
else
CFLAGS_OF    = $(CFLAGS)
endif

# Rooms in link order: each may use those to its right (test/layers.sh checks the includes).
ROOMS       := agent rollback package trustlist tun config base

# gcc warns of every bounded print into a bounded buffer, which is what bounds are for; clang knows no such warning.
NO_TRUNCATION := $(shell $(CC) -Wno-format-truncation -Werror -E - < /dev/null > /dev/null 2>&1 && echo -Wno-format-truncation)
WARNINGS    := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wwrite-strings \
               -Wvla -Wformat=2 $(NO_TRUNCATION) -Wundef -Wconversion -Wno-sign-conversion
# Warnings are errors in CI only: a newer compiler must not keep anybody from building.
ifeq ($(CI),true)
WERROR      ?= 1
endif
ifeq ($(WERROR),1)
WARNINGS    += -Werror
endif
ifeq ($(SANITIZE),)
HARDEN_C    := -fPIE -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fcf-protection
else
HARDEN_C    := -fPIE -fsanitize=$(SANITIZE) -fno-sanitize-recover=all -fno-omit-frame-pointer
SAN_L       := -fsanitize=$(SANITIZE)
endif
HARDEN_L    := -pie -Wl,-z,relro,-z,now -Wl,-z,noexecstack -Wl,--as-needed

# The moment of this build: a lower bound for "now" on a box without a clock battery.
BUILD_EPOCH := $(or $(SOURCE_DATE_EPOCH),$(shell date +%s))

# Whose AES-GCM mbedTLS computes with (base/gcm.h): stock, or nettle.
GCM         ?= stock
GCM_FILES_stock  := base/gcm_stock.c
GCM_FILES_nettle := base/gcm_replace.c base/gcm_nettle.c
ifeq ($(GCM),nettle)
# -u: the replacement is there whether or not a program starts it, for a static mbedTLS then calls nothing else
GCM_LIBS    := $(foreach f,setkey crypt_and_tag auth_decrypt free,-Wl,--wrap=mbedtls_gcm_$(f)) -Wl,-u,gcm_start -lnettle
else ifneq ($(GCM),stock)
$(error GCM=$(GCM): stock or nettle expected)
endif
GCM_OTHERS  := $(filter-out $(GCM_FILES_$(GCM)),$(wildcard base/gcm_*.c))

# mbedTLS 2.28 has no pkg-config file; MBEDTLS_CFLAGS and MBEDTLS_LIBS point at another copy.
MBEDTLS_LIBS ?= -lmbedtls -lmbedx509 -lmbedcrypto
NL_CFLAGS   := $(shell $(PKG_CONFIG) --cflags libnl-3.0 2>/dev/null)
NL_LIBS     := -lnl-3
LIBS_base      := $(MBEDTLS_LIBS) $(GCM_LIBS) -lcjson -lcrypt
LIBS_config    := $(LIBS_base)
LIBS_trustlist := $(LIBS_base)
# One function of it, the sum over a package: from its archive where there is one, rather than one more library in memory.
DEFLATE_LIBS ?= $(if $(filter /%,$(shell $(CC) -print-file-name=libdeflate.a)),-l:libdeflate.a,-ldeflate)
LIBS_package   := -lz $(DEFLATE_LIBS) $(LIBS_base)
LIBS_tun       := $(NL_LIBS) $(LIBS_base)
LIBS_rollback  := $(LIBS_base)
LIBS_agent      = $(MHD_LIBS) -lcares $(NL_LIBS) $(LIBS_package)

# MONITOR=no leaves the HTTP service inside the namespace out, and its library.
MONITOR     ?= yes
# The distribution's libmicrohttpd brings GnuTLS and nine more libraries for HTTPS, which is not served here: 2.7 MB of
# resident memory. Linked from its archive without them it is 0.2 MB. Where there is no archive, or with MHD_LIBS given,
# it is linked like any other.
MHD_ARCHIVE := $(wildcard $(shell $(PKG_CONFIG) --variable=libdir libmicrohttpd 2>/dev/null)/libmicrohttpd.a)
ifneq ($(MONITOR),yes)
MHD_LIBS    :=
else ifneq ($(MHD_LIBS)$(if $(MHD_ARCHIVE),,x),)
MHD_LIBS    ?= -lmicrohttpd
else
MHD_LIBS    := -Wl,-u,gnutls_global_init $(B)/libmicrohttpd.a -lpthread
MHD_PLAIN   := $(B)/libmicrohttpd.a
endif

# Rooms a room may use, itself first: what a unit test of that room links.
USES_base      := base
USES_config    := config base
USES_trustlist := trustlist base
USES_package   := package trustlist base
USES_tun       := tun base
USES_rollback  := rollback config base
USES_agent     := $(ROOMS)

CPP_ALL := -std=c11 -D_GNU_SOURCE -DVERSION='"$(VERSION)"' -DSYSCONFDIR='"$(SYSCONFDIR)"' -I. $(MBEDTLS_CFLAGS) $(NL_CFLAGS)
CC_ALL   = $(CC) $(CPP_ALL) $(WARNINGS) $(HARDEN_C) $(call CFLAGS_OF,$(1)) $(CPPFLAGS) \
           $(if $(filter base/clock,$(1)),-DBUILD_EPOCH=$(BUILD_EPOCH)) $(if $(filter test/bench/%,$(1)),-O3)
LD_ALL   = $(CC) $(HARDEN_L) $(SAN_L) $(CFLAGS) $(LDFLAGS)

MAINS    := agent/main.c agent/fgfmctl.c
LEFT_OUT := $(if $(filter yes,$(MONITOR)),agent/agent_monitor_none.c,agent/agent_monitor.c $(wildcard agent/monitor*.c)) \
            $(if $(MHD_PLAIN),,agent/monitor_no_gnutls.c)
SRC      := $(filter-out $(MAINS) $(LEFT_OUT) $(GCM_OTHERS),$(wildcard $(ROOMS:=/*.c))) $(wildcard config/*.S)
# test/layers.sh sees to it that no header includes them but this one of the unit tests.
SEES_MBED := $(basename $(shell grep -lE '^.include ["<](mbedtls/|psa/|test/unit/fake_manager)' */*.c test/*/*.c))
obj       = $(if $(filter $(1),$(SEES_MBED)),$(MBED_O),$(O))/$(1).o
OBJ      := $(foreach f,$(basename $(SRC)),$(call obj,$(f)))
ROOM_LIB  = $(B)/lib$(1).a
LIBS_OF   = $(foreach r,$(USES_$(1)),$(call ROOM_LIB,$(r)))

# `make V=1` shows the commands themselves.
ifneq ($(V),1)
Q := @
say = @printf '  %-4s %s\n' $(1) $@
endif
JOBS := -j$(shell nproc)

all: $(B)/fgfmd $(B)/fgfmctl ## build the daemon and its tool

define compile_rule
$(1)/%.o: %.c
	@mkdir -p $$(@D)
	$$(call say,CC)
	$$(Q)$$(call CC_ALL,$$*) -MMD -MP -c $$< -o $$@
endef
$(foreach o,$(sort $(O) $(MBED_O)),$(eval $(call compile_rule,$(o))))

$(O)/%.o: %.S
	@mkdir -p $(@D)
	$(call say,AS)
	$(Q)$(CC) -I. -c $< -o $@

# The build time is that of the newest source.
$(O)/base/clock.o: $(SRC)

$(O)/config/builtin.o: $(wildcard etc/schema.d/*.json)

define room_rule
$(call ROOM_LIB,$(1)): $(filter $(O)/$(1)/% $(MBED_O)/$(1)/%,$(OBJ))
	@mkdir -p $(B) && rm -f $$@
	$$(call say,AR)
	$(Q)ar rcs $$@ $$(filter %.o,$$^)
endef
$(foreach r,$(ROOMS),$(eval $(call room_rule,$(r))))

# Another choice of GCM, MONITOR or MHD_LIBS in the same folder makes another library. A file that is missing is no reason
# for that where all are .SECONDARY (below), so the one that marks the choice is phony until it is there.
define choice_rule
$(call ROOM_LIB,$(1)): $(B)/$(2)-$(3)
$(if $(wildcard $(B)/$(2)-$(3)),,.PHONY: $(B)/$(2)-$(3))
$(B)/$(2)-$(3):
	@mkdir -p $(B) && rm -f $(B)/$(2)-* && touch $$@
endef
$(eval $(call choice_rule,base,gcm,$(GCM)))
$(eval $(call choice_rule,agent,monitor,$(if $(filter yes,$(MONITOR)),$(if $(MHD_PLAIN),plain,shared),no)))

# Calls of functions that never run may stay without a target.
$(B)/libmicrohttpd.a: $(MHD_ARCHIVE)
	@mkdir -p $(@D)
	$(call say,AR)
	$(Q)objcopy -w --weaken-symbol='gnutls_*' $< $@

$(B)/fgfmd: $(O)/agent/main.o $(call LIBS_OF,agent) | $(MHD_PLAIN)
	$(call say,LD)
	$(Q)$(LD_ALL) -o $@ $^ $(LIBS_agent)

$(B)/fgfmctl: $(O)/agent/fgfmctl.o $(call LIBS_OF,agent) | $(MHD_PLAIN)
	$(call say,LD)
	$(Q)$(LD_ALL) -o $@ $^ $(LIBS_agent) -ledit

# Unit tests: test/unit/test_ROOM_FILE.c links ROOM and the rooms below it. A test that needs functions replaced at
# link time names them in a line "// wrap: read fsync" of its source.
UNIT     := $(filter-out $(GCM_OTHERS:base/%.c=test/unit/test_base_%.c) \
              $(if $(filter yes,$(MONITOR)),,$(wildcard test/unit/test_agent_monitor*.c)),$(wildcard test/unit/test_*.c))
UNIT_BIN := $(UNIT:test/unit/%.c=$(B)/unit/%)
room_of   = $(word 2,$(subst _, ,$(1)))

.SECONDEXPANSION:
$(B)/unit/%: $$(call obj,test/unit/$$*) $$(call LIBS_OF,$$(call room_of,$$*)) | $(MHD_PLAIN)
	@mkdir -p $(@D)
	$(call say,LD)
	$(Q)$(LD_ALL) $(addprefix -Wl$(comma)--wrap=,$(shell sed -n 's,^// wrap: ,,p' test/unit/$*.c)) \
	  -o $@ $^ $(LIBS_$(call room_of,$*)) -lcmocka
comma := ,

# The one that takes longest begins first.
UNIT_LONG := $(filter %_faults,$(UNIT_BIN))

# An authority, signers, good and hostile packages: the same for every build.
PACKAGES := $(abspath $(B))/test/packages

$(PACKAGES)/made: test/mkpkg
	rm -rf $(@D)/pki $(@D)/all && mkdir -p $(@D)
	test/mkpkg --pki $(@D)/pki --all $(@D)/all
	@touch $@

unit: $(UNIT_BIN) $(PACKAGES)/made ## build and run the unit tests
	@FGFM_PACKAGES=$(PACKAGES) test/run-unit.sh $(UNIT_LONG) $(filter-out $(UNIT_LONG),$(UNIT_BIN))

# What end-to-end tests fetch with.
$(B)/test/fetch: $(O)/test/netns/fetch.o $(call LIBS_OF,agent) | $(MHD_PLAIN)
	@mkdir -p $(@D)
	$(call say,LD)
	$(Q)$(LD_ALL) -o $@ $^ $(LIBS_agent)

# --- faults ------------------------------------------------------------------------------------------------------
# Every point of the matrix; FAULTS=N: every N-th, beginning with another one for every state of the sources.
FAULTS     ?= 1
FAULT_PARTS := trace disk
FAULT_AT    = $(shell cat $(SRC) | cksum | cut -d' ' -f1)
# It sets registers of one processor.
SUPERVISE  := $(if $(filter x86_64,$(shell uname -m)),$(B)/fault/supervise)

$(B)/fault/matrix: $(patsubst %,$(O)/test/fault/%.o,matrix box system $(FAULT_PARTS)) $(call LIBS_OF,agent) | $(MHD_PLAIN)
	@mkdir -p $(@D)
	$(call say,LD)
	$(Q)$(LD_ALL) -o $@ $^ $(LIBS_agent)

$(B)/fault/supervise: $(patsubst %,$(O)/test/fault/%.o,supervise $(FAULT_PARTS))
	@mkdir -p $(@D)
	$(call say,LD)
	$(Q)$(LD_ALL) -o $@ $^

faults-box: $(B)/fault/matrix ## kill, fail and cut the power at every step of an install (root); FAULTS=N: every N-th
	$(B)/fault/matrix --self-test
	$(B)/fault/matrix --stride $(FAULTS) --offset $(FAULT_AT)

faults: all $(SUPERVISE) faults-box ## that, and the daemon with a manager at every system call: half an hour
	FAULTS=$(FAULTS) SUPERVISE=$(CURDIR)/$(SUPERVISE) test/netns/run test_faults

# --- fuzzing -----------------------------------------------------------------------------------------------------
FUZZ      := $(patsubst test/fuzz/%.c,%,$(wildcard test/fuzz/fuzz_*.c))
FUZZ_TIME ?= 30
# The oracle of fuzz_cms; nothing else here links it.
LIBS_fuzz_fuzz_cms := -lcrypto

$(B)/fuzz/%: $(O)/test/fuzz/%.o $(call LIBS_OF,agent) | $(MHD_PLAIN)
	@mkdir -p $(@D)
	$(call say,LD)
	$(Q)$(LD_ALL) -fsanitize=fuzzer -o $@ $^ $(LIBS_agent) $(LIBS_fuzz_$*)

fuzz-run: $(FUZZ:%=$(B)/fuzz/%)
	@test/run-fuzz.sh $(FUZZ_TIME) $^

# One build for the unit tests under the sanitizers and for fuzzing; what a report shows needs no more than -g1.
SAN_CFLAGS ?= -O1 -g1
SAN_CLANG := CC=clang CFLAGS='$(SAN_CFLAGS)'
SAN_BUILD := B=build-san PACKAGES=$(PACKAGES) $(SAN_CLANG) SANITIZE=fuzzer-no-link,address,undefined

fuzz: ## run each fuzz target for FUZZ_TIME seconds (30)
	$(MAKE) $(SAN_BUILD) fuzz-run

# --- the checks, one by one and all together ----------------------------------------------------------------------
layers: ## which room includes which, and which library
	@test/layers.sh

lint: layers ## layers, cppcheck, manual pages
	mandoc -T lint -W warning etc/man/*
	cppcheck --quiet --error-exitcode=1 --std=c11 --enable=warning,performance,portability --inline-suppr \
	  --suppressions-list=test/cppcheck.txt -j $(shell nproc) -I. -DBUILD_EPOCH=0 -DVERSION='""' -DSYSCONFDIR='""' \
	  $(ROOMS)

# Done once more, every FAULT_STRIDE-th step is enough of the one that takes longest.
FAULT_STRIDE ?= 4

unit-san: ## the unit tests under address and undefined-behaviour sanitizers
	FAULT_STRIDE=$(FAULT_STRIDE) $(MAKE) $(SAN_BUILD) unit

check-36: ## build with mbedTLS 3.6 (Debian 13's), run the unit tests and the end-to-end tests about TLS
	eval FAULT_STRIDE=$(FAULT_STRIDE) $(MAKE) B=build-36 PACKAGES=$(PACKAGES) O=$(O) MBED_O=build-36/obj \
	  $$(test/mbedtls36.sh build-36/mbedtls) all unit
	FGFMD=$(CURDIR)/build-36/fgfmd FGFMCTL=$(CURDIR)/build-36/fgfmctl test/netns/run test_tls test_identity test_package

unit-gcm: $(filter $(B)/unit/test_base_gcm_%,$(UNIT_BIN)) $(B)/unit/test_base_mbed $(B)/unit/test_agent_tls
	@test/run-unit.sh $^

check-gcm: check-gcm-both ## build with GCM=nettle, for mbedTLS 2.28 and 3.6, shared and static, and test it
	$(MAKE) GCM=nettle B=build-gcm-san $(SAN_CLANG) SANITIZE=address,undefined unit-gcm
	$(MAKE) GCM=nettle B=build-gcm-static MBEDTLS_LIBS='-l:libmbedtls.a -l:libmbedx509.a -l:libmbedcrypto.a' unit-gcm
	$(MAKE) GCM=nettle B=build-gcm all
	FGFMD=$(CURDIR)/build-gcm/fgfmd FGFMCTL=$(CURDIR)/build-gcm/fgfmctl test/netns/run test_tls test_session

# The part of it that everybody runs: one build for either mbedTLS.
check-gcm-both:
	$(MAKE) GCM=nettle B=build-gcm O=$(O) unit-gcm
	eval $(MAKE) GCM=nettle B=build-gcm-36 O=$(O) MBED_O=build-36/obj $$(test/mbedtls36.sh build-36/mbedtls) all unit-gcm
	FGFMD=$(CURDIR)/build-gcm-36/fgfmd FGFMCTL=$(CURDIR)/build-gcm-36/fgfmctl test/netns/run test_tls

# Measured by `make bench`; the end-to-end tests see that they run.
BENCH := $(B)/bench/engine $(B)/bench/routes $(B)/bench/package

e2e: all $(B)/test/fetch $(SUPERVISE) $(BENCH) ## end-to-end tests against the lab manager, between network namespaces (root)
	/usr/bin/pytest-3 -q test/lab
	/usr/bin/pytest-3 -q -p no:cacheprovider test/vm
	test/netns/run

# Those whose devices many kernels lack. The machine's has them.
VM_UNIT  := test_tun_netlink_make test_agent_apply_interface
CHECK_VM := test/vm/check-vm $(B) $(VM_UNIT)

check-vm: ## install what is missing; a real reboot and a power cut in a virtual machine (1 to 3 minutes, no KVM)
	test/deps.sh vm
	$(MAKE) $(JOBS) all $(VM_UNIT:%=$(B)/unit/%)
	$(CHECK_VM)

check: ## install what is missing and run every test (root)
	test/deps.sh test
	$(MAKE) check-all

# The virtual machine is an x86-64 one, with this machine's programs in it.
VM_CHECK := $(if $(filter x86_64,$(shell uname -m)),$(CHECK_VM),@echo "check-vm: left out, not on x86-64")

check-all: ## every test, with nothing installed before
	$(MAKE) $(JOBS) all
	test/choices.sh $(B) GCM=$(if $(filter stock,$(GCM)),nettle,stock) MONITOR=$(if $(filter yes,$(MONITOR)),no,yes) \
	  $(if $(MHD_PLAIN),MHD_LIBS=-lmicrohttpd)
	$(MAKE) lint
	$(MAKE) $(JOBS) unit
	$(MAKE) $(JOBS) unit-san
	$(MAKE) $(JOBS) check-36
	$(MAKE) $(JOBS) check-gcm-both
	$(MAKE) $(JOBS) fuzz
	$(if $(SUPERVISE),$(MAKE) $(JOBS) faults-box FAULTS=16)
	$(MAKE) -j2 e2e vm-check
	@echo "check: everything passed"

# Beside the end-to-end tests, which wait more than they compute.
vm-check: all
	$(VM_CHECK)

# What takes hours. SESSIONS, LONG (seconds): how many, and how long.
SESSIONS ?= 10000
LONG     ?= 3600

check-long: ## 10,000 sessions in a row, then an hour (LONG=3600) of mixed traffic under the sanitizers (root)
	test/deps.sh test
	$(MAKE) $(JOBS) all
	test/long/sessions --count $(SESSIONS)
	$(MAKE) $(JOBS) $(SAN_BUILD) all
	FGFMD=$(CURDIR)/build-san/fgfmd FGFMCTL=$(CURDIR)/build-san/fgfmctl test/long/mixed --seconds $(LONG)

demo: ## install what is missing, build, and show the main job on this machine (root)
	test/deps.sh demo
	$(MAKE) $(JOBS) all
	test/demo

# --- the tunnel's benchmark: programs of its own, on OpenSSL and on the libraries that could compute AES-GCM -------------
BENCH_PROGRAMS  := manager traffic bare gcm
LIBS_bench_manager := -lssl -lcrypto
LIBS_bench_bare    := $(LIBS_base) -lssl -lcrypto
LIBS_bench_gcm     := -lmbedcrypto -lcrypto -lnettle -lsodium
$(B)/bench/manager: $(O)/test/bench/offload.o
$(B)/bench/bare: $(call ROOM_LIB,base)
$(B)/bench/%: $(O)/test/bench/%.o
	@mkdir -p $(@D)
	$(call say,LD)
	$(Q)$(LD_ALL) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(LIBS_bench_$*)

bench-programs: $(BENCH_PROGRAMS:%=$(B)/bench/%)

BENCH_ENV := FGFMD=$(CURDIR)/$(B)/fgfmd FGFMCTL=$(CURDIR)/$(B)/fgfmctl BENCH=$(CURDIR)/$(B)/bench

bench-tunnel: all ## install what is missing and measure the tunnel beside other VPN clients (root)
	test/deps.sh bench
	$(MAKE) bench-programs
	$(B)/bench/gcm
	$(BENCH_ENV) test/bench/tunnel $(BENCH_CASES)

bench-fleet: all ## measure 200 agents at one manager, and how they come back after its restart (root)
	test/bench/fleet

soak: all ## run the tunnel at full load for ten minutes, with resets all along (root)
	test/deps.sh bench
	$(MAKE) bench-programs
	$(BENCH_ENV) test/bench/soak

# --- and those of the configuration engine and of packages -----------------------------------------------------------
$(B)/bench/engine: $(O)/test/bench/engine.o $(call LIBS_OF,config)
	@mkdir -p $(@D)
	$(call say,LD)
	$(Q)$(LD_ALL) -o $@ $^ $(LIBS_config)

$(B)/bench/routes: $(O)/test/bench/routes.o $(call LIBS_OF,agent) | $(MHD_PLAIN)
	@mkdir -p $(@D)
	$(call say,LD)
	$(Q)$(LD_ALL) -o $@ $^ $(LIBS_agent)

$(B)/bench/package: $(O)/test/bench/package.o $(call LIBS_OF,package)
	@mkdir -p $(@D)
	$(call say,LD)
	$(Q)$(LD_ALL) -o $@ $^ $(LIBS_package)

bench-packages: $(B)/bench/package ## measure verifying and installing packages beside openssl and rauc (1 GB in /tmp, 2 in /dev/shm)
	test/deps.sh bench
	test/bench/packages --build $(B)

bench: all $(BENCH) ## measure footprint, start, a fleet; configuration, packages and the tunnel beside their peers (root)
	$(BENCH_ENV) test/bench/bench
	$(MAKE) B=$(B)/no-monitor O=$(O) MONITOR=no all
	FGFMD=$(CURDIR)/$(B)/no-monitor/fgfmd FGFMCTL=$(CURDIR)/$(B)/no-monitor/fgfmctl test/bench/bench --idle 0
	test/bench/config --build $(B)
	$(MAKE) bench-packages
	$(MAKE) bench-fleet
	$(MAKE) bench-tunnel

deps: ## install what building and testing need (Debian 12 and 13; root)
	test/deps.sh test

# --- installing ----------------------------------------------------------------------------------------------------
install: all ## install below DESTDIR and PREFIX (/usr/local), SYSCONFDIR (/etc)
	install -d $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(SYSCONFDIR)/fgfmd/schema.d
	install -m 755 $(B)/fgfmd $(DESTDIR)$(PREFIX)/sbin/fgfmd
	install -m 755 $(B)/fgfmctl $(DESTDIR)$(PREFIX)/bin/fgfmctl
	install -d $(DESTDIR)$(PREFIX)/share/man/man1 $(DESTDIR)$(PREFIX)/share/man/man5 $(DESTDIR)$(PREFIX)/share/man/man8
	install -m 644 etc/man/fgfmctl.1 $(DESTDIR)$(PREFIX)/share/man/man1/
	install -m 644 etc/man/fgfmd.conf.5 etc/man/fgfmd-schema.5 $(DESTDIR)$(PREFIX)/share/man/man5/
	install -m 644 etc/man/fgfmd.8 $(DESTDIR)$(PREFIX)/share/man/man8/
	install -d $(DESTDIR)$(PREFIX)/share/doc/fgfmd
	install -m 644 README.md LICENSE etc/sys_config.conf etc/schema.schema.json $(DESTDIR)$(PREFIX)/share/doc/fgfmd/
	install -d $(DESTDIR)$(PREFIX)/share/doc/fgfmd/handlers $(DESTDIR)$(SYSCONFDIR)/fgfmd/handlers
	install -m 644 etc/handlers/* $(DESTDIR)$(PREFIX)/share/doc/fgfmd/handlers/
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system $(DESTDIR)$(PREFIX)/lib/sysusers.d \
	  $(DESTDIR)$(PREFIX)/lib/tmpfiles.d
	sed 's,@PREFIX@,$(PREFIX),; s,@SYSCONFDIR@,$(SYSCONFDIR),' etc/fgfmd.service \
	  > $(DESTDIR)$(PREFIX)/lib/systemd/system/fgfmd.service
	install -m 644 etc/fgfmd.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/fgfmd.conf
	install -m 644 etc/fgfmd.tmpfiles $(DESTDIR)$(PREFIX)/lib/tmpfiles.d/fgfmd.conf
	test -e $(DESTDIR)$(SYSCONFDIR)/fgfmd/fgfmd.conf || \
	  install -m 644 etc/fgfmd.conf $(DESTDIR)$(SYSCONFDIR)/fgfmd/fgfmd.conf

clean: ## remove what was built
	rm -rf $(B) build-*

help: ## this list
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

.PHONY: all unit faults faults-box fuzz fuzz-run layers lint unit-san check-36 unit-gcm check-gcm check-gcm-both e2e check-vm vm-check check check-all check-long demo bench bench-packages bench-programs bench-fleet bench-tunnel soak deps install clean help
.SECONDARY:
-include $(shell find $(sort $(B) $(O) $(MBED_O)) -name '*.d' 2>/dev/null | sort -u)
