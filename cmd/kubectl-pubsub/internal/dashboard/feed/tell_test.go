package feed

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/dashboard/record"
)

// Namespaces that are back at the same moment: the fleet must not be told last that one is away.
func TestTheLastWordIsOfTheLastState(t *testing.T) {
	f := feedOf(t, interceptor.Funcs{})
	f.add("bank")
	f.add("shop")
	f.tell("bank", scope{problem: "the API server is away"})
	f.tell("shop", scope{problem: "the API server is away"})
	f.now = func() time.Time {
		f.now = time.Now
		f.tell("shop", scope{}) // it comes in between
		return time.Now()
	}
	f.tell("bank", scope{})
	news, err := f.fleet.Since(&record.Cursor{}, time.Now())
	require.NoError(t, err)
	assert.True(t, news.Connection.Up, news.Connection.Problem)
}

// An API server that does not answer from the beginning: nothing is said of the namespaces.
func TestAwayFromTheBeginning(t *testing.T) {
	f := feedOf(t, interceptor.Funcs{})
	f.add("shop")
	f.tell("shop", scope{problem: "refused"})
	assert.Empty(t, f.fleet.Namespaces())
	f.tell("shop", scope{forbidden: "you need the right"})
	assert.Len(t, f.fleet.Namespaces(), 1)
}

// Namespaces that are not tried are told, with the remedy.
func TestNamespacesThatAreLeftOut(t *testing.T) {
	for name, test := range map[string]struct {
		list func(list *corev1.NamespaceList, next string) error
		want string
	}{
		"too many": {func(list *corev1.NamespaceList, next string) error {
			for i := range 150 {
				list.Items = append(list.Items, corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("ns-", next, i)}})
			}
			if next == "" {
				list.Continue = "more"
			}
			return nil
		}, "it is not permitted; only the first 200 of 300 namespaces are tried one by one: name others with --namespace"},
		"not permitted": {func(*corev1.NamespaceList, string) error {
			return apierrors.NewForbidden(schema.GroupResource{Resource: "namespaces"}, "", errors.New("no"))
		}, "it is not permitted; of the others only shop is tried, unless it was known before, because the namespaces are not known ("},
	} {
		t.Run(name, func(t *testing.T) {
			f := feedOf(t, interceptor.Funcs{List: func(_ context.Context, _ client.WithWatch, list client.ObjectList, options ...client.ListOption) error {
				return test.list(list.(*corev1.NamespaceList), (&client.ListOptions{}).ApplyOptions(options).Continue)
			}})
			f.add("")
			names, err := f.namespaces(t.Context(), "shop")
			if err == nil {
				assert.Contains(t, names, "shop")
				assert.Len(t, names, mostNamespaces+1)
			}
			f.tell("", scope{forbidden: "it is not permitted"})
			require.Len(t, f.fleet.Namespaces(), 1)
			assert.Contains(t, f.fleet.Namespaces()[0].Why, test.want)
		})
	}
}
