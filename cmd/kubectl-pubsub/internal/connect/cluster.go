// Package connect reaches the Kubernetes API as kubectl does, and through it, or directly,
// the scaler. Its errors name what is wrong and the remedy.
package connect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/pflag"
	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	_ "k8s.io/client-go/plugin/pkg/client/auth" // users of a kubeconfig with an auth provider, as kubectl has them

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/translator/reading"
)

// requestTimeout bounds one request to the API server unless --request-timeout says so.
const requestTimeout = 10 * time.Second

// ClusterFlags are kubectl's own flags, which say which cluster, as whom, and which
// namespace.
type ClusterFlags struct {
	// UserAgent names this program to the API server.
	UserAgent string

	rules     *clientcmd.ClientConfigLoadingRules
	overrides clientcmd.ConfigOverrides
}

// shown are the flags that --help lists; the others work as well.
var shown = map[string]bool{"kubeconfig": true, clientcmd.FlagContext: true, clientcmd.FlagNamespace: true}

// Bind adds the flags. --token, --username and --password are left out: other users of the
// machine can read a secret that is in a flag, and a kubeconfig can hold it.
func (f *ClusterFlags) Bind(flags *pflag.FlagSet) {
	f.rules = clientcmd.NewDefaultClientConfigLoadingRules()
	own := pflag.NewFlagSet("cluster", pflag.ContinueOnError)
	own.StringVar(&f.rules.ExplicitPath, "kubeconfig", "", "kubeconfig file (default: $KUBECONFIG, then ~/.kube/config)")
	names := clientcmd.RecommendedConfigOverrideFlags("")
	for _, secret := range []*clientcmd.FlagInfo{&names.AuthOverrideFlags.Token, &names.AuthOverrideFlags.Username, &names.AuthOverrideFlags.Password} {
		secret.LongName = "" // not bound
	}
	names.CurrentContext.Description = "context of the kubeconfig (default: its current one)"
	names.ContextOverrideFlags.Namespace.Description = "namespace (default: the context's)"
	clientcmd.BindOverrideFlags(&f.overrides, own, names)
	own.VisitAll(func(flag *pflag.Flag) { flag.Hidden = !shown[flag.Name] })
	flags.AddFlagSet(own)
}

func (f *ClusterFlags) loader() clientcmd.ClientConfig {
	return clientcmd.NewNonInteractiveDeferredLoadingClientConfig(f.rules, &f.overrides)
}

// Namespace is that of --namespace, the context's, or default. It asks nobody.
func (f *ClusterFlags) Namespace() (string, error) {
	namespace, _, err := f.loader().Namespace()
	if clientcmd.IsEmptyConfig(err) { // a scaler's --address needs no kubeconfig
		return cmp.Or(f.overrides.Context.Namespace, metav1.NamespaceDefault), nil
	}
	if err != nil {
		return "", kubeconfigError(err)
	}
	return namespace, nil
}

// Context is the name of the kubeconfig's context; empty if none is named.
func (f *ClusterFlags) Context() string {
	raw, err := f.loader().RawConfig()
	if err != nil {
		return ""
	}
	return cmp.Or(f.overrides.CurrentContext, raw.CurrentContext)
}

// Cluster is the Kubernetes API.
type Cluster struct {
	// Client knows PubSubChannels and the kinds of the list others, without asking the API
	// server for what it has.
	Client client.WithWatch

	config  *rest.Config
	timeout time.Duration
	clock   *clock
}

// Connect reads the kubeconfig; nothing is asked of the API server yet.
func (f *ClusterFlags) Connect() (*Cluster, error) {
	config, err := f.loader().ClientConfig()
	if clientcmd.IsEmptyConfig(err) {
		return nil, errors.New("no kubeconfig names a cluster: set KUBECONFIG or --kubeconfig, or choose a --context")
	}
	if err != nil {
		return nil, kubeconfigError(err)
	}
	config.UserAgent = f.UserAgent
	return NewCluster(config)
}

// others are the kinds of others that the plugin reads.
var others = []struct {
	kind  schema.GroupVersionKind
	scope meta.RESTScope
}{
	{corev1.SchemeGroupVersion.WithKind("Pod"), meta.RESTScopeNamespace},
	{corev1.SchemeGroupVersion.WithKind("Secret"), meta.RESTScopeNamespace},
	{corev1.SchemeGroupVersion.WithKind("Event"), meta.RESTScopeNamespace},
	{corev1.SchemeGroupVersion.WithKind("Namespace"), meta.RESTScopeRoot},
	{schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"}, meta.RESTScopeNamespace},
	{schema.GroupVersionKind{Group: "keda.sh", Version: "v1alpha1", Kind: "ScaledObject"}, meta.RESTScopeNamespace},
	{schema.GroupVersionKind{Group: "keda.sh", Version: "v1alpha1", Kind: "ClusterTriggerAuthentication"}, meta.RESTScopeRoot},
	{schema.GroupVersionKind{Group: "coordination.k8s.io", Version: "v1", Kind: "Lease"}, meta.RESTScopeNamespace},
	{schema.GroupVersionKind{Group: "authorization.k8s.io", Version: "v1", Kind: "SubjectAccessReview"}, meta.RESTScopeRoot},
	{schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"}, meta.RESTScopeRoot},
	{schema.GroupVersionKind{Group: "apiregistration.k8s.io", Version: "v1", Kind: "APIService"}, meta.RESTScopeRoot},
}

// NewCluster is for a configuration that is there already; its Timeout, where set, bounds
// each request.
func NewCluster(config *rest.Config) (*Cluster, error) {
	config = rest.CopyConfig(config)
	c := &Cluster{config: config, timeout: requestTimeout, clock: &clock{local: time.Now}}
	config.Wrap(c.clock.wrap)
	if config.Timeout > 0 {
		c.timeout = config.Timeout
	}
	config.Timeout = 0 // it would end watches
	config.WarningHandler = rest.NoWarnings{}
	config.QPS, config.Burst = 50, 300 // kubectl's
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{v1.AddToScheme, corev1.AddToScheme, appsv1.AddToScheme, authorizationv1.AddToScheme, coordinationv1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	mapper := meta.NewDefaultRESTMapper([]schema.GroupVersion{v1.GroupVersion, corev1.SchemeGroupVersion})
	mapper.Add(v1.GroupVersion.WithKind("PubSubChannel"), meta.RESTScopeNamespace)
	for _, other := range others {
		mapper.Add(other.kind, other.scope)
	}
	var err error
	if c.Client, err = client.NewWithWatch(config, client.Options{Scheme: scheme, Mapper: mapper}); err != nil {
		return nil, fmt.Errorf("preparing the client of the API server %s: %w: correct the kubeconfig's cluster and user (kubectl config view --minify)", config.Host, err)
	}
	return c, nil
}

// Raw is a client for PubSubChannels as the API server sends them, for who decodes them itself.
// Its requests are bounded by their context alone.
func (c *Cluster) Raw() (rest.Interface, error) {
	config, err := reading.Config(c.config)
	if err != nil {
		return nil, err
	}
	raw, err := rest.RESTClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("preparing the client of the API server %s: %w: correct the kubeconfig's cluster and user (kubectl config view --minify)", c.config.Host, err)
	}
	return raw, nil
}

// Host is the API server's address.
func (c *Cluster) Host() string { return c.config.Host }

// Bounded is a context for one request.
func (c *Cluster) Bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, c.timeout, fmt.Errorf("the API server %s gave no answer within %s: check the connection, or allow more with --request-timeout", c.config.Host, c.timeout))
}
