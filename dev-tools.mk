# The programs that generate and check code, built from Go modules at pinned versions into a
# folder of the user's cache whose name holds the versions: a bump of any rebuilds it.

CONTROLLER_TOOLS_VERSION   := v0.23.0
CRD_REF_DOCS_VERSION       := v0.3.0
BUF_VERSION                := v1.75.0
PROTOC_GEN_GO_VERSION      := v1.36.12
PROTOC_GEN_GO_GRPC_VERSION := v1.6.2
GOLANGCI_LINT_VERSION      := v2.15.0
ACTIONLINT_VERSION         := v1.7.12

CHART_TOOLS_MODULE := charts/pubsub-operator/tools
chart_tools_sum    := $(shell cat $(CHART_TOOLS_MODULE)/go.mod $(CHART_TOOLS_MODULE)/go.sum | cksum | cut -d ' ' -f 1)

DEV_TOOLS_ROOT ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/pubsub-operator/dev-tools
DEV_TOOLS_DIR  := $(DEV_TOOLS_ROOT)/controller-gen-$(CONTROLLER_TOOLS_VERSION)_crd-ref-docs-$(CRD_REF_DOCS_VERSION)_buf-$(BUF_VERSION)_go-$(PROTOC_GEN_GO_VERSION)_grpc-$(PROTOC_GEN_GO_GRPC_VERSION)_golangci-$(GOLANGCI_LINT_VERSION)_chart-$(chart_tools_sum)_$(shell $(GO) env GOVERSION GOOS GOARCH | paste -sd - -)

CONTROLLER_GEN     := $(DEV_TOOLS_DIR)/controller-gen
CRD_REF_DOCS       := $(DEV_TOOLS_DIR)/crd-ref-docs
BUF                := $(DEV_TOOLS_DIR)/buf
PROTOC_GEN_GO      := $(DEV_TOOLS_DIR)/protoc-gen-go
PROTOC_GEN_GO_GRPC := $(DEV_TOOLS_DIR)/protoc-gen-go-grpc
GOLANGCI_LINT      := $(DEV_TOOLS_DIR)/golangci-lint
HELM_DOCS          := $(DEV_TOOLS_DIR)/helm-docs
HELM_UNITTEST      := $(DEV_TOOLS_DIR)/helm-unittest
VALUES_SCHEMA      := $(DEV_TOOLS_DIR)/helm-values-schema-json
# For these, the own version is in the name, so that a bump rebuilds none of the others.
API_LINTER_MODULE  := api/linter
API_LINTER         := $(DEV_TOOLS_DIR)/api-linter-$(shell cat $(API_LINTER_MODULE)/go.mod $(API_LINTER_MODULE)/go.sum $(API_LINTER_MODULE)/main.go | cksum | cut -d ' ' -f 1)
ACTIONLINT         := $(DEV_TOOLS_DIR)/actionlint-$(ACTIONLINT_VERSION)
# Prometheus' own program for alerts, from the module of their tests.
PROMTOOL_MODULE    := e2e/monitoring
PROMTOOL           := $(DEV_TOOLS_DIR)/promtool-$(shell cat $(PROMTOOL_MODULE)/go.mod | cksum | cut -d ' ' -f 1)
# What bundles the dashboard's page.
BUNDLE_MODULE      := cmd/kubectl-pubsub/internal/dashboard/page/bundle
BUNDLE             := $(DEV_TOOLS_DIR)/bundle-$(shell cat $(BUNDLE_MODULE)/go.mod $(BUNDLE_MODULE)/go.sum $(BUNDLE_MODULE)/main.go | cksum | cut -d ' ' -f 1)
CHART_TOOLS        := $(HELM_DOCS) $(HELM_UNITTEST) $(VALUES_SCHEMA)
DEV_TOOLS          := $(CONTROLLER_GEN) $(CRD_REF_DOCS) $(BUF) $(PROTOC_GEN_GO) $(PROTOC_GEN_GO_GRPC) $(GOLANGCI_LINT) $(API_LINTER) $(ACTIONLINT) $(CHART_TOOLS) $(PROMTOOL) $(BUNDLE)

# GOBIN is a folder of its own, because go install writes in place: an interrupted build
# must leave nothing that looks finished.
define install_dev_tool
@echo 'building $(1) (up to 3 minutes the first time, then seconds)'
@mkdir -p $(DEV_TOOLS_DIR)
@GOBIN=$@.tmp GOGC=400 CGO_ENABLED=0 $(GO) install -trimpath -ldflags '-s -w' $(1) && mv -f $@.tmp/$(@F) $@; status=$$?; rm -rf $@.tmp; exit $$status
endef

$(CONTROLLER_GEN):
	$(call install_dev_tool,sigs.k8s.io/controller-tools/cmd/controller-gen@$(CONTROLLER_TOOLS_VERSION))
$(CRD_REF_DOCS):
	$(call install_dev_tool,github.com/elastic/crd-ref-docs@$(CRD_REF_DOCS_VERSION))
$(BUF):
	$(call install_dev_tool,github.com/bufbuild/buf/cmd/buf@$(BUF_VERSION))
$(PROTOC_GEN_GO):
	$(call install_dev_tool,google.golang.org/protobuf/cmd/protoc-gen-go@$(PROTOC_GEN_GO_VERSION))
$(PROTOC_GEN_GO_GRPC):
	$(call install_dev_tool,google.golang.org/grpc/cmd/protoc-gen-go-grpc@$(PROTOC_GEN_GO_GRPC_VERSION))
$(GOLANGCI_LINT):
	$(call install_dev_tool,github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION))

$(API_LINTER):
	@echo 'building the API linter (about 20 seconds the first time)'
	@mkdir -p $(DEV_TOOLS_DIR)
	@CGO_ENABLED=0 $(GO) -C $(API_LINTER_MODULE) build -trimpath -buildvcs=false -ldflags '-s -w' -o $@.tmp . && mv -f $@.tmp $@

$(ACTIONLINT):
	@echo 'building actionlint (about 10 seconds the first time)'
	@mkdir -p $(DEV_TOOLS_DIR)
	@GOBIN=$@.tmp CGO_ENABLED=0 $(GO) install -trimpath -ldflags '-s -w' github.com/rhysd/actionlint/cmd/actionlint@$(ACTIONLINT_VERSION) && mv -f $@.tmp/actionlint $@; status=$$?; rm -rf $@.tmp; exit $$status

$(BUNDLE):
	@echo 'building the bundler of the dashboard (about 15 seconds the first time)'
	@mkdir -p $(DEV_TOOLS_DIR)
	@CGO_ENABLED=0 $(GO) -C $(BUNDLE_MODULE) build -trimpath -buildvcs=false -ldflags '-s -w' -o $@.tmp . && mv -f $@.tmp $@

# One build makes all three.
$(CHART_TOOLS) &:
	@echo 'building helm-docs, helm-unittest and helm-values-schema-json (about 2 minutes the first time, then seconds)'
	@mkdir -p $(DEV_TOOLS_DIR)
	@GOGC=400 CGO_ENABLED=0 $(GO) -C $(CHART_TOOLS_MODULE) build -trimpath -buildvcs=false -ldflags '-s -w' -o $(DEV_TOOLS_DIR)/ tool

# Without the service discoveries, which are most of it and are not needed for unit tests.
$(PROMTOOL):
	@echo 'building promtool (about 2 minutes the first time)'
	@mkdir -p $(DEV_TOOLS_DIR)
	@GOGC=400 CGO_ENABLED=0 $(GO) -C $(PROMTOOL_MODULE) build -tags remove_all_sd -trimpath -buildvcs=false -ldflags '-s -w' -o $@.tmp github.com/prometheus/prometheus/cmd/promtool && mv -f $@.tmp $@
