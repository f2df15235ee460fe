# ftpfs - see README.md.  All output goes to $(BUILD).
BUILD   ?= build
PREFIX  ?= /usr/local
DESTDIR ?=
CC      ?= gcc
PKGS    := fuse3 libcurl openssl
WARN    := -Wall -Wextra -Wshadow -Wconversion -Werror
ifneq ($(findstring clang,$(CC)),)
WARN    += -Wthread-safety
endif
SAN     ?=
OPT     ?= -O2 -g
CFLAGS  ?=
ALL_CFLAGS := -std=gnu11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -DFUSE_USE_VERSION=314 -pthread \
	-Iinclude $(WARN) $(OPT) $(SAN) $(shell pkg-config --cflags $(PKGS)) $(CFLAGS)
LIBS    := $(shell pkg-config --libs $(PKGS)) -pthread

SRCS    := $(wildcard src/*.c src/*/*.c)
OBJS    := $(SRCS:src/%.c=$(BUILD)/obj/%.o)
LIB_OBJS := $(filter-out $(BUILD)/obj/main.o,$(OBJS))
LIB     := $(BUILD)/libftpfs.a
TESTLIB_OBJS := $(patsubst tests/lib/%.c,$(BUILD)/testlib/%.o,$(wildcard tests/lib/*.c))
# each tests/{unit,fs,ftp}/NAME.c is one cmocka program
TESTS   := $(patsubst tests/%.c,$(BUILD)/tests/%,$(wildcard tests/unit/*.c tests/fs/*.c tests/ftp/*.c))

.PHONY: all tests
.SECONDARY:
all: $(BUILD)/ftpfs
tests: $(TESTS)

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

-include $(OBJS:.o=.d) $(TESTLIB_OBJS:.o=.d) $(TESTS:%=%.d)
