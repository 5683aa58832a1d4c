# API servers of other minor versions of Kubernetes than the local cluster's, for `make kubernetes-test`, each built from Go
# modules at the newest patch that its go.mod pins. They have a folder of the user's cache of their own: the cluster's
# programs need none of them. The root Makefile includes this file after binaries.mk, whose definitions it uses.

APISERVERS_DIR  := $(E2E_DIR)/apiservers
APISERVERS_ROOT ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/pubsub-operator/apiservers

# The minor versions that have a go.mod here, as 1.30.
OTHER_K8S_VERSIONS := $(patsubst v%,%,$(notdir $(patsubst %/,%,$(dir $(wildcard $(APISERVERS_DIR)/v*/go.mod)))))

# $(1) is a minor version. Everything that decides what the binary is goes into the folder's name, as in TOOLS_DIR.
go_key  := $(shell $(GO) env GOVERSION GOOS GOARCH | paste -sd - -)
patch_of = $(shell sed -nE 's|^(require)?[[:space:]]*k8s.io/kubernetes (v[^ ]+).*|\2|p' $(APISERVERS_DIR)/v$(1)/go.mod | head -n 1)
sum_of   = $(shell cat $(APISERVERS_DIR)/v$(1)/go.mod $(APISERVERS_DIR)/v$(1)/go.sum | cksum | cut -d ' ' -f 1)

# The folder of a version's API server, with etcd and kubectl beside it; the cluster's own version is in TOOLS_DIR.
CLUSTER_K8S_VERSION := $(subst $() ,.,$(wordlist 1,2,$(subst ., ,$(patsubst v%,%,$(K8S_VERSION)))))
assets_dir = $(if $(filter $(CLUSTER_K8S_VERSION),$(1)),$(TOOLS_DIR),$(APISERVERS_ROOT)/kubernetes-$(call patch_of,$(1))_$(go_key)_$(call sum_of,$(1)))

# Without a version the server calls itself v0.0.0-master. $(1) is the patch, as v1.30.14.
apiserver_ldflags = -s -w \
	-X k8s.io/component-base/version.gitVersion=$(1) \
	-X k8s.io/component-base/version.gitMajor=$(word 1,$(subst ., ,$(patsubst v%,%,$(1)))) \
	-X k8s.io/component-base/version.gitMinor=$(word 2,$(subst ., ,$(patsubst v%,%,$(1))))

.PHONY: apiserver-assets apiserver-assets-$(CLUSTER_K8S_VERSION) $(addprefix apiserver-assets-,$(OTHER_K8S_VERSIONS))
apiserver-assets: ## Build kube-apiserver of Kubernetes 1.30 and 1.33 (cached)
apiserver-assets-$(CLUSTER_K8S_VERSION): envtest-binaries

# The rules of one minor version, $(1), with the folder $(2) and the patch $(3).
define apiserver_rules
apiserver-assets apiserver-assets-$(1): $(2)/kube-apiserver $(2)/etcd $(2)/kubectl

$(2)/kube-apiserver:
	@echo 'building kube-apiserver $(3) (about 5 minutes the first time on 2 cores, then seconds)'
	@mkdir -p $(2)
	@cd $(APISERVERS_DIR)/v$(1) && $$(go_build) -ldflags '$(call apiserver_ldflags,$(3))' -o $$@.tmp.$$$$$$$$ k8s.io/kubernetes/cmd/kube-apiserver \
		&& mv -f $$@.tmp.$$$$$$$$ $$@ || { rm -f $$@.tmp.$$$$$$$$; exit 1; }

$(2)/etcd $(2)/kubectl: $(2)/%: $(TOOLS_DIR)/%
	@mkdir -p $(2)
	@ln -sfn $(TOOLS_DIR)/$$* $$@
endef
$(foreach version,$(OTHER_K8S_VERSIONS),$(eval $(call apiserver_rules,$(version),$(call assets_dir,$(version)),$(call patch_of,$(version)))))
