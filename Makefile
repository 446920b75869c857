# SPDX-License-Identifier: Apache-2.0
#
# The thin front: what people type. The build proper is CMakeLists.txt.
#   make                build/freshet (installs missing packages first, only when some are missing)
#   make run            build, fetch a small catalogue, serve it; DATA=my.csv for your own
#   make test           what one runs while writing: unit, property, golden, one scenario (< 3 min)
#   make check          everything in its short form (<= 30 min on two cores)
#   make check-full     the long forms, ThreadSanitizer, arm64 under qemu
#   make tidy           house rules: rooms, format, sizes, banned calls, stale generated files
#   make bench          builds the benches
#   make figures        measures every row of bench/FIGURES, writes docs/FIGURES.md
#   make quality        runs every protocol of recommendation quality, writes docs/QUALITY.md
#   make install        DESTDIR and PREFIX (default /usr/local)
BUILD ?= build
PREFIX ?= /usr/local
CMAKE_FLAGS ?=
JOBS ?= $(shell nproc 2>/dev/null || echo 2)

.PHONY: all build run test check check-full tidy format docs bench figures quality install clean deps

all: build

deps:
	@tools/deps base

# Configures only when there is nothing yet; CMake itself reruns when a file was added.
$(BUILD)/build.ninja: | deps
	@cmake -S . -B $(BUILD) -G Ninja $(CMAKE_FLAGS) >/dev/null

build: deps $(BUILD)/build.ninja
	@cmake --build $(BUILD) -j $(JOBS)

# Builds the program alone: a newcomer need not wait for tests and benches.
run: deps $(BUILD)/build.ninja
	@cmake --build $(BUILD) -j $(JOBS) --target freshet
	@FRESHET=$(BUILD)/freshet tools/run $(if $(DATA),"$(DATA)")

# Configures anew: without cmocka there were no tests to build.
test:
	@tools/deps base test
	@cmake -S . -B $(BUILD) -G Ninja $(CMAKE_FLAGS) >/dev/null
	@cmake --build $(BUILD) -j $(JOBS)
	@tools/run-tests test

check:
	@tools/deps base test web
	@tools/run-tests check

check-full:
	@tools/deps base test web full
	@tools/run-tests check-full

tidy: build
	@tools/deps test
	@tools/tidy

# Rewrites what is generated from the tables, and the formatting of all C files.
docs: build
	@tools/generate-docs

format:
	@tools/format

bench: build

figures: build
	@bench/figures

quality: build
	@bench/quality

install: build
	@cmake -S . -B $(BUILD) -DCMAKE_INSTALL_PREFIX="$(PREFIX)" >/dev/null
	@DESTDIR="$(DESTDIR)" cmake --install $(BUILD)

clean:
	@rm -rf $(BUILD) build-*
