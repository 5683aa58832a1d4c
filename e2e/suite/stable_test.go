package suite

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

var (
	errWrong  = errors.New("spec.replicas is 5")
	errBroken = fmt.Errorf("reading: %w", &url.Error{Op: "Get", URL: "https://h", Err: syscall.ECONNRESET})
)

// A look that fails tells nothing of the value; a wrong value ends the wait at once.
func TestAConditionHoldsAlthoughALookFails(t *testing.T) {
	const window = 10 * time.Second
	for name, test := range map[string]struct {
		sees func(look int) error // looks are counted from 1
		want error
		seen samples
	}{
		"it holds":                       {func(int) error { return nil }, nil, samples{held: 21}},
		"a look fails":                   {at(3, errBroken), nil, samples{held: 20, unread: 1}},
		"the last look fails":            {at(21, errBroken), nil, samples{held: 21, unread: 1}},
		"the first look fails":           {at(1, errBroken), nil, samples{held: 20, unread: 1}},
		"the value is wrong":             {at(3, errWrong), errWrong, samples{held: 2}},
		"wrong at once":                  {at(1, errWrong), errWrong, samples{}},
		"wrong after a look that failed": {func(look int) error { return []error{nil, errBroken, errWrong}[look-1] }, errWrong, samples{held: 1, unread: 1}},
		"it is never read":               {func(int) error { return errBroken }, errBroken, samples{unread: 240}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				looks := 0
				seen, err := holds(t.Context(), window, func(context.Context) error {
					looks++
					return test.sees(looks)
				})
				require.ErrorIs(t, err, test.want)
				assert.Equal(t, test.seen, seen)
			})
		})
	}
}

// at is an error of one look.
func at(failing int, err error) func(int) error {
	return func(look int) error {
		if look == failing {
			return err
		}
		return nil
	}
}

func TestWhatIsTransient(t *testing.T) {
	deployments := schema.GroupResource{Group: "apps", Resource: "deployments"}
	for _, err := range []error{
		errBroken, context.DeadlineExceeded, apierrors.NewServerTimeout(deployments, "get", 1), apierrors.NewTooManyRequests("later", 1),
		apierrors.NewServiceUnavailable("starting"), apierrors.NewInternalError(errors.New("etcd")), apierrors.NewTimeoutError("slow", 1),
	} {
		assert.True(t, transient(fmt.Errorf("reading: %w", err)), err)
	}
	for _, err := range []error{errWrong, context.Canceled, apierrors.NewNotFound(deployments, "mailer"), apierrors.NewForbidden(deployments, "mailer", nil), apierrors.NewConflict(deployments, "mailer", nil)} {
		assert.False(t, transient(err), err)
	}
}
