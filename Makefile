# SPDX-License-Identifier: Apache-2.0
# Hearth's build. `make help` lists the targets; the sections below are in the order of a build:
# settings, what is found here, what is compiled, how it is linked, checks, packages, install.

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules --no-print-directory
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c

# ---- settings: each can be given on the command line ----------------------------------------

ifeq ($(origin CC),default)
CC := gcc
endif
CFLAGS     ?= -O2 -g
LDFLAGS    ?=
VARIANT    ?= plain#           plain, release, asan, ubsan, asan-ubsan, tsan, fuzz or coverage
TESTS      ?=#                 only test programs whose path contains this word
JOBS       ?= $(shell nproc)#  for the targets that build and test in one go
DESTDIR    ?=
PREFIX     ?= /usr/local
LIBDIR      = $(PREFIX)/lib
INCLUDEDIR  = $(PREFIX)/include
V          ?= 0#               1: show the commands
Q          := $(if $(filter 1,$(V)),,@)
# Scripts run with any Python, the binding's tests with Debian's, which sees its packages, or with
# PYTHON= if that is given.
BINDING_PYTHON := $(if $(PYTHON),$(PYTHON),/usr/bin/python3)
PYTHON     ?= python3

# The makefile's comments behind values leave blanks: these are the clean words.
VARIANT := $(strip $(VARIANT))
JOBS    := $(strip $(JOBS))

# The version is written once, in the public header.
version_part = $(shell sed -n 's/^\#define $(1) *//p' include/hearth/version.h)
MAJOR   := $(call version_part,HEARTH_VERSION_MAJOR)
MINOR   := $(call version_part,HEARTH_VERSION_MINOR)
PATCH   := $(call version_part,HEARTH_VERSION_PATCH)
ABI     := $(call version_part,HEARTH_ABI_VERSION)
VERSION := $(MAJOR).$(MINOR).$(PATCH)

# ---- flags ----------------------------------------------------------------------------------

WARNINGS := -Wall -Wextra -Werror -Wshadow -Wconversion -Wsign-conversion -Wstrict-prototypes \
            -Wmissing-prototypes -Wcast-qual -Wvla -Wformat=2 -Wundef

SANITIZE_asan  := -fsanitize=address -fno-omit-frame-pointer
SANITIZE_ubsan := -fsanitize=undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
SANITIZE_asan-ubsan := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
SANITIZE_tsan  := -fsanitize=thread -fno-omit-frame-pointer
SANITIZE_fuzz  := -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all \
                  -fno-omit-frame-pointer -fsanitize-coverage-ignorelist=tests/fuzz/uncounted.txt
OPTIMIZE_release := -O3

ifeq ($(filter $(VARIANT),plain release asan ubsan asan-ubsan tsan fuzz coverage),)
$(error VARIANT=$(VARIANT) is none of plain, release, asan, ubsan, asan-ubsan, tsan, fuzz, coverage)
endif
SANITIZE := $(SANITIZE_$(VARIANT))
# The library alone counts what of it ran, and is not optimized, which would make one line of several.
COVERAGE := $(if $(filter coverage,$(VARIANT)),--coverage)

# Each part of the tree sees what it may include.
INCLUDE_sdk   := -Iinclude -Isdk
INCLUDE_bench := -Iinclude -Isdk -Ibench -Itests
INCLUDE_tests := -Iinclude -Isdk -Ibench -Itests
# What is installed is hardened; the sanitizers have checks of their own, and glibc's need an optimizer.
OPTIMIZED := $(and $(if $(SANITIZE)$(COVERAGE),,yes),$(filter -O1 -O2 -O3 -Os,$(CFLAGS) $(OPTIMIZE_$(VARIANT))))
HARDEN    := $(if $(OPTIMIZED),-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3) $(if $(SANITIZE),,-fstack-protector-strong)
HARDEN_LINK := -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack
# The library never ends the process, so the assertions in other people's macros are off. What a loader in C++ throws goes
# through the library's frames, which let go what they hold.
PART_FLAGS_sdk := -fPIC -DNDEBUG -fexceptions $(HARDEN) $(if $(COVERAGE),$(COVERAGE) -fprofile-update=atomic -O0)

COMPILE_FLAGS = -std=c11 -D_GNU_SOURCE $(WARNINGS) -fvisibility=hidden -pthread \
                $(FOUND_CFLAGS) $(CFLAGS) $(OPTIMIZE_$(VARIANT)) $(SANITIZE)
# C++ is for the tests of what C++ programs include.
CXX_FLAGS     = -std=c++17 -D_GNU_SOURCE -Wall -Wextra -Werror -Wshadow -Wconversion -Wsign-conversion -pedantic \
                -pthread $(FOUND_CFLAGS) $(CFLAGS) $(OPTIMIZE_$(VARIANT)) $(SANITIZE)
CXX_OF        = $(if $(findstring clang,$(notdir $(CC))),clang++,g++)
LINK_FLAGS    = $(CFLAGS) $(OPTIMIZE_$(VARIANT)) $(SANITIZE) $(COVERAGE) $(LDFLAGS) -pthread -Wl,--as-needed

# ---- what is found on this machine ----------------------------------------------------------
# Every library as name:package. A missing one is told by its package, before any compiler runs.

PKG_CONFIG   ?= pkg-config
NEED_LIBRARY := hiredis:libhiredis-dev libmemcached:libmemcached-dev hashkit:libhashkit-dev \
                libxxhash:libxxhash-dev uthash:uthash-dev
NEED_BENCH   := sqlite3:libsqlite3-dev libzstd:libzstd-dev zlib:zlib1g-dev libevent:libevent-dev
NEED_TESTS   := cmocka:libcmocka-dev jansson:libjansson-dev python3:python3
NEED_LINT    := python3:python3 g++:g++ clang:clang clang-format:clang-format \
                clang-tidy:clang-tidy shellcheck:shellcheck mypy:mypy
NEED_COVERAGE := gcovr:gcovr
NEED_ANALYZE := cppcheck:cppcheck
NEED_ABI     := abidiff:abigail-tools cmocka:libcmocka-dev jansson:libjansson-dev

# Targets that compile nothing here need to look for nothing either.
QUIET_GOALS := help clean deps deps-test format uninstall test test-all demo check-asan check-ubsan check-tsan \
               check-mutations fuzz
ifneq ($(filter-out $(QUIET_GOALS),$(or $(MAKECMDGOALS),all)),)
found = $(shell $(PKG_CONFIG) --modversion $(1) 2>/dev/null)
header = $(if $(shell $(CC) -E -include $(1) -x c /dev/null >/dev/null 2>&1 && echo yes),$(2))
FOUND_hiredis      := $(call found,hiredis)
FOUND_libmemcached := $(call found,libmemcached)
FOUND_libxxhash    := $(call found,libxxhash)
FOUND_sqlite3      := $(call found,sqlite3)
FOUND_libzstd      := $(call found,libzstd)
FOUND_zlib         := $(call found,zlib)
FOUND_libevent     := $(call found,libevent)
FOUND_cmocka       := $(call found,cmocka)
FOUND_jansson      := $(call found,jansson)
# These two bring no pkg-config file. hashkit has libmemcached's version.
FOUND_hashkit      := $(call header,libhashkit/hashkit.h,$(or $(FOUND_libmemcached),yes))
FOUND_uthash       := $(call header,uthash.h,yes)
FOUND_CC           := $(shell $(CC) -dumpfullversion -dumpversion 2>/dev/null)
# Other people's headers are system headers: our warnings are for our code.
# libmemcached is not asked for its flags: its file needs those of its own dependencies.
FOUND_CFLAGS := $(patsubst -I%,-isystem %,$(shell $(PKG_CONFIG) --cflags hiredis libxxhash 2>/dev/null))
DEPENDENCY_DIRS := $(strip $(shell $(PKG_CONFIG) --libs-only-L hiredis 2>/dev/null))
endif
$(foreach tool,python3 g++ clang clang-format clang-tidy shellcheck mypy gcovr cppcheck abidiff,\
    $(eval FOUND_$(tool) = $$(shell command -v $(tool))))

# What a program needs besides libhearth.a. -lhashkit has no pkg-config file.
PRIVATE_LIBS := $(strip $(DEPENDENCY_DIRS) -lhiredis -lmemcached -lhashkit -pthread -lm)
BENCH_LIBS   := -lsqlite3 -lzstd -lz
BENCH_LIBS_appserver := -levent_core -levent_extra
TEST_LIBS    := -lcmocka

missing = $(foreach need,$(1),$(if $(FOUND_$(firstword $(subst :, ,$(need)))),,\
          $(lastword $(subst :, ,$(need)))))
# $(1) the needs, $(2) the target that installs them
refuse_missing = $(if $(FOUND_CC),$(if $(strip $(call missing,$(1))),\
    @echo "missing: $(strip $(call missing,$(1))). Run 'make $(2)'." >&2; exit 1,@:),\
    @echo "missing: the compiler $(CC). Run 'make $(2)'." >&2; exit 1)

# ---- where things are built -----------------------------------------------------------------
# Objects lie under a hash of compiler and flags, so that changed flags never meet old objects.

OUT := build/$(VARIANT)$(if $(filter-out gcc,$(notdir $(CC))),-$(subst /,_,$(notdir $(CC))))
ifneq ($(FOUND_CC),)
HASH := $(shell printf '%s\n' '$(CC) $(FOUND_CC) $(subst ','\'',$(COMPILE_FLAGS) $(PART_FLAGS_sdk) $(LDFLAGS))' \
        | sha256sum | cut -c1-12)
endif
OBJ := $(OUT)/obj-$(HASH)

LIB_SOURCES   := $(sort $(wildcard sdk/*/*.c))
# The demo and the tests start servers in the same way; that part needs no test library.
SERVERS       := tests/support/keeper.c tests/support/servers.c $(sort $(wildcard tests/support/proxy*.c))
BENCH_SHARED  := $(sort $(wildcard bench/*.c)) $(SERVERS)
BENCH_NAMES   := $(sort $(patsubst bench/%/,%,$(dir $(wildcard bench/*/*.c))))
ALL_TESTS     := $(sort $(wildcard tests/*/*.c tests/*/*/*.c))
TEST_SOURCES  := $(foreach file,$(ALL_TESTS),$(if $(filter test_%.c,$(notdir $(file))),$(file)))
# Every other file under tests/ (support/, contract suites) is shared by the test programs.
TEST_SHARED   := $(filter-out $(TEST_SOURCES) tests/fuzz/% tests/mutations/% tests/install/% \
                 tests/simulation/% tests/soak/% tests/fault/system_calls.c,$(ALL_TESTS))

CXX_TESTS     := $(sort $(wildcard tests/*/test_*.cc))

objects = $(patsubst %.c,$(OBJ)/%.o,$(1))
LIB_OBJECTS    := $(call objects,$(LIB_SOURCES))
# Python loads the shared library, which a sanitizer's build does not have.
NEED_SHARED    := tests/api/test_sink_python.c
# ThreadSanitizer has a thread of its own, and lets no forked child start any.
NEED_THREADED_CHILDREN := tests/tier/test_lease_processes.c tests/api/test_fork.c
LEFT_OUT       := $(if $(SANITIZE),$(NEED_SHARED)) $(if $(filter tsan,$(VARIANT)),$(NEED_THREADED_CHILDREN))
PYTHON_TESTS   := $(if $(SANITIZE),,$(sort $(wildcard bindings/python/tests/test_*.py)))
TEST_PROGRAMS  := $(patsubst %.c,$(OUT)/%,$(filter-out $(LEFT_OUT),$(TEST_SOURCES))) \
                  $(CXX_TESTS:%.cc=$(OUT)/%) $(PYTHON_TESTS)
BENCH_PROGRAMS := $(addprefix $(OUT)/bench/,$(BENCH_NAMES))

STATIC_LIB := $(OUT)/libhearth.a
SHARED_LIB := $(OUT)/libhearth.so.$(ABI).$(MINOR).$(PATCH)
SONAME     := libhearth.so.$(ABI)
PC_FILE    := $(OUT)/hearth.pc
TEST_LIB   := $(OUT)/libhearth-testing.a
BENCH_LIB  := $(OUT)/libhearth-bench.a

# A sanitizer's runtime belongs to the program, so there the library is linked statically only.
LIBRARIES := $(STATIC_LIB) $(if $(SANITIZE),,$(SHARED_LIB)) $(PC_FILE)

# Targets that call make again build in parallel, unless the caller said how.
PARALLEL = $(if $(findstring -j,$(MAKEFLAGS)),,-j$(JOBS))

# ---- the default: library and harness -------------------------------------------------------

.PHONY: all lib bench-programs test-programs found
all: lib bench-programs
lib: found $(LIBRARIES)
bench-programs: found $(BENCH_PROGRAMS)
test-programs: found $(TEST_PROGRAMS)

found: | need-library
	@echo "hearth $(VERSION), $(VARIANT), $(CC) $(FOUND_CC). Found:$(foreach need,$(NEED_LIBRARY) \
	$(NEED_BENCH) cmocka:,$(call say_found,$(firstword $(subst :, ,$(need)))))"
say_found = $(if $(FOUND_$(1)),$(if $(filter yes,$(FOUND_$(1))),$(1),$(1)-$(FOUND_$(1))),no-$(1))

.PHONY: need-library need-bench need-tests need-lint need-coverage need-analyze need-abi
need-library:
	$(call refuse_missing,$(NEED_LIBRARY),deps)
need-bench:
	$(call refuse_missing,$(NEED_BENCH),deps)
need-tests:
	$(call refuse_missing,$(NEED_BENCH) $(NEED_TESTS),deps-test)
need-lint:
	$(call refuse_missing,$(NEED_LINT),deps-test)
need-abi:
	$(call refuse_missing,$(NEED_ABI),deps-test)
need-coverage:
	$(call refuse_missing,$(NEED_COVERAGE),deps-test)
need-analyze:
	$(call refuse_missing,$(NEED_ANALYZE),deps-test)

# ---- compile --------------------------------------------------------------------------------

$(OBJ)/%.o: %.c | need-library
	@mkdir -p $(@D)
	@echo "  CC    $<"
	$(Q)$(CC) $(COMPILE_FLAGS) $(INCLUDE_$(firstword $(subst /, ,$<))) \
	    $(PART_FLAGS_$(firstword $(subst /, ,$<))) -MMD -MP -c -o $@ $<

$(OBJ)/%.o: %.cc | need-library
	@mkdir -p $(@D)
	@echo "  CXX   $<"
	$(Q)$(CXX_OF) $(CXX_FLAGS) -Iinclude -MMD -MP -c -o $@ $<

$(call objects,$(wildcard bench/*.c bench/*/*.c)): | need-bench
$(call objects,$(filter-out $(SERVERS),$(ALL_TESTS))): | need-tests

-include $(patsubst %.o,%.d,$(call objects,$(LIB_SOURCES) $(BENCH_SHARED) $(ALL_TESTS) \
    $(wildcard bench/*/*.c)) $(CXX_TESTS:%.cc=$(OBJ)/%.o))

# The page's looks are built in.
$(call objects,bench/page.c): bench/page.html

# A file that names the flags and the sources: it changes when a link must be done again although
# no object is newer (a source was removed, the flags went back to older objects, or this file has
# other rules).
MANIFEST := $(OUT)/manifest
$(MANIFEST): FORCE
	@mkdir -p $(@D)
	@{ echo '$(OBJ) $(LIB_SOURCES) $(BENCH_SHARED) $(TEST_SHARED)'; cksum Makefile; } >$@.new
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi
.PHONY: FORCE
FORCE:

# ---- link -----------------------------------------------------------------------------------

define archive
@mkdir -p $(@D)
@echo "  AR    $@"
@rm -f $@
$(Q)ar qcsD $@ $(filter %.o,$^)
endef

$(STATIC_LIB): $(LIB_OBJECTS) $(MANIFEST)
	$(archive)
$(TEST_LIB): $(call objects,$(TEST_SHARED)) $(MANIFEST)
	$(archive)
$(BENCH_LIB): $(call objects,$(BENCH_SHARED)) $(MANIFEST)
	$(archive)

$(SHARED_LIB): $(LIB_OBJECTS) sdk/api/libhearth.map $(MANIFEST)
	@echo "  LD    $@"
	$(Q)$(CC) -shared -o $@ $(filter %.o,$^) $(LINK_FLAGS) -Wl,-soname,$(SONAME) \
	    -Wl,--version-script=sdk/api/libhearth.map -Wl,-z,defs -Wl,-z,nodelete \
	    $(HARDEN_LINK) $(PRIVATE_LIBS)
	$(Q)ln -sf $(@F) $(OUT)/$(SONAME)
	$(Q)ln -sf $(SONAME) $(OUT)/libhearth.so

define link
@mkdir -p $(@D)
@echo "  LD    $@"
$(Q)$(or $(LINKER),$(CC)) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(LINK_FLAGS)
endef

# bench/NAME/*.c is one program; bench/*.c is shared by all of them.
define bench_program
$(OUT)/bench/$(1): $$(call objects,$$(wildcard bench/$(1)/*.c)) $(BENCH_LIB) $(STATIC_LIB) $(MANIFEST)
	$$(link) $(PRIVATE_LIBS) $(BENCH_LIBS) $$(BENCH_LIBS_$(1))
endef
$(foreach name,$(BENCH_NAMES),$(eval $(call bench_program,$(name))))

$(CXX_TESTS:%.cc=$(OUT)/%): LINKER = $(CXX_OF)

# A test that runs a program needs it.
$(addprefix $(OUT)/tests/bench/,test_hearth_bench test_doctor): | $(OUT)/bench/hearth-bench

$(OUT)/tests/%: $(OBJ)/tests/%.o $(TEST_LIB) $(BENCH_LIB) $(STATIC_LIB) $(MANIFEST)
	$(link) $(PRIVATE_LIBS) $(BENCH_LIBS) $(TEST_LIBS)

$(NEED_SHARED:%.c=$(OUT)/%) $(PYTHON_TESTS): | $(SHARED_LIB)

# What the fuzzers found so far is an ordinary test.
$(OUT)/tests/fuzz/test_corpus: $(call objects,$(filter-out %/test_corpus.c,$(wildcard tests/fuzz/*.c)))

# The simulation's clocks, waits, sockets and servers are in the place of the library's and the system's.
SIMULATED := pthread_join pthread_mutex_lock pthread_mutex_trylock pthread_mutex_unlock pthread_cond_timedwait \
             pthread_cond_broadcast nanosleep hearth__remote_connect eventfd read write close recv send poll
$(OUT)/tests/simulation/test_simulation: $(call objects,$(filter-out %/test_simulation.c,$(wildcard tests/simulation/*.c)))
$(OUT)/tests/simulation/test_simulation: PRIVATE_LIBS += $(SIMULATED:%=-Wl,--wrap=%)

# Calls of the system go through what makes them fail.
$(patsubst %.c,$(OUT)/%,$(wildcard tests/fault/test_system_*.c)): $(call objects,tests/fault/system_calls.c)
$(OUT)/tests/fault/test_system_calls: PRIVATE_LIBS += -Wl,--wrap=hearth__remote_open -Wl,--wrap=hearth__nodes_now_ms \
    -Wl,--wrap=hearth__bus_create
$(OUT)/tests/fault/test_allocations_bus: PRIVATE_LIBS += -Wl,--wrap=hearth__bus_create

# Its cases are JSON.
$(OUT)/tests/conformance/test_conformance: TEST_LIBS += -ljansson

# Its test runs the demo, and so on.
$(OUT)/tests/bench/test_demo: | $(OUT)/bench/demo
$(OUT)/tests/bench/test_appserver: | $(OUT)/bench/appserver

# Rewritten only when its text changes, so that `make install` with another PREFIX is right.
$(PC_FILE): sdk/api/hearth.pc.in FORCE
	@mkdir -p $(@D)
	@sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(patsubst $(PREFIX)/%,$${prefix}/%,$(LIBDIR))|' \
	    -e 's|@INCLUDEDIR@|$(patsubst $(PREFIX)/%,$${prefix}/%,$(INCLUDEDIR))|' \
	    -e 's|@VERSION@|$(VERSION)|' -e 's|@PRIVATE_LIBS@|$(PRIVATE_LIBS)|' $< >$@.new
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

# ---- tests ----------------------------------------------------------------------------------

.PHONY: check check-asan check-ubsan check-tsan check-install check-abi check-mutations test test-all
SELECTED_TESTS := $(if $(strip $(TESTS)),$(foreach program,$(TEST_PROGRAMS),\
                  $(if $(findstring $(strip $(TESTS)),$(program)),$(program))),$(TEST_PROGRAMS))

check: found $(SELECTED_TESTS)
	$(Q)HEARTH_LIBRARY="$(abspath $(OUT)/$(SONAME))" PYTHONDONTWRITEBYTECODE=1 \
	    $(PYTHON) tests/run.py --timeout $(if $(HEARTH_LONG),3600,$(if $(SANITIZE)$(COVERAGE),600,120)) \
	    --beside tests/contract/ --python "$(BINDING_PYTHON)" $(SELECTED_TESTS)

check-asan check-ubsan check-tsan:
	$(Q)$(MAKE) $(PARALLEL) check VARIANT=$(@:check-%=%)

check-install: lib
	$(Q)MAKE="$(MAKE)" tests/install/check.sh

# BASE= another revision than the last released version.
check-abi: lib | need-abi
	$(Q)MAKE="$(MAKE)" tests/install/abi.sh $(SHARED_LIB) $(SONAME) $(BASE)

# OPS= reads of either kind of server; SEED= repeats a run as far as the machine lets it.
.PHONY: check-coherence
OPS ?= 1000000
check-coherence: found $(OUT)/tests/coherence/test_checker
	$(Q)HEARTH_OPS=$(OPS) $(if $(SEED),HEARTH_SEED=$(SEED)) $(OUT)/tests/coherence/test_checker

# TESTS= takes those patches with the word in their name.
check-mutations:
	$(Q)MAKE="$(MAKE)" $(PYTHON) tests/mutations.py --build $(OUT) --jobs $(JOBS) $(TESTS)

# Each sanitizer with one compiler, and those that can be in one program are in one, for the sake of
# time; `make test-all` has every pair. With TESTS= only programs run.
COMPILERS := gcc clang
GATES     := $(if $(strip $(TESTS)),,"lint CC=gcc VARIANT=plain")
RELEASE   := $(if $(strip $(TESTS)),,"all CC=gcc VARIANT=release")# whose optimizer warns of more
INSTALL   := $(if $(strip $(TESTS)),,"check-install CC=gcc VARIANT=plain")
MUTATIONS := $(if $(strip $(TESTS)),,"check-mutations CC=gcc VARIANT=plain")
SHORT_RUN := $(GATES) $(RELEASE) "check CC=gcc VARIANT=plain" $(INSTALL) \
             "check CC=clang VARIANT=asan-ubsan" "check CC=gcc VARIANT=tsan"
FULL_RUN  := $(GATES) $(INSTALL) $(foreach variant,plain release asan ubsan tsan,\
             $(foreach compiler,$(COMPILERS),"check CC=$(compiler) VARIANT=$(variant)")) $(MUTATIONS)

test: deps deps-test
	$(Q)MAKE="$(MAKE) $(PARALLEL)" tests/stages.sh $(SHORT_RUN)
test-all: deps deps-test
	$(Q)HEARTH_LONG=1 MAKE="$(MAKE) $(PARALLEL)" tests/stages.sh $(FULL_RUN)

# The README's table of options, from the library's own.
.PHONY: update-readme
update-readme: found $(OUT)/tests/api/test_readme
	$(Q)$(OUT)/tests/api/test_readme --update

# ---- fuzzing ---------------------------------------------------------------------------------
# libFuzzer with AddressSanitizer and UBSan over the parsers of what servers say. What it has learned
# stays in build/, so that the next run goes on from there; what made it stop is for a test.

.PHONY: fuzz run-fuzzers
FUZZ_RUNS    ?= 10000000#       executions of each, and
FUZZ_SECONDS ?= 60#             at most so long, 0: no bound
FUZZERS      := $(patsubst tests/fuzz/fuzz_%.c,%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
# TESTS= takes those with the word in their name.
SELECTED_FUZZERS := $(if $(strip $(TESTS)),$(foreach fuzzer,$(FUZZERS),\
                    $(if $(findstring $(strip $(TESTS)),$(fuzzer)),$(fuzzer))),$(FUZZERS))

fuzz:
	$(Q)$(MAKE) $(PARALLEL) run-fuzzers CC=clang VARIANT=fuzz
run-fuzzers: found $(SELECTED_FUZZERS:%=$(OUT)/fuzz_%)
	$(Q)$(PYTHON) tests/fuzz/run.py --runs $(strip $(FUZZ_RUNS)) --seconds $(strip $(FUZZ_SECONDS)) \
	    $(OUT) $(SELECTED_FUZZERS)
$(OUT)/fuzz_%: $(OBJ)/tests/fuzz/fuzz_%.o $(addprefix $(OBJ)/tests/fuzz/,file.o pieces.o) $(BENCH_LIB) $(STATIC_LIB) $(MANIFEST)
	@echo "  LD    $@"
	$(Q)$(CC) -o $@ $(filter %.o,$^) $(filter %.a,$^) -fsanitize=fuzzer $(LINK_FLAGS) \
	    -Wl,--defsym=LLVMFuzzerTestOneInput=fuzz_$* $(PRIVATE_LIBS) $(BENCH_LIBS)

# ---- coverage --------------------------------------------------------------------------------
# What of the library the test programs run: gcc counts, gcovr sums up. `check VARIANT=coverage` adds to the counts,
# `report-coverage VARIANT=coverage` is their sum so far.

.PHONY: coverage run-coverage report-coverage
coverage: | need-coverage
	$(Q)$(MAKE) $(PARALLEL) run-coverage CC=gcc VARIANT=coverage
run-coverage: | need-coverage
	$(Q)find $(OBJ) -name '*.gcda' -delete 2>/dev/null || true
	$(Q)$(MAKE) check
	$(Q)$(MAKE) report-coverage
report-coverage: | need-coverage
	$(Q)gcovr --root . --object-directory $(OBJ)/sdk --filter 'sdk/' --exclude-throw-branches --json-summary \
	    -o $(OUT)/coverage.json $(OBJ)/sdk && $(PYTHON) tests/coverage.py --lines 90 --branches 80 $(OUT)/coverage.json

# ---- simulation ------------------------------------------------------------------------------

.PHONY: simulate
SEEDS ?= 1000
# OPS= has another default for other checks.
simulate: OPS_OF_A_SEED = $(if $(filter command environment,$(firstword $(origin OPS))),$(OPS),10000)
simulate: found $(OUT)/tests/simulation/test_simulation
	$(Q)$(OUT)/tests/simulation/test_simulation --seeds $(strip $(SEEDS)) --operations $(strip $(OPS_OF_A_SEED))

# ---- soak ------------------------------------------------------------------------------------

.PHONY: soak
MINUTES ?= 60
RATE    ?= 2000#                operations a second
$(OUT)/tests/soak/soak: $(call objects,$(filter-out %/soak.c,$(wildcard tests/soak/*.c)))
# Memory is what the library holds, and not what malloc keeps for each thread.
soak: found $(OUT)/tests/soak/soak
	$(Q)GLIBC_TUNABLES=glibc.malloc.tcache_count=0 $(OUT)/tests/soak/soak \
	    --minutes $(strip $(MINUTES)) --rate $(strip $(RATE)) $(if $(SEED),--seed $(SEED))

# ---- lint -----------------------------------------------------------------------------------
# One target a check; each names file and line. `make lint` runs them all, whatever fails.

.PHONY: lint lint-includes lint-calls lint-symbols lint-headers lint-comments lint-text \
        lint-format lint-shell lint-python lint-tidy update-symbols update-python format
LINT_CHECKS := includes calls symbols headers comments text format shell python tidy
C_FILES := $(sort $(shell find include sdk tests bench bindings \( -name '*.[ch]' -o -name '*.hpp' -o -name '*.cc' \) 2>/dev/null))

lint: found | need-lint
	$(Q)$(MAKE) $(PARALLEL) -k --output-sync=target $(LINT_CHECKS:%=lint-%)

lint-includes lint-comments lint-text: lint-%:
	$(Q)$(PYTHON) tests/lint/$*.py
lint-calls: $(LIB_OBJECTS)
	$(Q)$(PYTHON) tests/lint/calls.py $^
lint-symbols: $(SHARED_LIB) $(LIB_OBJECTS)
	$(Q)$(PYTHON) tests/lint/symbols.py $^
update-symbols: $(SHARED_LIB)
	$(Q)$(PYTHON) tests/lint/symbols.py --update $<
lint-headers:
	$(Q)$(PYTHON) tests/lint/headers.py $(CC) $(COMPILE_FLAGS) $(INCLUDE_sdk)
lint-shell:
	$(Q)tests/lint/shell.sh
lint-python:
	$(Q)$(PYTHON) bindings/python/mirror.py --check
	$(Q)cd bindings/python && mypy --no-error-summary --cache-dir ../../build/mypy && echo "python: ok"
update-python:
	$(Q)$(PYTHON) bindings/python/mirror.py
lint-format:
	$(Q)clang-format --dry-run --Werror $(C_FILES) && echo "format: ok"
format:
	$(Q)clang-format -i $(C_FILES)

# clang-tidy is slow: a file is looked at again when it or what it includes changed, and of a function at a quarter of the states
# that `make analyze` looks at.
TIDY_SOURCES := $(filter %.c,$(filter-out tests/mutations/%,$(C_FILES)))
TIDY_STAMPS  := $(TIDY_SOURCES:%.c=$(OBJ)/%.tidy)
TIDY_RULES   := .clang-tidy tests/.clang-tidy bench/.clang-tidy
tidy = clang-tidy --quiet --header-filter='^(include|sdk|tests|bench)/' $*.c -- $(COMPILE_FLAGS) \
    $(INCLUDE_$(firstword $(subst /, ,$*))) $(PART_FLAGS_$(firstword $(subst /, ,$*))) \
    -Xclang -analyzer-config -Xclang max-nodes=$(1) 2>&1 | \
    { grep -v -E '^[0-9]+ warnings? (generated|treated as error)|^Suppressed|^Use -' || true; }
lint-tidy: $(TIDY_STAMPS)
	@echo "tidy: ok"
$(OBJ)/%.tidy: $(OBJ)/%.o $(TIDY_RULES)
	$(Q)$(call tidy,56250)
	@touch $@

# cppcheck over the library. What it is not to say, and why, stands in the list of suppressions.
.PHONY: analyze analyze-cppcheck analyze-gcc analyze-tidy
analyze: analyze-cppcheck analyze-gcc analyze-tidy
LIST_MACROS := /usr/include/utlist.h /usr/include/uthash.h# of system headers, it reads those that it is told
analyze-cppcheck: found | need-analyze
	$(Q)cppcheck --quiet --std=c11 --enable=warning,performance,portability --inconclusive --inline-suppr \
	    --suppressions-list=tests/lint/cppcheck.txt --error-exitcode=1 --template=gcc -j $(JOBS) \
	    -D_GNU_SOURCE -D__linux__ -D__x86_64__ $(INCLUDE_sdk) $(LIST_MACROS:%=--include=%) sdk && echo "cppcheck: ok"

# gcc's own analyzer over the library, which is told who frees what. A file is looked at again when it or what it includes changed.
# Leaks are for LeakSanitizer, in each run of the tests: what is put into a table or given to the caller is one to gcc. It
# takes `a != NULL && b != NULL` for two answers to one question, unless each is asked by itself.
ANALYZER := -fanalyzer -Wno-analyzer-malloc-leak --param=logical-op-non-short-circuit=0 -include tests/lint/analyzer.h
analyze-gcc: $(LIB_SOURCES:%.c=$(OBJ)/%.analyzed)
	@echo "analyzer: ok"
$(OBJ)/%.analyzed: $(OBJ)/%.o tests/lint/analyzer.h
	@echo "  CHECK $*.c"
	$(Q)gcc $(COMPILE_FLAGS) $(INCLUDE_sdk) $(PART_FLAGS_sdk) $(ANALYZER) -c -o /dev/null $*.c
	@touch $@

analyze-tidy: $(LIB_SOURCES:%.c=$(OBJ)/%.tidied)
	@echo "tidy, whole: ok"
$(OBJ)/%.tidied: $(OBJ)/%.o $(TIDY_RULES)
	@echo "  TIDY  $*.c"
	$(Q)$(call tidy,225000)
	@touch $@

# ---- demo and harness -----------------------------------------------------------------------

.PHONY: bench demo run-demo
bench: found $(OUT)/bench/hearth-bench $(SHARED_LIB)
ifneq ($(SUITE),python)
	$(Q)$(OUT)/bench/hearth-bench $(if $(SUITE),$(SUITE),all) $(if $(JSON),--json "$(JSON)") \
	    $(if $(HTML),--html "$(HTML)")
endif
ifneq ($(filter python all,$(if $(SUITE),$(SUITE),all)),)
	$(Q)HEARTH_LIBRARY="$(abspath $(OUT)/$(SONAME))" "$(BINDING_PYTHON)" bench/python.py \
	    $(if $(JSON),--json "$(JSON)" $(if $(filter python,$(SUITE)),,--append))
endif

demo: deps
	$(Q)$(MAKE) $(PARALLEL) run-demo
run-demo: found $(OUT)/bench/demo
	$(Q)$(OUT)/bench/demo $(if $(TRACE),--trace "$(TRACE)") $(if $(FAULT),--fault "$(FAULT)") \
	    --html "$(if $(HTML),$(HTML),build/demo-report.html)"

# ---- packages -------------------------------------------------------------------------------

.PHONY: deps deps-test
deps:
	$(Q)tests/install/deps.sh build
deps-test:
	$(Q)tests/install/deps.sh test

# ---- install --------------------------------------------------------------------------------
# DESTDIR goes before every path and into no file.

.PHONY: install uninstall check-paths
INSTALL_LIBS := libhearth.so libhearth.so.$(ABI) $(notdir $(SHARED_LIB)) libhearth.a
HEADERS      := $(wildcard include/hearth/*.h include/hearth/*.hpp)

check-paths:
	$(if $(SANITIZE)$(COVERAGE),$(error VARIANT=$(VARIANT) is not for installing))
	$(foreach name,PREFIX LIBDIR INCLUDEDIR,$(if $(and $(filter 1,$(words $($(name)))),\
	    $(filter /%,$($(name)))),,$(error $(name)=$($(name)) must be an absolute path, without blanks)))

install: check-paths lib
	install -d "$(DESTDIR)$(LIBDIR)/pkgconfig" "$(DESTDIR)$(INCLUDEDIR)/hearth"
	install -m 644 $(HEADERS) "$(DESTDIR)$(INCLUDEDIR)/hearth"
	install -m 644 $(STATIC_LIB) $(SHARED_LIB) "$(DESTDIR)$(LIBDIR)"
	ln -sf $(notdir $(SHARED_LIB)) "$(DESTDIR)$(LIBDIR)/$(SONAME)"
	ln -sf $(SONAME) "$(DESTDIR)$(LIBDIR)/libhearth.so"
	install -m 644 $(PC_FILE) "$(DESTDIR)$(LIBDIR)/pkgconfig"
	$(if $(DESTDIR),,-ldconfig 2>/dev/null)

uninstall: check-paths
	rm -f $(INSTALL_LIBS:%="$(DESTDIR)$(LIBDIR)/%") "$(DESTDIR)$(LIBDIR)/pkgconfig/hearth.pc"
	rm -f $(HEADERS:include/%="$(DESTDIR)$(INCLUDEDIR)/%")
	rmdir "$(DESTDIR)$(INCLUDEDIR)/hearth" 2>/dev/null || true

# ---- clean, help ----------------------------------------------------------------------------

.PHONY: clean help
clean:
	rm -rf build

define HELP
Building (nothing else is needed before `make demo` and `make test`)
  make                     libhearth.a, libhearth.so.$(ABI), hearth.pc, the harness: in $(OUT)/
  make demo                install what is missing, build, run the demo
                           TRACE=file replays a trace, FAULT=kill kills a node on the way;
                           its report, with plots, is build/demo-report.html, or HTML=file
  make bench               every suite of the harness, half an hour for remote alone; SUITE=python needs
                           `make deps-test`
                           SUITE=local runs one, JSON=file also writes the rows there,
                           HTML=file a page with plots
  make install             DESTDIR= PREFIX=/usr/local LIBDIR= INCLUDEDIR=
  make uninstall           the same paths
  make deps                the Debian packages that building and the demo need (as root)
  make clean

Testing
  make test                everything that must pass before a change is taken, under 20 minutes
  make test-all            both compilers, all sanitizers, -O3, and the long forms of tests
  make check               the test programs; TESTS=ring takes those with `ring` in their path;
                           those of the Python package run with PYTHON=/usr/bin/python3
  make check-asan          ... under a sanitizer; check-ubsan, check-tsan likewise; CC=clang
  make check-coherence     what processes see of each other while all goes wrong; OPS= reads, 1000000 by default
  make check-mutations     breaks the library in some 269 ways, one after another: a test must fail each time
  make fuzz                whatever comes from outside, for a minute each or FUZZ_SECONDS=, and how often it was executed;
                           needs clang; TESTS= as above
  make coverage            what of the library the tests run, by lines and branches; less than 90 % or 80 % fails
  make simulate            a fleet under faults, 10^7 operations; SEEDS=1000 OPS=10000 (each)
  make soak                a mixed load for an hour, or MINUTES=, RATE=2000 a second, while nodes come and go: memory,
                           descriptors and threads stay what they were
  make check-install       installs into an empty tree and builds the README's program there
  make check-abi           programs that were built with the last released version, or BASE=, run on this library
  make lint                layers, names, headers, comments, format, clang-tidy, mypy
  make analyze             cppcheck, gcc -fanalyzer and the whole of clang-tidy over the library
  make deps-test           the Debian packages that the tests need besides (as root)

Editing
  make format              clang-format, in place
  make update-symbols      accept what the shared library exports now
  make update-readme       write the table of options into README.md
  make update-python       write what the headers say into the Python package

Settings: CC=$(CC) CFLAGS="$(CFLAGS)" LDFLAGS= VARIANT=plain|release|asan|ubsan|asan-ubsan|tsan|coverage JOBS=$(JOBS) V=1
endef
export HELP
help:
	@echo "$$HELP"
