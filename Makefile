# Khronicle. `make help` lists the targets.
SHELL := /bin/bash
.DEFAULT_GOAL := help
GO ?= go
comma := ,
export GOFLAGS := -buildvcs=false
export GOTOOLCHAIN ?= local
PACKAGES := ./...
# The modules below the root: their dependencies are heavy, and no part of the product.
NESTED := $(patsubst %/go.mod,%,$(wildcard tools/*/go.mod test/*/go.mod test/*/*/go.mod))
# kubebox' own package imports Kubernetes, which takes 15 minutes to compile: `make test` and `make verify` look at it too.
KUBEBOX_PACKAGES := ./internal/... ./pause/...
# Short, because socket paths are; of its own for each clone.
export KUBEBOX_STATE := /var/tmp/kubebox-$(shell printf %s '$(CURDIR)' | sha256sum | cut -c1-8)
# Tests do not see the caller's settings.
HERMETIC := tools/hermetic.sh KUBEBOX_STATE=$(KUBEBOX_STATE)

# in_nested runs $(1) in each nested module, with $$packages for the packages to look at. kubebox is compiled as by
# tools/build.sh, so that Kubernetes is compiled once.
define in_nested
@set -e; for module in $(NESTED); do \
  packages=./... env=(); \
  if [ $$module = tools/kubebox ]; then packages='$(KUBEBOX_PACKAGES)' env=(CGO_ENABLED=0 'GOFLAGS=-buildvcs=false -trimpath'); fi; \
  echo "$$module: $(strip $(1))"; (cd $$module && env "$${env[@]}" $(1)); done
endef

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^##@ / { printf "\n%s\n", substr($$0, 5) } /^[A-Za-z0-9_.-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

##@ Use

.PHONY: run
run: environment build ## run the demonstration: kubebox, Temporal, Khronicle and the examples (RUN_FOR=90s ends it after that time)
	@tools/run.sh

.PHONY: stop
stop: ## stop what make run or make e2e left running
	@tools/stop.sh
	@for name in dev e2e chaos scale; do bin/kubebox down --name $$name 2>/dev/null || true; done

.PHONY: clean
clean: stop ## remove ./bin and all state; the cache of built tools is kept
	@rm -rf .state bin $(KUBEBOX_STATE)

##@ Build

.PHONY: build
build: ## build khronicle and khcheck, the checks that ship
	@mkdir -p bin
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags "-X main.version=$(VERSION)" -o bin/khronicle ./cmd/khronicle
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w' -o bin/khcheck ./cmd/khcheck

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null)
PLATFORMS ?= linux/amd64,linux/arm64
IMAGES ?= khronicle,khcheck,temporal
IMAGES_DIR ?= bin/images
# What makes two builds of one commit equal.
RELEASE = -root '$(CURDIR)' -version '$(VERSION)' -revision "$$(git rev-parse HEAD)" -created "$${SOURCE_DATE_EPOCH:-$$(git log -1 --format=%ct)}"
.PHONY: image
image: go ## make container images without Docker, in bin/images (VERSION, PLATFORMS, IMAGES, IMAGES_DIR, PUSH=REGISTRY/PREFIX)
	@set -e; if [[ ,$(IMAGES), == *,temporal,* ]]; then \
	  for platform in $(subst $(comma), ,$(PLATFORMS)); do tools/build.sh temporal-linux-$${platform#*/}; done; fi
	@$(GO) -C tools/image run . images $(RELEASE) -out '$(CURDIR)/$(IMAGES_DIR)' -platform '$(PLATFORMS)' -only '$(IMAGES)' $(if $(PUSH),-push '$(PUSH)')

.PHONY: release-binaries
release-binaries: go ## pack the programs for Linux, macOS and Windows, with SBOMs and checksums, in bin/release (VERSION)
	@$(GO) -C tools/image run . binaries $(RELEASE) -out '$(CURDIR)/bin/release'

.PHONY: reproducible
reproducible: ## build images and archives twice, here and in a clone, and compare all files
	@[ -z "$$(git status --porcelain)" ] || { echo "make reproducible compares two builds of a commit: commit first" >&2; exit 1; }
	@$(MAKE) --no-print-directory image release-binaries
	@rm -rf .state/again && git clone -q . .state/again
	@$(MAKE) --no-print-directory -C .state/again image release-binaries VERSION='$(VERSION)' PUSH= >/dev/null
	@diff -r bin/images .state/again/bin/images && diff -r bin/release .state/again/bin/release && echo "all files are equal" && rm -rf .state/again

.PHONY: environment
environment: go packages ## install and build what kubebox and Temporal need, both side by side
	@$(MAKE) --no-print-directory -j2 kubebox temporal

.PHONY: go
go:
	@command -v $(GO) >/dev/null || { echo "missing: Go 1.26 or later (https://go.dev/dl)" >&2; exit 1; }
	@$(GO) list -m >/dev/null || { echo "missing: Go 1.26 or later; this is $$($(GO) version)" >&2; exit 1; }

.PHONY: packages
packages:
	@tools/packages.sh

.PHONY: python3
python3: packages # what tests of the examples need besides
	@tools/packages.sh python3 busybox

.PHONY: postgresql
postgresql: python3 # what tests of the ledger and the race detector need besides
	@tools/packages.sh postgresql gcc libc6-dev

.PHONY: browser
browser: packages ## install what tests in a browser need: Chromium, and modules from npm (Node.js 20 must be there)
	@test/browser/ready.sh || { [ "$$KHRONICLE_REQUIRE_ALL" != 1 ] && echo "the tests in a browser are skipped" >&2; }

.PHONY: kubebox
kubebox: ## build the one-node Kubernetes (cached)
	@tools/build.sh kubebox

.PHONY: temporal
temporal: ## build the Temporal CLI (cached), or take the one on PATH
	@tools/build.sh temporal

##@ Test

.PHONY: check
check: go ## what to run before each commit: formatted, prose, vet, generated, lint, unit; no root, under 5 minutes
	@$(MAKE) --no-print-directory formatted
	@$(MAKE) --no-print-directory prose
	@$(MAKE) --no-print-directory vet
	@$(MAKE) --no-print-directory generated
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory unit

RACE := -race -shuffle=on -timeout 30m
# Nothing may be skipped because a tool is missing. Heavy tools are built beside the fast part: what needs them comes after it.
.PHONY: test
test: export KHRONICLE_REQUIRE_ALL := 1
test: go python3 postgresql browser ## all there is: check, with the race detector; builds for each platform; then end to end
	@$(MAKE) --no-print-directory -j2 environment fast
	@$(MAKE) --no-print-directory lint KUBEBOX_PACKAGES=./...
	@$(MAKE) --no-print-directory e2e UNIT='$(RACE)'

.PHONY: fast
fast: # the part of make test that needs neither Kubernetes nor Temporal
	@$(MAKE) --no-print-directory formatted
	@$(MAKE) --no-print-directory prose
	@$(MAKE) --no-print-directory vet
	@$(MAKE) --no-print-directory generated
	@$(MAKE) --no-print-directory unit UNIT='$(RACE)' WITHOUT='/starter|/cmd/khronicle'
	@$(MAKE) --no-print-directory builds

.PHONY: formatted
formatted: ## fail if a Go file is not formatted (make format does it)
	@diff=$$(tools/gotool.sh golangci-lint fmt --diff) || { \
	  sed -n 's/^diff \(.*\)\.orig .*/not formatted: \1/p' <<<"$$diff" >&2; echo "run: make format" >&2; exit 1; }

.PHONY: prose
prose: ## fail on sentences of more than 25 words and on words that this project does not use
	@$(GO) run ./tools/prose

.PHONY: workflow-files
workflow-files: go ## check the files in .github/workflows with actionlint
	@tools/gotool.sh actionlint

.PHONY: vet
vet: ## go vet in all modules
	$(GO) vet $(PACKAGES)
	$(GO) vet -tags e2e ./test/e2e
	$(call in_nested,$(GO) vet $$packages)

.PHONY: generated
generated: ## fail if generated files are out of date; they are right afterwards
	@tools/generated.sh

.PHONY: lint
lint: ## golangci-lint in all modules, with the import rules of the rooms; workflowcheck
	@tools/gotool.sh golangci-lint run $(PACKAGES)
	@tools/gotool.sh --build golangci-lint
	$(call in_nested,$(CURDIR)/tools/gotool.sh golangci-lint run --config $(CURDIR)/.golangci.yml $$packages)
	@tools/gotool.sh workflowcheck $(PACKAGES)

UNIT ?=
.PHONY: unit
unit: alerts ## unit and replay tests of all modules (UNIT='-race -shuffle=on' adds flags)
	$(HERMETIC) $(GO) test $(UNIT) $$($(GO) list $(PACKAGES) | grep -vE '($(or $(WITHOUT),none))$$')
	@set -e; for module in $(NESTED); do \
	  packages=./... count=; \
	  case $$module in tools/kubebox) packages=./internal/... ;; test/compose) count=-count=1 ;; esac; \
	  echo "$$module: go test $(UNIT) $$count $$packages"; \
	  $(HERMETIC) $(GO) -C $$module test $(UNIT) $$count $$packages; done # -count=1: they read files of other modules, which the cache does not see

FROM ?= 2026
YEARS ?= 10
.PHONY: calendar-proof
calendar-proof: go ## compare the ticks in all time zones with a walk through each minute (FROM=2026, YEARS=10)
	@set -o pipefail; $(GO) test -count=1 -timeout 3h -v -run '^TestTicksAreThoseOfACalendar$$' ./check -args -calendar.all -calendar.year $(FROM) -calendar.years $(YEARS) \
	  | grep -v -e '--- PASS' -e '^=== '

OTHER_PLATFORMS := linux/arm64 darwin/amd64 darwin/arm64 windows/amd64
.PHONY: builds
builds: ## compile and vet all packages for Linux, macOS and Windows (what needs Linux says so when it is run)
	@set -e; for platform in $(OTHER_PLATFORMS); do echo "build and vet for $$platform"; \
	  export CGO_ENABLED=0 GOOS=$${platform%/*} GOARCH=$${platform#*/}; $(GO) build $(PACKAGES); $(GO) vet $(PACKAGES); done

.PHONY: alerts
alerts: go ## check the alert rules and run their tests with promtool
	@tools/build.sh promtool
	bin/promtool check rules deploy/prometheus/rules.yaml
	bin/promtool test rules deploy/prometheus/rules_test.yaml

.PHONY: e2e
e2e: environment python3 browser build ## end-to-end tests on kubebox and a real Temporal server (E2E='-run TestKill' selects)
	@$(MAKE) --no-print-directory image IMAGES_DIR=.state/images PLATFORMS=linux/$$($(GO) env GOARCH) VERSION=e2e PUSH=
	$(HERMETIC) $(GO) test $(UNIT) -count=1 ./starter ./cmd/khronicle # their tests against a real Temporal server are skipped while that is being built
	$(HERMETIC) $(GO) test -tags e2e -count=1 -parallel 4 -timeout 60m ./test/e2e $(E2E)

.PHONY: observe
observe: environment postgresql build ## a real Prometheus: a fault for each alert, and data for each panel of the dashboards (results: .state/observe)
	@tools/packages.sh prometheus chromium
	$(HERMETIC) $(GO) test -tags e2e -count=1 -v -timeout 20m -run '^TestEveryAlertFiresAndEveryPanelHasData$$' ./test/e2e -args -observe $(CURDIR)/.state/observe

SEED ?= 1
CHECKS ?= 30
INTERVAL ?= 10s
FOR ?= 10m
FAULT_EVERY ?= 15s
LEDGER ?= sqlite
.PHONY: chaos
chaos: environment build ## crash tests of the ledger: random faults, then a proof (SEED, CHECKS, INTERVAL, FOR, FAULT_EVERY, LEDGER=sqlite|postgres, HANG)
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w' -o bin/chaos-check ./test/chaos/check
	$(GO) build -o bin/chaos ./test/chaos
	bin/chaos -seed $(SEED) -checks $(CHECKS) -interval $(INTERVAL) -for $(FOR) -fault-every $(FAULT_EVERY) -ledger $(LEDGER) $(if $(HANG),-hang $(HANG))

N ?= 1000
STORE ?= sqlite
SCALE_RESULTS := .state/scale-results
.PHONY: scale
scale: INTERVAL = 60s
scale: environment build ## what a run costs with many checks (N, INTERVAL=60s, FOR, STORE=sqlite|postgres, SCALE='-khronicle PATH')
	@tools/build.sh kwok
	@if [ $(STORE) = postgres ]; then tools/packages.sh postgresql && tools/build.sh temporal-server; fi
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/scale ./test/scale
	bin/scale -n $(N) -interval $(INTERVAL) -for $(FOR) -store $(STORE) $(SCALE)

.PHONY: chaos-hang
chaos-hang: ## the ledger's database hangs for 10 minutes: every tick on time, and every record there afterwards (HANG)
	@tools/packages.sh postgresql
	$(MAKE) scale N=100 INTERVAL=10s SCALE='-timeout 9s -namespaces 5 -hang-ledger $(or $(HANG),10m) $(SCALE)'

.PHONY: scale-plot
scale-plot: ## draw the results of make scale to docs/images/scale.svg (SCALE_RESULTS is their folder)
	cd test/scale/plot && $(GO) run . -out $(CURDIR)/docs/images/scale.svg $(abspath $(wildcard $(SCALE_RESULTS)/*.json))

.PHONY: bench
bench: environment build bench-ledger ## measure Khronicle's own overhead on kubebox, and the ledger
	$(HERMETIC) $(GO) test -tags e2e -count=1 -timeout 30m -run '^$$' -bench . -benchtime 20x ./test/e2e

.PHONY: bench-ledger
bench-ledger: ## measure the ledger in SQLite and PostgreSQL (SIZE='-ledger.checks 1000 -ledger.days 3' is large)
	$(HERMETIC) $(GO) test -count=1 -timeout 3h -run '^$$' -bench . -benchtime 200x ./ledger -args $(SIZE)

.PHONY: bench-pages
bench-pages: browser ## measure the pages of 1,000 checks, on the server and in a browser
	$(HERMETIC) $(GO) test -count=1 -timeout 30m -run '^$$' -bench Pages ./web
	$(HERMETIC) $(GO) test -count=1 -timeout 30m -run '^$$' -bench FirstPaint -benchtime 1x ./test/browser

##@ Develop

.PHONY: generate
generate: ## make deepcopy code, CRDs and internal/lint/schema.json from api/v1, server, client and docs/api-reference.md from api/openapi.yaml, manifests from the chart, dashboards
	tools/gotool.sh oapi-codegen --config api/client.oapi.yaml api/openapi.yaml
	tools/gotool.sh oapi-codegen --config api/server.oapi.yaml api/openapi.yaml
	$(GO) run ./tools/apiref api/openapi.yaml docs/api-reference.md
	tools/gotool.sh controller-gen object paths=./api/... crd:maxDescLen=0 output:crd:dir=deploy/crds
	@# Kubernetes keys some lists of a pod since Kuberhealthy: as there, a check may have two variables of one name.
	sed -i '/x-kubernetes-list-map-keys:/,/x-kubernetes-list-type: map/d' deploy/crds/comcast.github.io_kh*.yaml
	$(HERMETIC) $(GO) test ./internal/lint -run TestSchemaIsThatOfTheDefinitions -update
	$(HERMETIC) $(GO) test ./deploy -run TestBundledTemporalHasTheSettingsOfDev -update
	tools/manifests.sh
	$(GO) -C test/dashboards run .

.PHONY: format
format: ## format all Go files
	@tools/gotool.sh golangci-lint fmt

.PHONY: tidy
tidy: ## go mod tidy in all modules
	$(GO) mod tidy
	@set -e; for module in $(NESTED); do $(GO) -C $$module mod tidy; done

.PHONY: prose-budget
prose-budget: ## lower the numbers of tools/prose/allowed.txt to what is left
	@$(GO) run ./tools/prose -lower

.PHONY: screenshots
screenshots: environment browser build ## take the pictures of the pages in docs/images anew, of real runs
	KHRONICLE_REQUIRE_ALL=1 $(HERMETIC) $(GO) test -tags e2e -count=1 -run '^TestPagesInABrowser$$' ./test/e2e
	cp .state/e2e/pictures/*.webp docs/images/

.PHONY: record
record: environment build ## record anew the workflow histories that the replay test reads
	$(HERMETIC) $(GO) test -tags e2e -count=1 -run TestRecordHistories ./test/e2e -args -record $(CURDIR)/workflows/testdata

.PHONY: vulnerabilities
vulnerabilities: # fails on a finding, but not where the database cannot be reached
	@tools/gotool.sh govulncheck $(PACKAGES) || { [ $$? -ne 3 ] && echo "govulncheck: the vulnerability database was not reached" >&2; } # 3 is a finding

.PHONY: verify
verify: go format tidy generate ## format, tidy, generate, lint, look for known vulnerabilities, then fail on a dirty tree
	@$(MAKE) --no-print-directory lint KUBEBOX_PACKAGES=./...
	@$(MAKE) --no-print-directory vulnerabilities
	@git diff --exit-code --stat || { echo "make verify changed files: commit them" >&2; exit 1; }
