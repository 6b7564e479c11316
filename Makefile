# The front door. `make help` lists the targets; each first sees to the packages that it needs (scripts/deps).

PREFIX       ?= /usr/local
DESTDIR      ?=
FUZZ_SECONDS ?= 60
export FUZZ_SECONDS

SANITIZE = -Dbuildtype=debugoptimized -Db_sanitize
CLANG    = CC=$$(scripts/tool clang)

.PHONY: all test test-tsan test-clang lint fuzz bench install fmt clean demo help

all: ## build the release: hardened, link-time optimised, in build/release
	@scripts/deps build
	@scripts/build build/release -Doptimization=2 -Ddebug=true -Dhardened=true -Db_lto=true -Db_pie=true -Dtests=false \
	    -Dprefix=$(PREFIX)

test: ## every test, under AddressSanitizer and UBSan
	@scripts/deps build test
	@scripts/test build/debug $(SANITIZE)=address,undefined

test-tsan: ## every test, under ThreadSanitizer
	@scripts/deps build test
	@scripts/test build/tsan $(SANITIZE)=thread

test-clang: ## every test, built by clang, under AddressSanitizer and UBSan
	@scripts/deps build test clang
	@$(CLANG) scripts/test build/clang $(SANITIZE)=address,undefined -Db_lundef=false

lint: ## formatting, static analysis and the rules of the house
	@scripts/deps build clang lint
	@scripts/lint

fuzz: ## every fuzz target for FUZZ_SECONDS (60)
	@scripts/deps build clang fuzz
	@$(CLANG) scripts/fuzz

bench: ## the benchmarks of tests/bench, on a release build
	@scripts/deps build test bench
	@scripts/bench

install: all ## install the release below PREFIX (/usr/local), under DESTDIR if given
	@DESTDIR='$(DESTDIR)' meson install -C build/release --no-rebuild --strip

fmt: ## format every C file
	@scripts/deps lint
	@git ls-files -z --cached --others --exclude-standard '*.[ch]' | xargs -0 $$(scripts/tool clang-format) -i

clean: ## remove everything that was built
	@rm -rf build

demo: all ## see a sandbox at work on a stand-in Internet, offline (as root)
	@scripts/deps test
	@scripts/demo

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1: /p' Makefile
