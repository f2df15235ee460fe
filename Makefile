# ftpfs - see README.md.  All output goes to $(BUILD).
BUILD   ?= build
PREFIX  ?= /usr/local
DESTDIR ?=
# where umount(8) looks for its helpers
SBINDIR ?= /sbin
ifeq ($(origin CC),default)
CC      := gcc
endif
PKGS    := fuse3 libcurl openssl
WARN    := -Wall -Wextra -Wshadow -Wconversion -Werror
ifneq ($(findstring clang,$(CC)),)
WARN    += -Wthread-safety
endif
SAN     ?=
OPT     ?= -O2 -g
CFLAGS  ?=
ALL_CFLAGS := -std=gnu11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -DFUSE_USE_VERSION=314 -pthread \
	-Iinclude $(WARN) $(OPT) $(SAN) $(if $(SAN),-DFTPFS_CHECKED) $(shell pkg-config --cflags $(PKGS)) $(CFLAGS)
LIBS    := $(shell pkg-config --libs $(PKGS)) -pthread

SRCS    := $(wildcard src/*.c src/*/*.c)
OBJS    := $(SRCS:src/%.c=$(BUILD)/obj/%.o)
LIB_OBJS := $(filter-out $(BUILD)/obj/main.o,$(OBJS))
LIB     := $(BUILD)/libftpfs.a
TESTLIB_OBJS := $(patsubst tests/lib/%.c,$(BUILD)/testlib/%.o,$(wildcard tests/lib/*.c))
# each tests/{unit,fs,ftp}/NAME.c is one cmocka program
TESTS   := $(patsubst tests/%.c,$(BUILD)/tests/%,$(wildcard tests/unit/*.c tests/fs/*.c tests/ftp/*.c))
# what the Python tests drive
DRIVE_OBJS := $(patsubst tests/drive/%.c,$(BUILD)/drive/%.o,$(wildcard tests/drive/*.c))
TOOLS   := $(BUILD)/ftpdrive $(BUILD)/wanlink
CHECKS  := check-static check-unit check-fs check-ftp check-mount check-crash check-fuzz check-asan check-tsan

.PHONY: all tests tools check $(CHECKS) demo bench format install uninstall clean
.SECONDARY:
all: $(BUILD)/ftpfs
tests: $(TESTS)
tools: $(TOOLS)

$(BUILD)/obj/%.o: src/%.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/testlib/%.o: tests/lib/%.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -Itests/lib -MMD -MP -c -o $@ $<

$(LIB): $(LIB_OBJS)
	@rm -f $@
	ar rcs $@ $^

$(BUILD)/ftpfs: $(BUILD)/obj/main.o $(LIB)
	$(CC) $(ALL_CFLAGS) -o $@ $^ $(LIBS)

$(BUILD)/tests/%: tests/%.c $(TESTLIB_OBJS) $(LIB)
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -Itests/lib -MMD -MP -o $@ $< $(TESTLIB_OBJS) $(LIB) -lcmocka $(LIBS)

$(BUILD)/drive/%.o: tests/drive/%.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -Itests/drive -MMD -MP -c -o $@ $<

$(BUILD)/ftpdrive: $(DRIVE_OBJS) $(LIB)
	$(CC) $(ALL_CFLAGS) -o $@ $^ $(LIBS)

$(BUILD)/wanlink: tests/net/wanlink.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -MMD -MP -o $@ $<

# pseudo-random mutations of a corpus; the same under libFuzzer is $(BUILD)/fuzzer
$(BUILD)/fuzz_parse: tests/fuzz/fuzz_parse.c $(LIB)
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -DFUZZ_STANDALONE -MMD -MP -o $@ $< $(LIB) $(LIBS)

$(BUILD)/fuzzer: tests/fuzz/fuzz_parse.c $(wildcard src/parse/*.c src/base/*.c)
	@mkdir -p $(@D)
	clang $(ALL_CFLAGS) -fsanitize=fuzzer,address,undefined -o $@ $^ $(LIBS)

check:
	scripts/check

$(CHECKS): check-%:
	scripts/check $*

demo:
	scripts/demo

# goes on where it was broken off; build/performance.json has what is known so far
bench: $(BUILD)/ftpfs $(BUILD)/wanlink
	scripts/setup bench
	scripts/bench --matrix
	scripts/bench --publish

format:
	clang-format -i $(SRCS) $(wildcard include/*.h include/*/*.h src/*/*.h tests/*/*.[ch])

install: $(BUILD)/ftpfs
	install -D -m 755 $(BUILD)/ftpfs $(DESTDIR)$(PREFIX)/bin/ftpfs
	install -d $(DESTDIR)$(SBINDIR)
	ln -sf $(PREFIX)/bin/ftpfs $(DESTDIR)$(SBINDIR)/umount.fuse.ftpfs
	install -D -m 644 docs/ftpfs.1 $(DESTDIR)$(PREFIX)/share/man/man1/ftpfs.1

uninstall:
	rm -f $(DESTDIR)$(PREFIX)/bin/ftpfs $(DESTDIR)$(SBINDIR)/umount.fuse.ftpfs $(DESTDIR)$(PREFIX)/share/man/man1/ftpfs.1

clean:
	rm -rf $(BUILD)

-include $(OBJS:.o=.d) $(TESTLIB_OBJS:.o=.d) $(TESTS:%=%.d) \
	$(DRIVE_OBJS:.o=.d) $(BUILD)/wanlink.d $(BUILD)/fuzz_parse.d
