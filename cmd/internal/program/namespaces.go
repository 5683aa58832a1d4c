package program

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// namespaceName is the form of a namespace's name (RFC 1123, a label).
var namespaceName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)

// Namespaces reads the value of a flag that has namespaces, separated by commas. An empty value is
// nil. The error names the flag, the value and the remedy.
func Namespaces(flag, value string) ([]string, error) {
	if strings.TrimSpace(value) == "" {
		return nil, nil
	}
	var all []string
	for name := range strings.SplitSeq(value, ",") {
		if name = strings.TrimSpace(name); !namespaceName.MatchString(name) {
			return nil, fmt.Errorf("--%s is %q, and %q is no namespace's name: separate names by commas, for example shop,billing", flag, value, name)
		}
		all = append(all, name)
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}
