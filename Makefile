SHELL := /usr/bin/env bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:

VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
FUZZTIME ?= 10s
TOOLS    ?= $(CURDIR)/bin/tools

export CGO_ENABLED ?= 0

CONTROLLER_GEN := $(TOOLS)/controller-gen
GOLANGCI_LINT  := $(TOOLS)/golangci-lint

##@ Use

.PHONY: help
help: ## Print this list of targets
	@awk 'BEGIN {FS = ":.*## "} /^##@ / {printf "\n%s\n", substr($$0, 5)} /^[a-z0-9-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: build ## Exhaust ports of a demo node, then widen its range by a NodeTuning (root; HOLD=1 keeps it running)
	hack/demo-cluster.sh

.PHONY: demo-local
demo-local: build ## Run only the agent while a network namespace exhausts its ports and recovers (root)
	hack/demo.sh

.PHONY: build
build: ## Build static bin/portreeve-agent, portreeve-controller and kubectl-portreeve for GOOS and GOARCH
	go build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=$(VERSION)" -o bin/ ./agent/cmd/portreeve-agent ./controllers/cmd/portreeve-controller ./controllers/cmd/kubectl-portreeve
	ln -sf kubectl-portreeve$$(go env GOEXE) bin/kubectl_complete-portreeve$$(go env GOEXE)

.PHONY: build-windows
build-windows: ## Build bin/portreeve-agent.exe
	GOOS=windows GOARCH=amd64 go build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=$(VERSION)" -o bin/ ./agent/cmd/portreeve-agent

.PHONY: images
images: ## Build bin/images/*.tar for Linux (amd64, arm64) and Windows, without a container engine
	VERSION=$(VERSION) hack/image/build.sh agent controller

.PHONY: deps
deps: ## Install the Debian packages that the tests need (root, apt-get)
	@hack/deps.sh qemu-system-x86 qemu-system-arm busybox-static cpio kmod nftables iproute2 wine64 \
	  containerd runc containernetworking-plugins iptables conntrack ethtool openssl
	@hack/prometheus/fetch.sh >/dev/null # unpacked only: installing it would start services

.PHONY: deps-bpf
deps-bpf: ## Install the Debian packages that generate-bpf needs (root)
	@hack/deps.sh clang llvm libbpf-dev linux-libc-dev

.PHONY: deps-bench
deps-bench: ## Install the programs that bench compares with (root; Debian starts node_exporter as a service)
	@hack/deps.sh prometheus-node-exporter iproute2

.PHONY: cluster-build
cluster-build: ## Build kube-apiserver, etcd and kubectl for tests from Go modules (first time: minutes)
	hack/cluster/build.sh

##@ Check

.PHONY: test
test: verify cluster-build test-unit test-images test-kernels ## Run all checks and tests; those that need root run only as root, in separate namespaces
	hack/wine/run.sh --where-possible
	hack/e2e/run.sh --where-possible

.PHONY: test-unit
test-unit: ## Run the tests of every package; those that need root are skipped without it
	@if [[ $$(id -u) != 0 ]]; then echo "not root: tests that need root are skipped"; fi
	@if [[ ! -x $$(hack/prometheus/fetch.sh dir)/prometheus ]] && ! command -v prometheus >/dev/null; then \
	  echo "no Prometheus: ALERTS AND DASHBOARDS ARE NOT TESTED; run make deps to fetch it"; fi
	go test -timeout 30m ./...

.PHONY: test-long
test-long: ## Run the tests with random histories with 10,000 histories each, for nightly runs
	PORTREEVE_HISTORIES=10000 go test -count=1 -timeout 120m ./agent/tuning ./controllers/...

.PHONY: test-images
test-images: images ## Check that images are small, static and reproducible
	PORTREEVE_IMAGES=$(CURDIR)/bin/images go test -count=1 -timeout 30m -run Built ./hack/image

.PHONY: test-kernels
test-kernels: ## Run the tests that read the kernel in virtual machines with Debian's kernels 5.10, 6.1 and 6.12
	hack/vm/run.sh
	hack/vm/run.sh -p ./agent/readers/portwalk 5.10

.PHONY: test-wine
test-wine: ## Test the Windows build under Wine, in separate namespaces (root, deps)
	hack/wine/run.sh

.PHONY: test-arm64
test-arm64: ## Test BPF programs and readers on emulated arm64, Debian's kernel 6.12 (minutes; not part of test)
	hack/vm/run.sh -p ./agent/readers/portwalk 6.12-arm64
	hack/vm/run.sh -p ./agent -p ./agent/readers/sockdiag -r GroundTruth 6.12-arm64

.PHONY: e2e
e2e: ## Test the chart with real kubelets and containerd, in separate namespaces (root, deps)
	hack/e2e/run.sh

.PHONY: verify
verify: verify-fast lint ## Run all static checks; changes no files

.PHONY: verify-fast
verify-fast: ## Run the static checks except the linter: gofmt, vet, generated code, import direction
	@unformatted=$$(gofmt -l .); \
	if [[ -n $$unformatted ]]; then echo "run gofmt -w on these files:"; echo "$$unformatted"; exit 1; fi
	GOOS=linux GOARCH=amd64 go vet ./...
	GOOS=linux GOARCH=arm64 go vet ./...
	GOOS=windows GOARCH=amd64 go vet ./...
	go test ./hack/verify
	hack/verify/generated.sh

.PHONY: lint
lint: $(GOLANGCI_LINT) ## Run golangci-lint (first build: minutes)
	$(GOLANGCI_LINT) run ./...

.PHONY: fuzz
fuzz: ## Run every fuzz target for FUZZTIME (10s)
	FUZZTIME=$(FUZZTIME) hack/fuzz.sh

.PHONY: bench
bench: build ## Compare the readers with ss and node_exporter; updates docs/benchmarks.md (root, deps-bench)
	hack/bench/run.sh

.PHONY: bench-cliff
bench-cliff: ## Measure connect() time by pool utilization; updates docs/benchmarks.md (root, a minute)
	hack/bench/run.sh -cliff

.PHONY: bench-scale
bench-scale: build ## Measure 5,000 agents with one API server and controller; updates docs/benchmarks.md (10 minutes)
	hack/cluster/build.sh
	go build -trimpath -buildvcs=false -o bin/hollow ./hack/hollow
	bin/hollow -programs "$$(hack/cluster/build.sh dir)"

##@ Change

.PHONY: generate
generate: generate-api generate-docs generate-chart generate-bpf ## Regenerate API code, CRDs, reference docs, chart files and BPF objects

.PHONY: generate-api
generate-api: $(CONTROLLER_GEN) ## Regenerate the validation of sysctls, deep copies and CRDs
	go run -trimpath ./hack/sysctlrule
	$(CONTROLLER_GEN) object paths=./api/...
	$(CONTROLLER_GEN) crd paths=./api/... output:crd:dir=config/crd
	go run -trimpath ./hack/statusschema

.PHONY: generate-docs
generate-docs: ## Regenerate docs/reference from API types, metrics, settings and chart values
	go run -trimpath ./hack/docs/api
	go run -trimpath ./hack/docs/metrics
	go run -trimpath ./hack/docs/settings
	go run -trimpath ./hack/docs/values

.PHONY: generate-chart
generate-chart: ## Generate the PrometheusRule, and copy it, CRDs, RBAC, policies and dashboards into the chart
	hack/prometheus/rule.sh >config/prometheus/prometheusrule.yaml
	rm -rf charts/portreeve/files
	for part in crd rbac admission; do \
	  mkdir -p charts/portreeve/files/$$part; \
	  cp config/$$part/*.yaml charts/portreeve/files/$$part/; \
	  rm charts/portreeve/files/$$part/kustomization.yaml; \
	done
	mkdir -p $(addprefix charts/portreeve/files/,prometheus tuning-pods release)
	cp config/components/tuning-pods/rbac.yaml charts/portreeve/files/tuning-pods/
	cp config/release/rbac.yaml charts/portreeve/files/release/
	cp -r $(addprefix config/prometheus/,portreeve.rules.yaml prometheusrule.yaml podmonitors.yaml dashboards) charts/portreeve/files/prometheus/

.PHONY: generate-bpf
generate-bpf: ## Regenerate the BPF objects (deps-bpf)
	@for tool in clang llvm-strip; do command -v $$tool >/dev/null || { echo "$$tool not found: run make deps-bpf"; exit 1; }; done
	go generate ./agent/...

.PHONY: clean
clean: ## Remove bin/
	rm -rf bin

# The tools are built from separate modules, so that go.mod stays small.
$(CONTROLLER_GEN): hack/tools/go.mod hack/tools/go.sum
	cd hack/tools && go build -trimpath -o $@ sigs.k8s.io/controller-tools/cmd/controller-gen

$(GOLANGCI_LINT): hack/lint/go.mod hack/lint/go.sum
	cd hack/lint && go build -trimpath -o $@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint
