package build

import (
	"strings"
)

// literal is a value of a container's environment that the kubelet turns into text again: it
// puts other variables in for $(NAME), and makes one $ of two (Kubernetes 1.36,
// third_party/forked/golang/expansion/expand.go). A worker would read another queue than the
// scaler. Each $ is doubled then; what the kubelet leaves as it is stays as it is here, so
// that no running pod changes for it.
func literal(text string) string {
	if !strings.Contains(text, "$$") && !strings.Contains(text, "$(") {
		return text
	}
	return strings.ReplaceAll(text, "$", "$$")
}
