# Every command of the project. `make demo` and `make test` need nothing but Go and, on Debian, root.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

GO      ?= go
# The commit, and a checksum of what is not committed: a pod never runs an older image of the same name.
ifndef VERSION
VERSION := $(shell v=$$(git describe --tags --always 2>/dev/null || echo dev); \
	if [ -n "$$(git status --porcelain 2>/dev/null)" ]; then \
		v=$$v-$$({ git diff HEAD; git ls-files -o --exclude-standard -z | xargs -0r cat; } 2>/dev/null | cksum | cut -d ' ' -f 1); \
	fi; echo $$v)
endif
CLUSTER_DIR ?= $(CURDIR)/.cluster
IMAGES_DIR  ?= $(CURDIR)/dist/images

# The cluster's programs (TOOLS_DIR), and the Debian packages.
include e2e/binaries.mk
# API servers of other versions.
include e2e/apiservers.mk
# The programs that generate and check code (DEV_TOOLS_DIR).
include dev-tools.mk

export PATH := $(DEV_TOOLS_DIR):$(TOOLS_DIR):$(PATH)

# Everything but the tests with -race is compiled in the same way as the images' and the cluster's programs, so that
# each package is compiled once.
static    := CGO_ENABLED=0 $(GO)
# With half as much memory again, the linters take three quarters of the time.
lint_with := CGO_ENABLED=0 GOGC=200 GOFLAGS="$(shell $(GO) env GOFLAGS) -trimpath" $(GOLANGCI_LINT) run

.PHONY: help
help: ## Show this help
	@grep -hE '^[a-z0-9-]+:.*?## ' $(MAKEFILE_LIST) | sort -u | awk -F ':.*?## ' '{printf "  %-18s %s\n", $$1, $$2}'

##@ Everyday

.PHONY: build
build: ## Build the programs into bin/
	$(static) build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o bin/ ./cmd/...
	cp cmd/kubectl-pubsub/kubectl_complete-pubsub bin/

PLUGIN_PLATFORMS ?= linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64

.PHONY: plugin-archives
plugin-archives: ## Build the kubectl plugin for all platforms into dist/plugin, with krew's manifest (PLUGIN_PLATFORMS)
	@rm -rf dist/plugin && mkdir -p dist/plugin
	@sed 's/VERSION/$(VERSION)/' deploy/krew/pubsub.yaml > dist/plugin/pubsub.yaml
	@for platform in $(PLUGIN_PLATFORMS); do \
		os=$${platform%/*} arch=$${platform#*/}; name=kubectl-pubsub_$${os}_$$arch; folder=dist/plugin/$$name; mkdir $$folder; \
		GOOS=$$os GOARCH=$$arch $(static) build -trimpath -buildvcs=false -ldflags '-s -w -X main.version=$(VERSION)' -o $$folder/ ./cmd/kubectl-pubsub; \
		cp LICENSE cmd/kubectl-pubsub/kubectl_complete-pubsub $$folder/; \
		tar -C $$folder -czf $$folder.tar.gz . && rm -r $$folder; \
		sum=$$(sha256sum $$folder.tar.gz | cut -d ' ' -f 1); echo "$$sum  $$name.tar.gz" >> dist/plugin/SHA256SUMS; \
		sed -i "s/SHA256_$${os}_$$arch/$$sum/" dist/plugin/pubsub.yaml; \
	done
	@! grep -n 'VERSION\|SHA256_' dist/plugin/pubsub.yaml | grep -v '^[0-9]*:#' || { echo 'dist/plugin/pubsub.yaml lacks a platform of PLUGIN_PLATFORMS' >&2; exit 1; }

# These have no goroutine, and with -race they take ten times as long.
without_goroutines := ./scaler/policy ./simulation ./translator/behavior
# It applies a thousand channels over one another, in turn, and with -race that takes most of what its package takes.
without_race := TestAppliedOverIsAppliedAlone
# These mostly wait. Go tests packages in the order that it is given, and compiles the others meanwhile.
longest := ./translator ./cmd/subscriber ./scaler/broker ./scaler/sampling/samplingtest ./cmd/kubectl-pubsub

# Without vet, which would go through all that is imported; the linters vet. The integration tests mostly wait for an API
# server, so more of them run at once than there are processors.
.PHONY: test
test: test-packages envtest-binaries ## Install what the tests need, and run the unit and integration tests with -race
	@echo 'testing the product: unit tests, a real redis-server, a real kube-apiserver (10 to 18 minutes on 2 cores, and about 25 the first time; nothing is told before the longest ends)'
	packages=$$($(GO) list -tags integration ./... | grep -vxF "$$($(GO) list $(without_goroutines))"); \
	KUBEBUILDER_ASSETS=$(TOOLS_DIR) $(GO) test -race -vet=off -tags integration -p 3 -parallel 8 -timeout 60m -skip '^$(without_race)$$' $(longest) $$packages
	$(static) test -vet=off -trimpath -timeout 30m $(without_goroutines)
	KUBEBUILDER_ASSETS=$(TOOLS_DIR) $(static) test -vet=off -trimpath -tags integration -timeout 30m -run '^$(without_race)$$' ./translator
	@echo 'testing the test cluster and the demo'
	$(GO) -C e2e test -race -vet=off -timeout 30m ./...

CASES    ?= 1000000
FUZZTIME ?= 10m

.PHONY: property-test
property-test: ## Try the policy's properties on a million random specs (CASES)
	$(GO) test -count 1 -timeout 30m -v -run 'Flap|Limits|Monotone|AtLeast|WithoutWork|TwoScalers|HPAComes' ./scaler/policy -cases $(CASES)

ROWS ?= .

.PHONY: mutation-test
mutation-test: test-packages ## Take away each row of the tables that join the rooms, change each operator of pure rooms, and see that a test notices (ROWS)
	$(GO) test -vet=off -tags mutation -v -count 1 -parallel 2 -timeout 120m ./internal/mutation -rows '$(ROWS)'

PAIRS ?= 10000

.PHONY: pairs-test
pairs-test: envtest-binaries ## Apply 10,000 random channels over one another, and each alone, and compare (PAIRS)
	KUBEBUILDER_ASSETS=$(TOOLS_DIR) $(GO) test -vet=off -tags integration -count 1 -timeout 120m -v -run TestAppliedOverIsAppliedAlone ./translator -pairs $(PAIRS)

.PHONY: fuzz
fuzz: ## Fuzz the trigger's parser, Explain and servers' replies, 10 minutes each (FUZZTIME)
	$(GO) test -run '^$$' -fuzz FuzzParse -fuzztime $(FUZZTIME) -fuzzminimizetime 1000x ./scaler/trigger
	$(GO) test -run '^$$' -fuzz FuzzExplain -fuzztime $(FUZZTIME) -fuzzminimizetime 1000x ./scaler
	$(GO) test -run '^$$' -fuzz FuzzReplies -fuzztime $(FUZZTIME) -fuzzminimizetime 1000x ./scaler/broker

# Modules of their own. What they are built from, they share with the cluster's programs: the same versions, built in
# the same way, so that it comes from the build cache. (vet would go through all of it, without a cache at first.)
# .ci/run has some of them run on processors that nothing else wants, so they have more than Go's 10 minutes.
as_the_cluster = CGO_ENABLED=0 $(GO) -C e2e/$(1) test -vet=off -trimpath -count 1 -timeout 30m

.PHONY: hpa-test
hpa-test: ## Hold the policy, and the simulation's model of the HPA, against the HPA's own code
	$(call as_the_cluster,hpa) ./...

.PHONY: conformance
conformance: test-packages ## Run the conformance suite for external scalers on ours, and on broken ones; hold schedules against KEDA's cron scaler
	$(GO) -C e2e/conformance test -race -vet=off -timeout 20m ./contract ./internal/...
	$(call as_the_cluster,conformance) -parallel 8 .
	$(call as_the_cluster,benchmarks) -run TestSchedules .

# npm writes this file last. Optional are only parts in machine code.
node_modules := e2e/frameworks/node/node_modules/.package-lock.json
$(node_modules): $(addprefix e2e/frameworks/node/,package.json package-lock.json .npmrc) | node-packages
	cd e2e/frameworks/node && npm ci --ignore-scripts --omit=optional --no-audit --no-fund --loglevel=error
	@touch $@

.PHONY: frameworks-test
frameworks-test: test-packages job-packages $(node_modules) ## Hold the presets against the job frameworks themselves, and tell both counts of each step
	@mkdir -p dist
	$(call as_the_cluster,frameworks) -parallel 8 . -table $(CURDIR)/dist/frameworks.txt
	@cat dist/frameworks.txt

MESSAGES ?= 1000000
RATE     ?= 1000
FAULTS   ?= all
SEED     ?= 0

.PHONY: chaos
chaos: test-packages ## Account for each of a million messages of a list, and of a stream, under faults (MESSAGES, RATE, FAULTS, SEED)
	@mkdir -p dist/chaos
	$(call as_the_cluster,chaos) -timeout 0 -v . -messages $(MESSAGES) -rate $(RATE) -faults $(FAULTS) -seed $(SEED) -out $(CURDIR)/dist/chaos

# The types of the page's scripts, by TypeScript's own compiler: esbuild takes them away unseen.
page         := cmd/kubectl-pubsub/internal/dashboard/page
type_checker := e2e/dashboard/types/node_modules/.package-lock.json
$(type_checker): $(addprefix e2e/dashboard/types/,package.json package-lock.json .npmrc) | node-packages
	cd e2e/dashboard/types && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

.PHONY: dashboard-types
dashboard-types: $(type_checker) ## Check the types of the dashboard's page
	node e2e/dashboard/types/node_modules/typescript/bin/tsc -p $(page)

.PHONY: dashboard-test
dashboard-test: browser-packages envtest-binaries dashboard-types build ## Test the dashboard in Chromium, with a scripted server, and the plugin's on a real API server
	KUBEBUILDER_ASSETS=$(TOOLS_DIR) $(call as_the_cluster,dashboard) . -plugin $(CURDIR)/bin/kubectl-pubsub

.PHONY: dashboard-pictures
dashboard-pictures: browser-packages ## Take the pictures of docs/dashboard.md anew
	$(call as_the_cluster,dashboard) -run TestPictures . -update

.PHONY: dashboard-bench
dashboard-bench: browser-packages ## Measure the page with 1,000 channels that change every second: scripting for each frame, and memory
	$(call as_the_cluster,dashboard) -run '^$$' -bench . -benchtime 1x -timeout 20m .

.PHONY: bench
bench: test-packages ## Benchmark the scaler beside KEDA's redis scaler and an empty gRPC call
	$(call as_the_cluster,benchmarks) -run '^$$' -bench . -benchmem -timeout 60m .

.PHONY: bench-throughput
bench-throughput: test-packages ## Compare the default worker's throughput with bare loops of go-redis, on loopback and at 2.5 ms, as a table (3 minutes)
	$(static) test -vet=off -trimpath -count 1 -run '^$$' -bench Throughput -benchtime 1x -timeout 20m ./cmd/subscriber/internal/worker

CHANNELS ?= 1000 5000

.PHONY: bench-controller
bench-controller: envtest-binaries ## Benchmark the controller beside a bare client, with 1,000 and 5,000 channels (CHANNELS)
	for n in $(CHANNELS); do \
		KUBEBUILDER_ASSETS=$(TOOLS_DIR) $(GO) test -tags integration -run '^$$' -bench Controller -benchmem -benchtime $${n}x -count 1 -timeout 60m ./translator; \
	done

IDLE ?= 10m

.PHONY: quiet-test
quiet-test: envtest-binaries ## See that 200 idle channels cause no write for 10 minutes (IDLE)
	KUBEBUILDER_ASSETS=$(TOOLS_DIR) $(GO) test -race -tags integration -count 1 -timeout 60m -v -run TestSteadyStateWritesNothing ./translator -idle $(IDLE) -idle-interval 15s

VERSIONS ?= 1.30 1.33 1.36
api_tests := ./translator ./cmd/controller ./cmd/scaler ./cmd/kubectl-pubsub

.PHONY: kubernetes-test
kubernetes-test: ## Run the tests that need an API server on Kubernetes 1.30, 1.33 and 1.36 (VERSIONS)
	@failed=; for version in $(VERSIONS); do $(MAKE) kubernetes-test-$$version || failed="$$failed $$version"; done; \
	if [ -n "$$failed" ]; then echo "failed on Kubernetes$$failed" >&2; exit 1; fi

# What a test does without on an API server it says itself, and is told at the end.
.PHONY: $(addprefix kubernetes-test-,$(VERSIONS))
$(addprefix kubernetes-test-,$(VERSIONS)): kubernetes-test-%: test-packages apiserver-assets-%
	@echo 'testing on Kubernetes $* (about 5 minutes)'
	@mkdir -p dist/kubernetes-test
	@log=dist/kubernetes-test/$*.log status=0; \
	KUBEBUILDER_ASSETS=$(call assets_dir,$*) $(GO) test -vet=off -tags integration -count 1 -timeout 20m -v $(api_tests) > $$log 2>&1 || status=$$?; \
	[ $$status = 0 ] || { grep -E -A 30 '^ *(--- FAIL|panic:|FAIL)' $$log || cat $$log; }; \
	echo "$$(grep -cE '^--- PASS' $$log || true) tests passed on Kubernetes $* ($$log)"; \
	grep -oE 'Kubernetes [0-9.]+ lacks .*' $$log | sort | uniq -c || true; \
	exit $$status

# Kubernetes' programs come last: they share packages with the API server, which `make test` builds meanwhile.
.PHONY: build-ahead
build-ahead: images-ahead $(addprefix $(TOOLS_DIR)/,$(keda_binaries) coredns pause helm grpcurl) $(filter-out $(ENVTEST_BINARIES),$(addprefix $(TOOLS_DIR)/,$(kubernetes_binaries))) ## Build what `make e2e` needs and `make test` does without

# Compiled alone: the names of commits are linked in later.
.PHONY: images-ahead
images-ahead:
	$(static) list -trimpath -export -deps ./cmd/... > /dev/null
	$(static) -C e2e list -trimpath -export -deps -test -tags e2e ./... > /dev/null

.PHONY: tests-ahead
tests-ahead: ## Compile the tests of the modules in e2e
	for module in dashboard chaos frameworks conformance benchmarks; do $(static) -C e2e/$$module list -trimpath -export -deps -test . > /dev/null; done

.PHONY: tools-ahead
tools-ahead: $(DEV_TOOLS) ## Build the generators and linters

.PHONY: lint
lint: $(GOLANGCI_LINT) $(API_LINTER) ## Run the linters
	$(lint_with) --build-tags integration,mutation ./...
	CGO_ENABLED=0 $(API_LINTER) ./api/v1
	cd e2e && $(lint_with) --config ../.golangci.yml --build-tags e2e,cluster ./...
	cd e2e/conformance && $(lint_with) --config ../../.golangci.yml ./contract/... ./internal/...
	cd e2e/frameworks && $(lint_with) --config ../../.golangci.yml ./...
	cd e2e/chaos && $(lint_with) --config ../../.golangci.yml ./...
	cd e2e/monitoring && $(lint_with) --config ../../.golangci.yml ./...
	cd e2e/certmanager && $(lint_with) --config ../../.golangci.yml ./...
	cd e2e/manifests && $(lint_with) --config ../../.golangci.yml ./...
	cd e2e/dashboard && $(lint_with) --config ../../.golangci.yml --build-tags e2e ./...
	cd $(page)/bundle && $(lint_with) --config ../../../../../../.golangci.yml ./...

##@ Generated files

CHART := charts/pubsub-operator
# The packages whose tests write the tables of docs/metrics.md from their registries.
documented := ./cmd/internal/metrics ./cmd/publisher ./cmd/scaler ./cmd/subscriber/internal/metrics ./translator

.PHONY: generate
generate: $(CONTROLLER_GEN) $(CRD_REF_DOCS) $(BUF) $(PROTOC_GEN_GO) $(PROTOC_GEN_GO_GRPC) $(CHART_TOOLS) $(BUNDLE) $(TOOLS_DIR)/helm ## Regenerate all generated files
	$(CONTROLLER_GEN) object paths=./api/v1
	$(CONTROLLER_GEN) crd paths=./api/v1 output:crd:dir=$(CHART)/files/crds
	sed -i -f api/bounds.sed $(CHART)/files/crds/*.yaml
	$(CONTROLLER_GEN) rbac:roleName=controller paths=./translator/... output:rbac:dir=$(CHART)/files/rbac/controller
	$(CONTROLLER_GEN) rbac:roleName=scaler paths=./scaler/... output:rbac:dir=$(CHART)/files/rbac/scaler
	$(CONTROLLER_GEN) rbac:roleName=scaler-secrets paths=./cmd/scaler/... output:rbac:dir=$(CHART)/files/rbac/scaler-secrets
	$(CRD_REF_DOCS) --source-path api/v1 --config docs/api-template/config.yaml --templates-dir docs/api-template/markdown --renderer markdown --output-path docs/api.md --log-level ERROR
	cd proto && $(BUF) lint && $(BUF) generate
	$(static) test -vet=off -trimpath -count 1 -run TestMetricsDocument $(documented) -update
	cd $(CHART) && $(VALUES_SCHEMA) --config .schema.yaml
	$(HELM_DOCS) --chart-search-root $(CHART) --template-files README.md.gotmpl --log-level warning
	$(static) run -trimpath ./cmd/kubectl-pubsub simulate --trace all --compare all -o markdown --svg-dir docs/simulation > docs/simulation/results.md.tmp && mv docs/simulation/results.md.tmp docs/simulation/results.md
	$(static) run -trimpath ./cmd/kubectl-pubsub simulate --trace step --compare utilization --svg docs/simulation/policies.svg > /dev/null
	{ echo '# Generated by "make generate": the roles that the chart has with watchNamespaces, for tests.'; \
		helm template pubsub-operator $(CHART) --namespace pubsub-system --kube-version 1.36.0 --set 'watchNamespaces={shop,stock}' \
		--set controller.serviceAccount.name=controller --set scaler.serviceAccount.name=scaler \
		$(foreach role,controller scaler controller-leader-election,--show-only templates/$(role)-rbac.yaml) | sed 1d; } > translator/testdata/watched-roles.yaml
	$(BUNDLE) $(page)
	{ cat deploy/operator.header; helm template pubsub-operator $(CHART) --namespace pubsub-system --kube-version 1.36.0 --set tls.mode=disabled --set crds.keep=false --skip-tests; } > deploy/operator.yaml

generated = api proto charts deploy docs/api.md docs/metrics.md docs/simulation translator/testdata/watched-roles.yaml $(page)/dist

# What the contract is compared with: the last release; before there is one, where this branch left
# main, and on main itself the commit before.
define proto_against
against="$(PROTO_AGAINST)"; \
[ -n "$$against" ] || against=$$(git describe --tags --abbrev=0 --match 'v[0-9]*' 2>/dev/null) || \
against=$$(git merge-base HEAD origin/main 2>/dev/null || git merge-base HEAD main 2>/dev/null) || true; \
[ -z "$$against" ] || [ "$$(git rev-parse "$$against^{commit}")" != "$$(git rev-parse HEAD)" ] || against=$$(git rev-parse -q --verify HEAD^ || true)
endef

.PHONY: proto-breaking
proto-breaking: $(BUF) ## Fail where the contract breaks clients of the last release (or of PROTO_AGAINST, a commit)
	@$(proto_against); \
	if [ -z "$$against" ]; then echo 'proto-breaking: this clone has neither a release nor main, nor a commit before this one: nothing to compare the contract with (fetch them, or name a commit as PROTO_AGAINST)'; exit 0; fi; \
	before=$$(mktemp -d); trap 'rm -rf "$$before"' EXIT; \
	git archive "$$against" proto | tar -x -C "$$before"; \
	echo "comparing proto with that of $$against"; \
	$(BUF) breaking proto --against "$$before/proto"

# Without shellcheck and pyflakes, which one machine has and another has not.
.PHONY: workflow-lint
workflow-lint: $(ACTIONLINT) ## Lint the GitHub workflows
	$(ACTIONLINT) -shellcheck= -pyflakes=

.PHONY: verify
verify: generate proto-breaking workflow-lint ## Fail where generated files, formatting or go.mod are stale, or the contract breaks clients
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { echo 'not formatted:'; gofmt -l $$(git ls-files '*.go'); exit 1; }
	$(GO) mod tidy -diff
	for module in api/linter e2e e2e/hpa e2e/conformance e2e/benchmarks e2e/frameworks e2e/chaos e2e/monitoring e2e/certmanager e2e/manifests e2e/dashboard $(page)/bundle; do $(GO) -C $$module mod tidy -diff; done
	@test -z "$$(git status --porcelain -- $(generated))" || { git --no-pager diff -- $(generated) | head -100; git status --short -- $(generated); echo 'generated files are stale: run "make generate" and commit what it changes'; exit 1; }

.PHONY: chart-test
chart-test: $(CHART_TOOLS) $(TOOLS_DIR)/helm monitoring-test manifests-test ## Lint the chart, run its render tests, test its alerts and dashboards, and hold its manifests against an API server's schemas
	helm lint --strict $(CHART)
	$(HELM_UNITTEST) --strict $(CHART)
	$(call as_the_cluster,certmanager) . -helm $(TOOLS_DIR)/helm

.PHONY: monitoring-test
monitoring-test: $(PROMTOOL) $(TOOLS_DIR)/helm ## Hold the alerts and dashboards against promtool, PromQL's parser and docs/metrics.md
	$(call as_the_cluster,monitoring) . -helm $(TOOLS_DIR)/helm -promtool $(PROMTOOL)

.PHONY: manifests-test
manifests-test: envtest-binaries $(TOOLS_DIR)/helm $(TOOLS_DIR)/keda.yaml ## Hold the chart's manifests against an API server's schemas (kubeconform) and restricted Pod Security; look for values that nothing uses or tests
	KUBEBUILDER_ASSETS=$(TOOLS_DIR) $(call as_the_cluster,manifests) . -helm $(TOOLS_DIR)/helm -keda $(TOOLS_DIR)/keda.yaml

##@ On a cluster

# Where the scaler listens. KEDA must reach it to scale: on kind, SCALER_ADDRESS=172.18.0.1:9090, the machine as nodes see it.
SCALER_ADDRESS ?= 127.0.0.1:9090

# Only one may be at work in a cluster: they would undo each other's changes.
.PHONY: run
run: build ## Run controller and scaler on this machine against your kubeconfig, without TLS (SCALER_ADDRESS)
	@others=$$(kubectl get pods --all-namespaces --selector app=pubsub-operator --output name); \
	[ -z "$$others" ] || { echo "an operator runs in the cluster already ($$others): scale its Deployments to 0, or uninstall it" >&2; exit 1; }
	kubectl apply --server-side -f $(CHART)/files/crds
	kubectl wait --for=condition=Established --timeout=30s --filename $(CHART)/files/crds
	@echo 'Ctrl-C ends both. The scaler must reach the channels'"'"' servers from here, and KEDA the scaler at $(SCALER_ADDRESS).'
	@bin/scaler --grpc-bind-address $(SCALER_ADDRESS) --metrics-bind-address 127.0.0.1:8080 --health-probe-bind-address 127.0.0.1:8081 --log-format text & scaler=$$!; \
	trap 'kill $$scaler 2>/dev/null || true; wait' EXIT; \
	bin/controller --scaler-address $(SCALER_ADDRESS) --metrics-bind-address 127.0.0.1:8082 --health-probe-bind-address 127.0.0.1:8083 --log-format text

.PHONY: images
images: ## Build the container images as tars into dist/images, without Docker
	$(static) -C e2e run -trimpath ./cmd/images --out $(IMAGES_DIR) --version $(VERSION)

.PHONY: images-docker
images-docker: ## Build the container images with Docker
	for target in operator subscriber publisher; do DOCKER_BUILDKIT=1 docker build --target $$target --build-arg VERSION=$(VERSION) -t jawaracloud/$$(test $$target = operator && echo pubsub-operator || echo $$target):$(VERSION) .; done

HPA_SYNC_PERIOD ?= 15s
# Another node image of the pinned kind, with its digest: another version of Kubernetes. Only for kind.
KIND_IMAGE      ?=
cluster = $(static) -C e2e run -trimpath ./cmd/cluster
load_images = $(cluster) load --dir $(CLUSTER_DIR) --tools $(TOOLS_DIR) $(IMAGES_DIR)/*.tar

.PHONY: cluster-up
cluster-up: ## Bring a cluster with KEDA up: kind where Docker can pull, else a local node
	@provider=$$($(cluster) provider --kind-image '$(KIND_IMAGE)' --dir $(CLUSTER_DIR) --tools $(TOOLS_DIR)); $(MAKE) cluster-binaries-$$provider; \
	[ "$$provider" != node ] || [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null || $(MAKE) cluster-packages; \
	$(cluster) up --provider $$provider --dir $(CLUSTER_DIR) --tools $(TOOLS_DIR) --hpa-sync-period $(HPA_SYNC_PERIOD) --kind-image '$(KIND_IMAGE)'

.PHONY: cluster-down
cluster-down: ## Take the cluster down, without a trace (of kind, its node image stays in Docker)
	$(cluster) down --dir $(CLUSTER_DIR) --tools $(TOOLS_DIR)

.PHONY: cluster-load
cluster-load: test-packages images ## Build the images and load them into the cluster
	$(load_images)

# The images are built while the cluster starts, which mostly waits. Packages come first: apt-get is not to run twice at once.
# Not by make --jobs: it would wait for the cluster's processes, which have inherited its pipe.
.PHONY: cluster-ready
cluster-ready: test-packages
	@$(MAKE) images VERSION=$(VERSION) & images=$$! up=0; \
	$(MAKE) cluster-up HPA_SYNC_PERIOD=$(HPA_SYNC_PERIOD) || up=$$?; \
	wait $$images && exit $$up
	$(load_images)

.PHONY: e2e
e2e: HPA_SYNC_PERIOD = 5s
e2e: cluster-ready ## Run the end-to-end tests on the cluster
	KUBECONFIG=$(CLUSTER_DIR)/kubeconfig E2E_IMAGE_TAG=$(VERSION) E2E_HPA_SYNC=$(HPA_SYNC_PERIOD) \
		$(static) -C e2e test -vet=off -trimpath -tags e2e -count 1 -timeout 60m -v ./suite

.PHONY: e2e-rotation
e2e-rotation: HPA_SYNC_PERIOD = 5s
e2e-rotation: cluster-up cluster-load ## Replace the certificate authority during load on the cluster: no call may fail (10 minutes)
	KUBECONFIG=$(CLUSTER_DIR)/kubeconfig E2E_IMAGE_TAG=$(VERSION) E2E_HPA_SYNC=$(HPA_SYNC_PERIOD) E2E_ROTATION=1 \
		$(static) -C e2e test -vet=off -trimpath -tags e2e -count 1 -timeout 30m -v -run TestRotationFailsNoCall ./suite

# The last chart that made the certificates itself, before tls.mode.
OLD_CHART_COMMIT ?= b9994c6
OLD_CHART_DIR    := $(CURDIR)/dist/charts/$(OLD_CHART_COMMIT)

.PHONY: old-chart
old-chart:
	@git cat-file -e '$(OLD_CHART_COMMIT)^{commit}' 2>/dev/null || \
	{ echo 'commit $(OLD_CHART_COMMIT), with the older chart, is not in this clone; a shallow one gets it by: git fetch --unshallow' >&2; exit 1; }
	@rm -rf $(OLD_CHART_DIR) && mkdir -p $(OLD_CHART_DIR)
	@git archive --output $(OLD_CHART_DIR)/chart.tar $(OLD_CHART_COMMIT) $(CHART) && tar -x -C $(OLD_CHART_DIR) -f $(OLD_CHART_DIR)/chart.tar

.PHONY: e2e-takeover
e2e-takeover: HPA_SYNC_PERIOD = 5s
e2e-takeover: old-chart cluster-up cluster-load ## Upgrade from a chart that made the certificates itself, on the cluster: no call may fail (15 minutes)
	KUBECONFIG=$(CLUSTER_DIR)/kubeconfig E2E_IMAGE_TAG=$(VERSION) E2E_HPA_SYNC=$(HPA_SYNC_PERIOD) E2E_OLD_CHART=$(OLD_CHART_DIR)/$(CHART) \
		$(static) -C e2e test -vet=off -trimpath -tags e2e -count 1 -timeout 30m -v -run 'TestCertificatesOfAnOlderChartAreTakenOver|TestPodsFromBeforeAnUpgradeKeepTheirSecret|TestARenderedChartTakesCertificatesOver' ./suite

# What the test is given beside, as LIVE=-update to take docs/dashboard's pictures of the run anew.
LIVE ?=

.PHONY: e2e-dashboard
e2e-dashboard: HPA_SYNC_PERIOD = 5s
e2e-dashboard: cluster-up cluster-load browser-packages build ## Follow a scaling on the cluster in the dashboard, in Chromium (LIVE=-update: and take its pictures anew)
	$(static) -C e2e build -trimpath -o $(CURDIR)/dist/cluster ./cmd/cluster
	KUBECONFIG=$(CLUSTER_DIR)/kubeconfig E2E_IMAGE_TAG=$(VERSION) E2E_HPA_SYNC=$(HPA_SYNC_PERIOD) \
		$(call as_the_cluster,dashboard) -tags e2e -timeout 20m -v -run TestALiveScaling . \
		-plugin $(CURDIR)/bin/kubectl-pubsub -cluster '$(CURDIR)/dist/cluster --dir $(CLUSTER_DIR) --tools $(TOOLS_DIR)' $(LIVE)

.PHONY: e2e-measure
e2e-measure: HPA_SYNC_PERIOD = 5s
e2e-measure: cluster-up cluster-load ## Measure on the cluster: waking from 0, a rolling restart, scalers killed for 10 minutes
	for tests in 'TestWakeUpTimes|TestRollingRestart' TestScalersKilled; do \
		KUBECONFIG=$(CLUSTER_DIR)/kubeconfig E2E_IMAGE_TAG=$(VERSION) E2E_HPA_SYNC=$(HPA_SYNC_PERIOD) E2E_MEASURE=1 E2E_KILL_SECONDS=600 \
			$(static) -C e2e test -vet=off -trimpath -tags e2e -count 1 -timeout 60m -v -run "$$tests" ./suite; \
	done

.PHONY: demo
demo: cluster-up cluster-load ## Show the loop: a burst of messages, and replicas that follow it up and down
	$(static) -C e2e run -trimpath ./cmd/demo --kubeconfig $(CLUSTER_DIR)/kubeconfig --tools $(TOOLS_DIR) --image-tag $(VERSION)

TRACE  ?= flash
POLICY ?= threshold
SCALE  ?= 0.1

live = $(static) -C e2e run -trimpath ./cmd/live --kubeconfig $(CLUSTER_DIR)/kubeconfig --tools $(TOOLS_DIR) --image-tag $(VERSION) \
	--out $(CURDIR)/dist/live --scale $(SCALE) --hpa-sync-period $(HPA_SYNC_PERIOD)

.PHONY: live
live: cluster-up cluster-load ## Run a trace on the local node, and compare it with the simulation (TRACE=flash|steady|peak, POLICY=threshold|utilization|keda, SCALE)
	$(live) --trace $(TRACE) --policy $(POLICY)

.PHONY: case-study
case-study: cluster-up cluster-load ## Measure the case study: the flash sale with our policy and with KEDA's redis scaler, and the highest rate (25 minutes)
	for policy in threshold keda; do $(live) --trace flash --policy $$policy; done
	$(live) --trace peak --policy threshold

.PHONY: clean
clean: ## Delete what was built here (the tools in the user's cache stay)
	rm -rf bin dist
