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

// unreachableError is an ErrUnreachable whose words are its own.
type unreachableError struct{ error }

func (e *unreachableError) Unwrap() []error { return []error{e.error, ErrUnreachable} }

// RequestError says what a failed request to the API server was for, and the remedy. otherwise is one more, if there
// is a way without the request; empty: there is none. All errors of the API server's go through here.
func RequestError(ctx context.Context, err error, access Access, otherwise string) error {
	if otherwise != "" {
		otherwise = ", or " + otherwise
	}
	var transport *url.Error
	switch {
	case apierrors.IsForbidden(err):
		return forbidden(err, access, otherwise)
	case apierrors.IsUnauthorized(err):
		return fmt.Errorf("%s: %w", unknownUser, err)
	case context.Cause(ctx) != nil && (errors.Is(err, context.DeadlineExceeded) || errors.Is(ctx.Err(), context.DeadlineExceeded)):
		return fmt.Errorf("to %s: %w", access.what(), &unreachableError{context.Cause(ctx)})
	case ctx.Err() != nil: // Ctrl-C tells nothing of the server
		return fmt.Errorf("to %s: %w", access.what(), err)
	case errors.As(err, &transport):
		return fmt.Errorf("to %s: %w", access.what(), &unreachableError{unreached(transport)})
	}
	return fmt.Errorf("to %s: %w: %s%s", access.what(), err, remedy(err, access), otherwise)
}

const unknownUser = "the API server does not know you: log in again, or check the user of the kubeconfig's context (kubectl config view --minify)"

// forbidden tells a missing right from what else has the code 403.
func forbidden(err error, access Access, otherwise string) error {
	words := err.Error()
	switch {
	case strings.Contains(words, `User "system:anonymous"`):
		return fmt.Errorf("%s: %w", unknownUser, err)
	case strings.Contains(words, "cannot impersonate resource"):
		return fmt.Errorf("you need the right to act as another user: leave --as, --as-group and --as-uid out (or as in the kubeconfig), or ask an administrator for the right to impersonate: %w", err)
	case isRefusal(err):
		return fmt.Errorf("to %s: %w: %s", access.what(), err, ofRefusal)
	case madeUp(err) && !unread(err):
		return fmt.Errorf("to %s: %w: %s", access.what(), err, ofProxy)
	}
	return fmt.Errorf("you need the right to %s (check it with %s): ask an administrator for it%s: %w", access.what(), access.canI(), otherwise, err)
}
