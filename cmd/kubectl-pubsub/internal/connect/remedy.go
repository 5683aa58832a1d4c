package connect

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	ofConnection = "check the connection, and that this is the cluster you mean (kubectl config current-context)"
	ofServer     = "correct server of the kubeconfig's cluster (kubectl config view --minify)"
	ofRefusal    = "a policy of the cluster refuses it, whatever rights you have: do what it says, or ask who runs the cluster"
	ofProxy      = "these are not the API server's words, so a proxy or a gateway before it refuses: log in there, or check the proxy (HTTPS_PROXY, NO_PROXY) and the kubeconfig's server"
	ofOverload   = "try again in a minute; if it stays so, ask who runs the cluster (kubectl get --raw '/readyz?verbose' tells what is not ready)"
)

// unreached says why there is no connection to the API server, and the remedy.
func unreached(failed *url.Error) error {
	server := failed.URL
	if parsed, bad := url.Parse(failed.URL); bad == nil {
		server = parsed.Scheme + "://" + parsed.Host
	}
	err := failed.Err
	var authority x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	var unknownHost *net.DNSError
	var operation *net.OpError
	switch {
	case errors.As(err, &authority):
		return fmt.Errorf("the certificate of the API server %s is of an authority that the kubeconfig does not name: %w: correct certificate-authority of its cluster, or find out which proxy answers in its place", server, err)
	case errors.As(err, &name):
		return fmt.Errorf("the certificate of the API server %s is for another name: %w: correct server of the kubeconfig's cluster, or set tls-server-name there", server, err)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return fmt.Errorf("the certificate of the API server %s is not valid at this time: %w: check this machine's clock (date -u), or have the certificate renewed", server, err)
	case isAlert(err):
		return fmt.Errorf("the API server %s refuses the kubeconfig's client certificate, or the lack of one: %w: log in again, or renew it", server, err)
	case errors.Is(err, http.ErrSchemeMismatch):
		return fmt.Errorf("what answers at %s does not speak TLS: %w: %s", server, err, ofServer)
	case strings.Contains(err.Error(), "getting credentials"): // of a program that the kubeconfig names; client-go has no type for it
		return fmt.Errorf("no credentials for the API server %s: %w: log in again, or install the program that the kubeconfig's user names (kubectl config view --minify)", server, err)
	case errors.As(err, &operation) && operation.Op == "proxyconnect":
		return fmt.Errorf("the proxy to the API server %s can't be reached: %w: correct HTTPS_PROXY, or name the server in NO_PROXY", server, err)
	case errors.As(err, &unknownHost):
		return fmt.Errorf("the API server %s can't be reached: %w: check the connection (VPN), or %s", server, err, ofServer)
	}
	return fmt.Errorf("the API server %s can't be reached: %w: %s", server, err, ofConnection)
}

// remedy is that of an error that the API server, or what is in its place, answered with.
func remedy(err error, access Access) string {
	switch {
	case isRefusal(err):
		return ofRefusal
	case strings.Contains(err.Error(), "failed calling webhook"):
		return "a webhook of the cluster does not answer: see to the pods of its Service, or ask who runs the cluster"
	case NoSuchKind(err):
		return fmt.Sprintf("the cluster has no %s of the version that this plugin reads: install what they belong to, or choose another --context", access.Resource)
	case apierrors.IsNotFound(err):
		return "it was deleted meanwhile, or never there: kubectl get with the same context shows what there is"
	case apierrors.IsTooManyRequests(err), apierrors.IsServiceUnavailable(err), apierrors.IsTimeout(err), apierrors.IsServerTimeout(err), apierrors.IsInternalError(err):
		return ofOverload
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err):
		return "correct what it names; if that is not yours, the plugin may be older or newer than the operator (kubectl pubsub version)"
	case apierrors.ReasonForError(err) == metav1.StatusReasonUnknown: // it is no answer of the API server's
		return "if these are not the words of an API server, " + ofServer + "; kubectl get with -v=6 shows what answers"
	}
	return "try the same with kubectl, which tells more with -v=6"
}

// Body is the body of an answer. Its error has the API server's own words, which that of Result.Raw has not: client-go makes
// that up from the code, as if no API server had answered.
func Body(result rest.Result) ([]byte, error) {
	if err := result.Error(); err != nil {
		return nil, err
	}
	return result.Raw()
}

// NoSuchKind tells a missing kind of objects, or a missing path, from a missing object: client-go makes the error of the
// former up from a bare 404.
func NoSuchKind(err error) bool {
	var status apierrors.APIStatus
	return apierrors.IsNotFound(err) && (madeUp(err) || errors.As(err, &status) && status.Status().Details == nil)
}

// madeUp is whether client-go made an error up from the code of an answer that was no Status.
func madeUp(err error) bool {
	return apierrors.HasStatusCause(err, metav1.CauseTypeUnexpectedServerResponse)
}

// isRefusal tells what a webhook or a ValidatingAdmissionPolicy refused. They choose the code themselves, and many choose
// that of a missing right (plugin/webhook/errors and plugin/policy/validating of k8s.io/apiserver).
func isRefusal(err error) bool {
	words := err.Error()
	return strings.Contains(words, "admission webhook") && strings.Contains(words, "denied the request") ||
		strings.Contains(words, "ValidatingAdmissionPolicy") && strings.Contains(words, "denied request")
}

// kubeconfigError is for a kubeconfig that can't be used.
func kubeconfigError(err error) error {
	remedy := "correct it (kubectl config view shows it), or choose another with KUBECONFIG or --kubeconfig"
	if words := err.Error(); clientcmd.IsContextNotFound(err) || strings.Contains(words, `context "`) && strings.Contains(words, "does not exist") {
		remedy = "kubectl config get-contexts lists those that there are: choose one with --context"
	}
	return fmt.Errorf("reading the kubeconfig: %w: %s", err, remedy)
}
