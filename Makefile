# Khronicle. `make help` lists the targets.
SHELL := /bin/bash
.DEFAULT_GOAL := help
GO ?= go
export GOFLAGS ?= -buildvcs=false
export GOTOOLCHAIN ?= local
PACKAGES := ./...
# Short, because socket paths are; of its own for each clone.
export KUBEBOX_STATE ?= /var/tmp/kubebox-$(shell printf %s '$(CURDIR)' | sha256sum | cut -c1-8)
CONTROLLER_GEN := sigs.k8s.io/controller-tools/cmd/controller-gen@v0.23.0
GOLANGCI_LINT := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
WORKFLOWCHECK := go.temporal.io/sdk/contrib/tools/workflowcheck@v0.6.0
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.1.4

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

##@ Use

.PHONY: run
run: environment build ## run the demonstration: kubebox, Temporal, Khronicle and the examples (RUN_FOR=90s ends by itself)
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
build: ## build khronicle and the checks
	@mkdir -p bin
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags "-X main.version=$$(git describe --always --dirty 2>/dev/null)" -o bin/khronicle ./cmd/khronicle
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w' -o bin/checks ./checks

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
postgresql: python3 # what tests of the ledger need besides
	@tools/packages.sh postgresql

.PHONY: kubebox
kubebox: ## build the one-node Kubernetes (cached)
	@tools/build.sh kubebox

.PHONY: temporal
temporal: ## build the Temporal CLI (cached), or take the one on PATH
	@tools/build.sh temporal

##@ Test

.PHONY: test
test: go python3 postgresql ## all tests: unit and replay, then end to end; heavy tools are built meanwhile
	@# Nothing may be skipped because a tool is missing. What needs Temporal, which is built meanwhile, is tested by e2e.
	@KHRONICLE_REQUIRE_ALL=1 $(MAKE) --no-print-directory -j2 environment unit WITHOUT='/starter|/cmd/khronicle'
	@KHRONICLE_REQUIRE_ALL=1 $(MAKE) --no-print-directory e2e

.PHONY: unit
unit: alerts ## unit and replay tests
	$(GO) test $$($(GO) list $(PACKAGES) | grep -vE '($(or $(WITHOUT),none))$$')
	cd tools/kubebox && $(GO) test ./internal/...
	cd test/compose && $(GO) test -count=1 ./... # what it reads is outside the module, where the cache does not look
	cd test/scale/plot && $(GO) test ./...

.PHONY: alerts
alerts: go ## check the alert rules and run their tests with promtool
	@tools/build.sh promtool
	bin/promtool check rules deploy/prometheus/rules.yaml
	bin/promtool test rules deploy/prometheus/rules_test.yaml

.PHONY: e2e
e2e: environment python3 build ## end-to-end tests on kubebox and a real Temporal server (E2E='-run TestKill' selects)
	$(GO) test -count=1 ./starter ./cmd/khronicle # unit skips their tests against a real Temporal server while that is being built
	$(GO) test -tags e2e -count=1 -parallel 4 -timeout 60m ./test/e2e $(E2E)

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
	@if [ $(STORE) = postgres ]; then tools/packages.sh postgresql-15 && tools/build.sh temporal-server; fi
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/scale ./test/scale
	bin/scale -n $(N) -interval $(INTERVAL) -for $(FOR) -store $(STORE) $(SCALE)

.PHONY: chaos-hang
chaos-hang: ## the ledger's database hangs for 10 minutes: every tick on time, and every record there afterwards (HANG)
	@tools/packages.sh postgresql-15
	$(MAKE) scale N=100 INTERVAL=10s SCALE='-timeout 9s -namespaces 5 -hang-ledger $(or $(HANG),10m) $(SCALE)'

.PHONY: scale-plot
scale-plot: ## draw the results of make scale to docs/images/scale.svg (SCALE_RESULTS is their folder)
	cd test/scale/plot && $(GO) run . -out $(CURDIR)/docs/images/scale.svg $(abspath $(wildcard $(SCALE_RESULTS)/*.json))

.PHONY: bench
bench: environment build bench-ledger ## measure Khronicle's own overhead on kubebox, and the ledger
	$(GO) test -tags e2e -count=1 -timeout 30m -run '^$$' -bench . -benchtime 20x ./test/e2e

.PHONY: bench-ledger
bench-ledger: ## measure the ledger in SQLite and PostgreSQL (SIZE='-ledger.checks 1000 -ledger.days 3' is large)
	$(GO) test -count=1 -timeout 3h -run '^$$' -bench . -benchtime 200x ./ledger -args $(SIZE)

##@ Develop

.PHONY: generate
generate: ## make deepcopy code, CRDs and internal/lint/schema.json from api/v1
	$(GO) run $(CONTROLLER_GEN) object paths=./api/... crd:maxDescLen=0 output:crd:dir=deploy/crds
	@# Kubernetes keys some lists of a pod since Kuberhealthy: as there, a check may have two variables of one name.
	sed -i '/x-kubernetes-list-map-keys:/,/x-kubernetes-list-type: map/d' deploy/crds/comcast.github.io_kh*.yaml
	$(GO) test ./internal/lint -run TestSchemaIsThatOfTheDefinitions -update

.PHONY: record
record: environment build ## record anew the workflow histories that the replay test reads
	$(GO) test -tags e2e -count=1 -run TestRecordHistories ./test/e2e -args -record $(CURDIR)/workflows/testdata

.PHONY: lint
lint: ## vet, golangci-lint with the import rules of the rooms, workflowcheck
	$(GO) vet $(PACKAGES)
	$(GO) vet -tags e2e ./test/e2e
	@tools/lint.sh $(GOLANGCI_LINT) run $(PACKAGES)
	@tools/lint.sh $(WORKFLOWCHECK) $(PACKAGES)

.PHONY: verify
verify: ## format, tidy, generate, lint, look for known vulnerabilities, then fail on a dirty tree
	gofmt -l -w $$(git ls-files '*.go')
	$(GO) mod tidy
	$(MAKE) --no-print-directory generate lint
	@tools/lint.sh $(GOVULNCHECK) $(PACKAGES) || { [ $$? -ne 3 ] && echo "govulncheck: the vulnerability database was not reached" >&2; } # 3 is a finding
	@git diff --exit-code --stat || { echo "make verify changed files: commit them" >&2; exit 1; }
