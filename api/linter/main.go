// Command linter checks the API's Go types by the Kubernetes API conventions: it runs
// kube-api-linter's checks by themselves. As a plugin they would need a golangci-lint built for
// them, of the version that kube-api-linter pins. It is a module of its own.
package main

import (
	"fmt"
	"os"

	"golang.org/x/tools/go/analysis/multichecker"
	"sigs.k8s.io/kube-api-linter/pkg/analysis/registry"
	"sigs.k8s.io/kube-api-linter/pkg/config"
	_ "sigs.k8s.io/kube-api-linter/pkg/registration" // registers the checks
)

// notOurs are checks that the API does not follow, with why.
var notOurs = []string{
	"conditions",     // its tags for protobuf and strategic merge are those of built-in types
	"defaults",       // it wants +default, which is for built-in types; controller-gen reads either
	"nodurations",    // spec.queue.maxAge, whose form the CRD's pattern holds
	"nophase",        // status.phase is the first operator's, and stays
	"optionalfields", // both want pointers in place of zero values that mean the default: what is sent and
	"requiredfields", // stored is the same
}

func main() {
	checks, err := registry.DefaultRegistry().InitializeLinters(config.Linters{Disable: notOurs}, config.LintersConfig{})
	if err != nil {
		fmt.Fprintln(os.Stderr, "kube-api-linter:", err)
		os.Exit(1)
	}
	multichecker.Main(checks...)
}
