# The programs that the tests run on: a Kubernetes control plane and node, KEDA, CoreDNS, helm and grpcurl,
# all built from Go modules at pinned versions, so that a test needs no download but modules.
# The root Makefile includes this file; its folder may be used on its own with make -f.
#
#   make cluster-binaries   everything that a local node needs       (20 to 30 minutes the first time on 2 cores)
#   make cluster-binaries-kind   what is needed beside Docker and kind    (about 3 minutes the first time)
#   make envtest-binaries   etcd, kube-apiserver and kubectl alone   (about 5 minutes the first time)
#   make system-packages    the Debian packages that a local node and the tests need
#
# TOOLS_DIR is flat, so KUBEBUILDER_ASSETS can point at it.

E2E_DIR      := $(patsubst %/,%,$(dir $(lastword $(MAKEFILE_LIST))))
BINARIES_DIR := $(E2E_DIR)/binaries

# The version of a module that has a go.mod here is pinned by that go.mod; repeating it here could only disagree.
pinned = $(shell sed -nE 's|^(require)?[[:space:]]*$(2) (v[^ ]+).*|\2|p' $(BINARIES_DIR)/$(1)/go.mod | head -n 1)

K8S_VERSION     := $(call pinned,kubernetes,k8s.io/kubernetes)
KEDA_VERSION    := $(call pinned,keda,github.com/kedacore/keda/v2)
ETCD_VERSION    := $(call pinned,etcd,go.etcd.io/etcd/server/v3)
COREDNS_VERSION := $(call pinned,coredns,github.com/coredns/coredns)
HELM_VERSION    := v3.22.0
GRPCURL_VERSION := v1.9.4

GO ?= go

# Everything that decides what a binary is goes into the folder's name: a bump of anything lands in a new folder
# and rebuilds, and a fresh clone finds the folder that an earlier one filled. File times could give neither.
tools_inputs := $(sort $(wildcard $(addprefix $(BINARIES_DIR)/*/,go.mod go.sum *.go) $(E2E_DIR)/cmd/pause/*.go))
tools_sum    := $(shell cat $(tools_inputs) | cksum | cut -d ' ' -f 1)
TOOLS_KEY    := kubernetes-$(K8S_VERSION)_keda-$(KEDA_VERSION)_helm-$(HELM_VERSION)_grpcurl-$(GRPCURL_VERSION)_$(shell $(GO) env GOVERSION GOOS GOARCH | paste -sd - -)_$(tools_sum)
TOOLS_DIR    ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/pubsub-operator/tools/$(TOOLS_KEY)

kubernetes_binaries := kube-apiserver kubectl kube-controller-manager kube-scheduler kubelet kube-proxy
keda_binaries       := keda-operator keda-adapter keda-webhooks

ENVTEST_BINARIES := $(addprefix $(TOOLS_DIR)/,etcd kube-apiserver kubectl)
KIND_BINARIES    := $(addprefix $(TOOLS_DIR)/,kubectl keda.yaml helm grpcurl)
CLUSTER_BINARIES := $(addprefix $(TOOLS_DIR)/,etcd $(kubernetes_binaries) $(keda_binaries) coredns pause keda.yaml helm grpcurl)

# Without a version the server calls itself v0.0.0-master, which kubectl and helm refuse.
k8s_numbers := $(subst ., ,$(patsubst v%,%,$(K8S_VERSION)))
k8s_ldflags := -s -w \
	-X k8s.io/component-base/version.gitVersion=$(K8S_VERSION) \
	-X k8s.io/component-base/version.gitMajor=$(word 1,$(k8s_numbers)) \
	-X k8s.io/component-base/version.gitMinor=$(word 2,$(k8s_numbers)) \
	-X k8s.io/client-go/pkg/version.gitVersion=$(K8S_VERSION)
keda_ldflags := -s -w -X github.com/kedacore/keda/v2/version.Version=$(patsubst v%,%,$(KEDA_VERSION))

# Static, so that a binary also runs in an otherwise empty image. The compiler takes half as much memory again, and an
# eighth less time.
go_build = GOGC=400 CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false

# $(1) is a folder of the module, $(2) the package, $(3) the linker's flags. The binary gets its name last, so that
# an interrupted build leaves nothing that looks finished.
define build_binary
@mkdir -p $(TOOLS_DIR)
@cd $(E2E_DIR)/$(1) && $(go_build) -ldflags '$(3)' -o $(abspath $@).tmp.$$$$ $(2) \
	&& mv -f $(abspath $@).tmp.$$$$ $(abspath $@) || { rm -f $(abspath $@).tmp.$$$$; exit 1; }
endef

# $(1) is the package and version. GOBIN must be a folder of its own: go install writes in place.
define install_binary
@mkdir -p $(TOOLS_DIR)
@GOBIN=$(abspath $@).tmp GOGC=400 CGO_ENABLED=0 $(GO) install -trimpath -ldflags '-s -w' $(1) && mv -f $@.tmp/$(notdir $@) $@; \
	status=$$?; rm -rf $@.tmp; exit $$status
endef

.PHONY: cluster-binaries cluster-binaries-node cluster-binaries-kind envtest-binaries tools-dir
cluster-binaries cluster-binaries-node: $(CLUSTER_BINARIES) ## Build everything that a local node needs (cached)
cluster-binaries-kind: $(KIND_BINARIES) ## Build what the tests need beside kind and Docker (cached)
envtest-binaries: $(ENVTEST_BINARIES) ## Build etcd, kube-apiserver and kubectl for envtest (cached)
tools-dir: ## Print the folder of the built programs
	@echo '$(TOOLS_DIR)'

# Plain text, once, before each build that takes noticeable time.
seconds_etcd                    := 60
seconds_kube-apiserver          := 200
seconds_kubectl                 := 30
seconds_kube-controller-manager := 60
seconds_kube-scheduler          := 10
seconds_kubelet                 := 35
seconds_kube-proxy              := 15
seconds_keda-operator           := 390
seconds_keda-adapter            := 55
seconds_keda-webhooks           := 20
seconds_coredns                 := 60
seconds_helm                    := 100
seconds_grpcurl                 := 50
announce = @echo 'building $(notdir $@) $(1) (about $(seconds_$(notdir $@)) s the first time, then seconds)'

$(TOOLS_DIR)/etcd:
	$(call announce,$(ETCD_VERSION))
	$(call build_binary,binaries/etcd,.,-s -w)

$(addprefix $(TOOLS_DIR)/,$(kubernetes_binaries)):
	$(call announce,$(K8S_VERSION))
	$(call build_binary,binaries/kubernetes,k8s.io/kubernetes/cmd/$(@F),$(k8s_ldflags))

$(addprefix $(TOOLS_DIR)/,$(keda_binaries)):
	$(call announce,$(KEDA_VERSION))
	$(call build_binary,binaries/keda,github.com/kedacore/keda/v2/cmd/$(patsubst keda-%,%,$(@F)),$(keda_ldflags))

$(TOOLS_DIR)/coredns:
	$(call announce,$(COREDNS_VERSION))
	$(call build_binary,binaries/coredns,.,-s -w)

$(TOOLS_DIR)/pause:
	$(call build_binary,cmd/pause,.,-s -w)

$(TOOLS_DIR)/helm:
	$(call announce,$(HELM_VERSION))
	$(call install_binary,helm.sh/helm/v3/cmd/helm@$(HELM_VERSION))

$(TOOLS_DIR)/grpcurl:
	$(call announce,$(GRPCURL_VERSION))
	$(call install_binary,github.com/fullstorydev/grpcurl/cmd/grpcurl@$(GRPCURL_VERSION))

# KEDA's install manifest as its module ships it; the cluster puts the image tags in.
$(TOOLS_DIR)/keda.yaml: $(TOOLS_DIR)/kubectl
	@cd $(BINARIES_DIR)/keda && $(GO) mod download github.com/kedacore/keda/v2 && dir=$$($(GO) list -m -f '{{.Dir}}' github.com/kedacore/keda/v2) && \
		$(abspath $<) kustomize $$dir/config/default > $(abspath $@).tmp.$$$$ && mv -f $(abspath $@).tmp.$$$$ $(abspath $@) || { rm -f $(abspath $@).tmp.$$$$; exit 1; }

# Debian packages. Installed only where missing, so that a second run needs neither root nor the network, and one at a time:
# apt-get fails beside another. A server that a package starts must not get the lock (--close): it would keep it.
# The race detector needs a C compiler.
TEST_PACKAGES    := redis-server gcc libc6-dev openssl
NODE_PACKAGES    := nodejs npm
BROWSER_PACKAGES := chromium fonts-dejavu-core
JOB_PACKAGES     := python3-celery python3-redis python3-rq ruby-sidekiq ruby-redis-namespace php-cli php-redis php-illuminate-queue php-illuminate-redis
CLUSTER_PACKAGES := containerd runc containernetworking-plugins iptables conntrack util-linux mount iproute2 curl jq

define install_packages
@missing=; \
if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then \
	echo 'not a Debian system: install the equivalents of these packages yourself: $(1)' >&2; exit 1; \
fi; \
for p in $(1); do \
	case $$(dpkg-query -W -f '$${Status}' $$p 2>/dev/null) in *' installed') ;; *) missing="$$missing $$p" ;; esac; \
done; \
if [ -z "$$missing" ]; then exit 0; fi; \
if [ "$$(id -u)" != 0 ]; then \
	echo "missing packages:$$missing; as root: apt-get install --no-install-recommends$$missing" >&2; exit 1; \
fi; \
echo "installing$$missing"; \
DEBIAN_FRONTEND=noninteractive flock --close /var/lib/apt sh -c "apt-get update -q && apt-get install -y -q --no-install-recommends $$missing"
endef

.PHONY: system-packages test-packages node-packages job-packages browser-packages cluster-packages
system-packages: test-packages node-packages job-packages browser-packages cluster-packages ## Install every Debian package that the tests need
ifneq ($(shell for p in redis-server redis-cli openssl $$($(GO) env CC); do command -v $$p >/dev/null || echo $$p; done),)
test-packages: ## Install redis-server, openssl and a C compiler, which the race detector needs
	$(call install_packages,$(TEST_PACKAGES))
else
test-packages: # there already, from whatever source
endif
ifneq ($(shell for p in node npm; do command -v $$p >/dev/null || echo $$p; done),)
node-packages: ## Install Node.js and npm, which the tests with BullMQ need
	$(call install_packages,$(NODE_PACKAGES))
else
node-packages: # there already, from whatever source
endif
ifeq ($(shell for p in chromium chromium-browser google-chrome; do command -v $$p; done),)
browser-packages: ## Install Chromium, in which the dashboard is tested
	$(call install_packages,$(BROWSER_PACKAGES))
else
browser-packages: # there already, from whatever source
endif
# Debian's Python, Ruby and PHP, whichever others there are.
job-packages: ## Install Celery, RQ, Sidekiq and Laravel's queues, which the tests run
	$(call install_packages,$(JOB_PACKAGES))
cluster-packages: ## Install what the local test cluster's node runs on
	$(call install_packages,$(CLUSTER_PACKAGES))
