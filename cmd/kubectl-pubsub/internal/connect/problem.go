package connect

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

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
	if a.isPath() {
		return fmt.Sprintf("kubectl auth can-i %s %s", a.Verb, a.Resource)
	}
	object, where := a.Resource, "--all-namespaces"
	if a.Name != "" {
		object += "/" + a.Name
	}
	if a.Namespace != "" {
		where = "-n " + a.Namespace
	}
	return fmt.Sprintf("kubectl auth can-i %s %s %s", a.Verb, object, where)
}

// isPath is whether it is of a path such as /version, which is in no namespace.
func (a Access) isPath() bool { return strings.HasPrefix(a.Resource, "/") }

// what is the right in words.
func (a Access) what() string {
	switch {
	case a.isPath():
		return a.Verb + " " + a.Resource
	case a.Namespace == "":
		return fmt.Sprintf("%s %s in all namespaces", a.Verb, a.Resource)
	default:
		return fmt.Sprintf("%s %s in namespace %q", a.Verb, a.Resource, a.Namespace)
	}
}

// ErrUnreachable is wrapped if the API server can't be reached, or did not answer in time.
var ErrUnreachable = errors.New("the API server can't be reached")

// RequestError says what a failed request to the API server was for. If a right is missing, it
// names the right, and an alternative.
func RequestError(ctx context.Context, err error, access Access, otherwise string) error {
	switch {
	case apierrors.IsForbidden(err):
		if otherwise != "" {
			otherwise = ", or " + otherwise
		}
		return fmt.Errorf("you need the right to %s (check it with %s): ask an administrator for it%s: %w",
			access.what(), access.canI(), otherwise, err)
	case apierrors.IsUnauthorized(err):
		return fmt.Errorf("the API server does not know you: log in again, or check the user of the kubeconfig's context: %w", err)
	case context.Cause(ctx) != nil && (errors.Is(err, context.DeadlineExceeded) || errors.Is(ctx.Err(), context.DeadlineExceeded)):
		return fmt.Errorf("to %s: %w", access.what(), &unreachableError{context.Cause(ctx)})
	}
	var transport *url.Error
	if errors.As(err, &transport) && ctx.Err() == nil {
		server := transport.URL
		if parsed, bad := url.Parse(transport.URL); bad == nil {
			server = parsed.Scheme + "://" + parsed.Host
		}
		return fmt.Errorf("to %s: %w", access.what(), &unreachableError{fmt.Errorf("the API server %s can't be reached: %w: check the connection, and that this is the cluster you mean (kubectl config current-context)", server, transport.Err)})
	}
	return fmt.Errorf("to %s: %w", access.what(), err)
}

// unreachableError is an ErrUnreachable whose words are its own.
type unreachableError struct{ error }

func (e *unreachableError) Unwrap() []error { return []error{e.error, ErrUnreachable} }
