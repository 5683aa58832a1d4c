package feed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/connect"
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
		"the API server is away": {func(*corev1.NamespaceList, string) error {
			return &url.Error{Op: "Get", URL: "https://server/api/v1/namespaces", Err: errors.New("connection refused")}
		}, "because the namespaces are not known (to list namespaces in all namespaces: the API server https://server can't be reached: connection refused: check the connection"},
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

// Why a list is refused, the API server says in its own words.
func TestARefusedListIsToldInTheAPIServersWords(t *testing.T) {
	answer := ""
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		status := metav1.Status{}
		if json.Unmarshal([]byte(answer), &status) == nil {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(int(status.Code))
		} else {
			w.WriteHeader(http.StatusForbidden)
		}
		_, _ = w.Write([]byte(answer))
	}))
	t.Cleanup(server.Close)
	cluster, err := connect.NewCluster(&rest.Config{Host: server.URL})
	require.NoError(t, err)
	f, err := New(cluster, record.New(time.Now()), time.Now)
	require.NoError(t, err)
	list := func(with string) error {
		answer = with
		_, _, err := f.newFollower("shop", nil).page(t.Context(), "")
		return err
	}
	const status = `{"kind":"Status","apiVersion":"v1","status":"Failure","message":%q,"reason":%q,"code":%d}`
	err = list(fmt.Sprintf(status, `User "jane" cannot list resource "pubsubchannels"`, metav1.StatusReasonForbidden, http.StatusForbidden))
	require.ErrorContains(t, err, `you need the right to list pubsubchannels.pubsub.jawaracloud.io in namespace "shop"`)
	require.ErrorContains(t, err, `User "jane" cannot list resource "pubsubchannels"`)
	assert.True(t, apierrors.IsForbidden(err))
	err = list(fmt.Sprintf(status, "too old", metav1.StatusReasonExpired, http.StatusGone))
	assert.True(t, apierrors.IsResourceExpired(err), "between two pages: the API server is not away (%v)", err)
	err = list("No entry")
	require.ErrorContains(t, err, "No entry")
	assert.ErrorContains(t, err, "these are not the API server's words")
}
