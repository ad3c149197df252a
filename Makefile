# The commands of this project; CI calls the same ones. `make help` lists them.
#
# A target whose folder does not exist yet says so and succeeds. As soon as the
# folder exists, whatever fails in it fails the target.

SHELL       := /bin/bash
.SHELLFLAGS := -o pipefail -c
GO          ?= go
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
# FUZZTIME is how long each fuzz target runs.
FUZZTIME    ?= 60s
# TESTFLAGS goes to every go test, as in TESTFLAGS=-v or TESTFLAGS=-run=TestX.
TESTFLAGS   ?=
# BENCHFLAGS goes to the benchmarks, as in BENCHFLAGS=-quick.
BENCHFLAGS  ?=
# CROSS are the systems for which the library has to build.
CROSS       := $(foreach os,linux darwin windows freebsd,$(os)/amd64 $(os)/arm64) wasip1/wasm

# LIBRARY is what a Go program embeds.
LIBRARY := $(if $(filter-out %_test.go,$(wildcard *.go)),.) $(if $(wildcard std/*.go),./std)

# absent prints that the folder $(1) is missing and is false if it is there.
absent = [ ! -e $(1) ] && echo "make $@: there is no $(1) yet; nothing done"

.PHONY: build check test race fuzz bench e2e demo cross clean help

build: ## build bin/knit, static
	@$(call absent,cmd/knit) || { set -x; CGO_ENABLED=0 $(GO) build -trimpath -o bin/knit ./cmd/knit; }

check: ## gofmt, go vet, staticcheck, the house rules, go mod tidy
	@files=$$(gofmt -l .) && if [ -n "$$files" ]; then printf 'not formatted; run gofmt -w:\n%s\n' "$$files" >&2; exit 1; fi
	$(GO) vet -tags e2e ./...
	$(GO) run $(STATICCHECK) -tags e2e ./...
	$(GO) test -count=1 .
	$(GO) mod tidy -diff
	@$(call absent,bench) || { set -ex; cd bench; $(GO) vet ./...; $(GO) run $(STATICCHECK) ./...; $(GO) mod tidy -diff; }

test: ## all tests that need no root
	$(GO) test -shuffle=on $(TESTFLAGS) ./...

race: ## the same with the race detector, and lab's table, of which that takes a part only, without
	$(GO) test -race -shuffle=on $(TESTFLAGS) ./...
	$(GO) test $(TESTFLAGS) ./lab

fuzz: ## every fuzz target for FUZZTIME each (FUZZJOBS at a time, logs in FUZZLOGS)
	@GO=$(GO) FUZZTIME=$(FUZZTIME) .ci/fuzz

bench: ## measure beside gVisor and Linux (BENCHFLAGS=-quick to look)
	@$(call absent,bench) || { set -x; cd bench && $(GO) run . $(BENCHFLAGS); }

e2e: build ## scenarios with real programs in network namespaces; needs root or user namespaces
	@$(call absent,e2e) || { set -x; $(GO) test -tags e2e -count=1 $(TESTFLAGS) ./e2e/...; }

demo: build ## knit in a minute, with real programs
	@$(call absent,demo) || { set -x; demo/demo.sh; }

cross: ## build and vet the library for every system it has to run on
	@if [ -z "$(strip $(LIBRARY))" ]; then echo "make $@: there is no root package and no std yet; nothing done"; exit; fi; \
	for target in $(CROSS); do \
		echo "$$target: $(strip $(LIBRARY))"; \
		export GOOS=$${target%/*} GOARCH=$${target#*/} CGO_ENABLED=0; \
		{ $(GO) build $(LIBRARY) && $(GO) vet $(LIBRARY); } || failed+=" $$target"; \
	done; \
	if [ -n "$$failed" ]; then echo "make cross: fails for:$$failed" >&2; exit 1; fi

clean: ## remove what build made
	rm -rf bin

help: ## list the targets
	@sed -En 's/^([a-z0-9]+):[^#]*## (.*)/\1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 10
