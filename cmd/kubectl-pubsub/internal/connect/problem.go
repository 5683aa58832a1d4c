package connect

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// Access is a right in the cluster, in RBAC's terms.
type Access struct {
	Verb     string
	Resource string // with its API group, as kubectl auth can-i takes it
	// Name of the object; empty: all.
	Name string
	// Namespace; empty: all.
	Namespace string
}

func (a Access) canI() string {
	object, where := a.Resource, "--all-namespaces"
	if a.Name != "" {
		object += "/" + a.Name
	}
	if a.Namespace != "" {
		where = "-n " + a.Namespace
	}
	return fmt.Sprintf("kubectl auth can-i %s %s %s", a.Verb, object, where)
}

func (a Access) where() string {
	if a.Namespace == "" {
		return "in all namespaces"
	}
	return fmt.Sprintf("in namespace %q", a.Namespace)
}

// RequestError says what a failed request to the API server was for. If a right is missing, it
// names the right, and an alternative.
func RequestError(ctx context.Context, err error, access Access, otherwise string) error {
	switch {
	case apierrors.IsForbidden(err):
		if otherwise != "" {
			otherwise = ", or " + otherwise
		}
		return fmt.Errorf("you need the right to %s %s %s (check it with %s): ask an administrator for it%s: %w",
			access.Verb, access.Resource, access.where(), access.canI(), otherwise, err)
	case apierrors.IsUnauthorized(err):
		return fmt.Errorf("the API server does not know you: log in again, or check the user of the kubeconfig's context: %w", err)
	case errors.Is(err, context.DeadlineExceeded) && context.Cause(ctx) != nil:
		return fmt.Errorf("to %s %s %s: %w", access.Verb, access.Resource, access.where(), context.Cause(ctx))
	default:
		return fmt.Errorf("to %s %s %s: %w", access.Verb, access.Resource, access.where(), err)
	}
}
