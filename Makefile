# make            builds ./nib, libnib.a, libnib.so
# make deps       installs what is missing (Debian, Ubuntu)
# make test       tests everything that needs neither Python nor network
# make demo       from nothing to a model that tells stories, in a few minutes
# make bench      speed, appended to bench/results/
# make peers      the same beside PyTorch, llama.cpp and nanoGPT (PARTS="tiny decode": bench/peers.sh), drawn as docs/speed.svg
# make install    to PREFIX (/usr/local), with a pkg-config file
# make twin       what needs Python: golden files made anew, other tools on our files
# make arm        the tests of the kernels for aarch64, under qemu-user
# make torture    kills and failures at every system call of runs and preparations, COUNT= random kills, 10,000 flipped bits
# make fuzz       libFuzzer over every parser (needs clang; TARGETS=, SECONDS_EACH= or COUNT=), recorded in tests/results/
# make fuzz-cli, fuzz-plan, fuzz-tokenizer, mutate, torture      other long runs (SEED=, COUNT=), recorded there, too
# config=release|debug|sanitize|tsan, CC=gcc|clang|a cross compiler

config ?= release
PREFIX ?= /usr/local
ifeq ($(origin CC),default)
CC := $(if $(filter fuzz tsan,$(config)),clang,gcc)
endif

B       := build/$(notdir $(CC))-$(config)
ARCH    := $(firstword $(subst -, ,$(shell $(CC) -dumpmachine)))
MODULES := base graph cpu file report model token text infer train api

# ---- flags ----

release  := -O2 -D_FORTIFY_SOURCE=2
debug    := -O1 -DNIB_DEBUG
sanitize := -O1 -DNIB_DEBUG -DSMALL_PIECES -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
# Both with clang alone.  Its OpenMP tells ThreadSanitizer who waits for whom, by libarcher, which gcc's does not.
tsan     := -O1 -fsanitize=thread -fno-omit-frame-pointer
env_tsan := TSAN_OPTIONS=ignore_noninstrumented_modules=1
# For make fuzz: what wraps without being marked (base/wraps.h) is found, and what loses bits or its sign in passing.
fuzz     := -O2 -DSMALL_PIECES -fsanitize=fuzzer-no-link,address,undefined,unsigned-integer-overflow,implicit-conversion -fno-sanitize-recover=all -fno-omit-frame-pointer

WARN     := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla
# The same bits from gcc and clang: a*b + c is never fused behind our back.
FLOATS   := -ffp-contract=off -fno-math-errno -fno-trapping-math
CFLAGS   += -std=gnu17 -g -fPIC -fopenmp $($(config)) $(WARN) $(FLOATS)
CPPFLAGS += -Isrc -Iinclude -MMD -MP
LDLIBS   += $(if $(filter sanitize,$(config)),-fsanitize=address$(comma)undefined) -fopenmp -lpcre2-8 -lutf8proc -ljansson -lcurl -lcrypto -lz -lm
comma    := ,

# One source per op, compiled once per instruction set; cpu.c and profile.c are not.
isa_x86_64  := scalar avx2 avx512 avx512bf16
isa_aarch64 := scalar neon dotprod
ISAS        := $(or $(isa_$(ARCH)),scalar)
flags_dotprod := -march=armv8.2-a+dotprod
flags_avx2  := -mavx2 -mfma -mf16c
flags_avx512 := -mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma -mf16c
flags_avx512bf16 := $(flags_avx512) -mavx512bf16
# What this file uses where the processor has it.
quads_avx512 := -mavx512vnni
quads_avx512bf16 := -mavx512vnni

# ---- files ----

CPU_ONCE := src/cpu/cpu.c src/cpu/profile.c
CPU_OPS  := $(filter-out $(CPU_ONCE),$(wildcard src/cpu/*.c))
SOURCES  := $(filter-out src/cli/%,$(foreach m,$(MODULES),$(if $(filter cpu,$m),$(CPU_ONCE),$(wildcard src/$m/*.c))))
OBJECTS  := $(SOURCES:src/%.c=$B/%.o) $(foreach i,$(ISAS),$(CPU_OPS:src/cpu/%.c=$B/cpu/$i/%.o))
CLI      := $(patsubst src/%.c,$B/%.o,$(wildcard src/cli/*.c))
TESTS    := $(patsubst tests/%.c,$B/tests/%,$(wildcard tests/test_*.c))
EXAMPLES := $(patsubst examples/%.c,$B/examples/%,$(wildcard examples/*.c))
# name:file of each parser with an entry for libFuzzer; a program replays the inputs in tests/fuzz/, another looks for more.
FUZZED   := $(shell grep -H '^.ifdef FUZZ_' src/*/*.c | sed 's/\(.*\):.ifdef FUZZ_\(.*\)/\L\2\E:\1/')
PARSERS  := $(foreach f,$(FUZZED),$(firstword $(subst :, ,$f)))
REPLAYS  := $(PARSERS:%=$B/tests/replay_%)
TARGETS  ?= $(PARSERS)
FUZZERS  := $(TARGETS:%=$B/tests/fuzz_%)

.PHONY: all deps test demo bench peers install twin arm fuzz fuzz-cli fuzz-plan fuzz-tokenizer mutate torture clean
.DELETE_ON_ERROR:
all: nib libnib.a libnib.so

$B/%.o: src/%.c
	@mkdir -p $(@D)
	@echo "  $<"
	@$(CC) $(CPPFLAGS) $(CFLAGS) -c $< -o $@

define isa_rule
$B/cpu/$1/%.o: src/cpu/%.c
	@mkdir -p $$(@D)
	@echo "  $$< for $1"
	@$(CC) $(CPPFLAGS) $(CFLAGS) $(if $(filter release,$(config)),-O3) $(flags_$1) $$(if $$(filter %/quads.c,$$<),$$(quads_$1)) -DISA=$1 -DISA_$1 -c $$< -o $$@
endef
$(foreach i,$(ISAS),$(eval $(call isa_rule,$i)))

# What is embedded by .incbin.
$B/text/%.o: $(wildcard src/text/*.grammar src/text/*.json)
$B/report/%.o: $(wildcard src/report/*.css src/report/*.js)

$B/libnib.a: $(OBJECTS)
	@rm -f $@ && $(AR) rcs $@ $^
$B/libnib.so: $(OBJECTS) src/api/exports.map
	@$(CC) -shared $(CFLAGS) -Wl,-soname,libnib.so.0 -Wl,--version-script=src/api/exports.map $(OBJECTS) $(LDFLAGS) $(LDLIBS) -o $@
	@ln -sf libnib.so $@.0
$B/nib: $(CLI) $B/libnib.a
	@$(CC) $(CFLAGS) $^ $(LDFLAGS) $(LDLIBS) -o $@
nib libnib.a libnib.so: %: $B/% FORCE
	@cmp -s $< $@ || { cp -f $< $@ && echo "$@"; }
FORCE:

$B/tests/%: tests/%.c $B/libnib.a
	@mkdir -p $(@D)
	@echo "  $<"
	@$(CC) $(CPPFLAGS) -Itests $(CFLAGS) $< $B/libnib.a $(LDFLAGS) $(LDLIBS) -lcmocka -o $@
define entry_rules
$B/tests/replay_$1 $B/tests/fuzz_$1: private CPPFLAGS += -DFUZZ_$(shell echo $1 | tr a-z A-Z)
$B/tests/replay_$1: $2 tests/replay.c $B/libnib.a
	@mkdir -p $$(@D)
	@$(CC) $$(CPPFLAGS) -Itests $(CFLAGS) $2 tests/replay.c $B/libnib.a $(LDFLAGS) $(LDLIBS) -lcmocka -o $$@
$B/tests/fuzz_$1: $2 $B/libnib.a
	@mkdir -p $$(@D)
	@$(CC) $$(CPPFLAGS) $(CFLAGS) -fsanitize=fuzzer $2 $B/libnib.a $(LDFLAGS) $(LDLIBS) -o $$@
endef
$(foreach f,$(FUZZED),$(eval $(call entry_rules,$(firstword $(subst :, ,$f)),$(lastword $(subst :, ,$f)))))
# Examples see nib.h alone and the library as others get it.
$B/examples/%: examples/%.c $B/libnib.so
	@mkdir -p $(@D)
	@$(CC) -Iinclude -std=c11 -Wall -Wextra -Werror $(filter -fsanitize=%,$($(config))) $(if $(filter tsan,$(config)),-fopenmp) $< -L$B -lnib -Wl,-rpath,$(abspath $B) -o $@

# ---- what people call ----

deps:
	@scripts/deps.sh

test: $(TESTS) $(REPLAYS) $(EXAMPLES) $B/nib
	@$(env_$(config)) NIB=$(abspath $B/nib) EXAMPLES=$(abspath $B/examples) tests/run.sh $(TESTS) $(REPLAYS)

demo: deps
	@$(MAKE) --no-print-directory nib
	@scripts/demo.sh

bench: $B/nib
	@bench/run.sh $(abspath $<)
peers: $B/nib
	@NIB=$(abspath $<) bench/peers.sh $(PARTS)
	@bench/plot.sh

twin: nib
	@tests/twin/run.sh

arm:
	@tests/arm.sh

mutate:
	@tests/mutate.sh
fuzz-plan: $B/tests/test_plan
	@COUNT=$${COUNT:-1000000} tests/long_run.sh fuzz_plan $<
fuzz-cli: $B/tests/test_command_lines $B/nib
	@NIB=$(abspath $B/nib) COUNT=$${COUNT:-100000} tests/long_run.sh fuzz_cli$(if $(filter-out release,$(config)),_$(config)) $<
fuzz-tokenizer: $B/tests/test_split nib
	@COUNT=$${COUNT:-1000000} tests/long_run.sh fuzz_split $<
	@COUNT=$${COUNT:-1000000} tests/long_run.sh fuzz_tokenizer tests/twin/run.sh tests/twin/fuzz_tokenizer.py
torture: $B/tests/test_faults $B/tests/test_shards $B/nib
	@NIB=$(abspath $B/nib) ALL=1 FLIPS=10000 COUNT=$${COUNT:-1000} tests/long_run.sh torture $<
	@NIB=$(abspath $B/nib) COUNT=$${COUNT:-1000} tests/long_run.sh kills_data $B/tests/test_shards
ifeq ($(config),fuzz)
fuzz: $(FUZZERS)
	@tests/fuzz.sh $^
else
fuzz:
	@$(MAKE) --no-print-directory config=fuzz $@
endif

install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/lib/pkgconfig $(DESTDIR)$(PREFIX)/include $(DESTDIR)$(PREFIX)/share/nib/config
	install nib $(DESTDIR)$(PREFIX)/bin
	install -m 644 libnib.a $(DESTDIR)$(PREFIX)/lib
	install libnib.so $(DESTDIR)$(PREFIX)/lib/libnib.so.0
	ln -sf libnib.so.0 $(DESTDIR)$(PREFIX)/lib/libnib.so
	install -m 644 include/nib.h $(DESTDIR)$(PREFIX)/include
	install -m 644 config/*.conf $(DESTDIR)$(PREFIX)/share/nib/config
	printf 'Name: nib\nDescription: GPTs in plain C\nVersion: 0.1.0\nLibs: -L%s/lib -lnib\nLibs.private: $(LDLIBS)\nCflags: -I%s/include\n' $(PREFIX) $(PREFIX) >$(DESTDIR)$(PREFIX)/lib/pkgconfig/nib.pc

clean:
	rm -rf build nib libnib.a libnib.so

-include $(wildcard $B/*/*.d $B/*/*/*.d)
