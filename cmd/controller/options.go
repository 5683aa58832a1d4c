package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/cmd/internal/debug"
	"github.com/jawaracloud/pubsub-operator/cmd/internal/program"
	"github.com/jawaracloud/pubsub-operator/translator/limits"
	"github.com/jawaracloud/pubsub-operator/translator/plan"
)

// options are the command line.
type options struct {
	metricsAddress       string
	probeAddress         string
	leaderElect          bool
	leaderNamespace      string
	scalerAddress        string
	scalerCertDir        string
	scalerAuthentication string
	kedaSecret           types.NamespacedName
	issue                issuing
	limits               limits.Limits
	workers              plan.WorkerDefaults
	watchNamespaces      []string // none: all
	statusInterval       time.Duration
	statusHeartbeat      time.Duration
	concurrency          int
	logLevel             slog.Level
	logFormat            string
	debugAddress         string
	profiles             bool
	version              bool
}

// leastHeartbeat limits the cost of idle channels for the API server: 100 writes a second for
// 1,000 channels.
const leastHeartbeat = 10 * time.Second

// parse reads the command line. Its error names each wrong flag, its value and the remedy.
// flag.ErrHelp means that --help was given.
func parse(args []string, output io.Writer) (options, error) {
	var o options
	var level, accounts, authentications, kedaSecret, pullSecrets, watchNamespaces string
	flags := flag.NewFlagSet("controller", flag.ContinueOnError)
	flags.SetOutput(output)
	flags.StringVar(&o.metricsAddress, "metrics-bind-address", ":8080", "address of the Prometheus metrics, or 0 for none")
	flags.StringVar(&o.probeAddress, "health-probe-bind-address", ":8081", "address of /healthz and /readyz")
	flags.BoolVar(&o.leaderElect, "leader-elect", false, "elect one of several replicas, which alone is active")
	flags.StringVar(&o.leaderNamespace, "leader-election-namespace", "", "namespace of the leader's Lease (default: the pod's own)")
	flags.StringVar(&watchNamespaces, "watch-namespaces", "", "namespaces of the channels to work on, separated by commas; nothing of others is read or changed (default: all)")
	flags.StringVar(&o.scalerAddress, "scaler-address", "", "host:port of the scaler's gRPC service, for KEDA's pods and for the controller; required")
	flags.StringVar(&o.scalerCertDir, "scaler-tls-cert-dir", "", "folder with ca.crt, tls.crt and tls.key for TLS to the scaler (default: plaintext)")
	flags.StringVar(&o.scalerAuthentication, "scaler-authentication-ref", "", "ClusterTriggerAuthentication with KEDA's certificates for the scaler (default: none)")
	flags.StringVar(&kedaSecret, "keda-tls-secret", "", "namespace/name of the Secret that --scaler-authentication-ref refers to: KEDA connects again after it was renewed (default: none, and KEDA must be restarted after a renewal)")
	o.issue.flags(flags)
	flags.StringVar(&o.limits.PodSecurity, limits.FlagPodSecurity, "baseline", "Pod Security Standard for channels' templates: baseline, restricted, or privileged for no restriction")
	flags.StringVar(&accounts, limits.FlagServiceAccounts, "", "service accounts that workers may run as or have a token of, separated by commas: names (orders), namespace/name, or patterns of either (worker-*, shop/*); default none, so that they run as their namespace's default, without its token")
	flags.StringVar(&authentications, limits.FlagClusterTriggerAuthentications, "", "ClusterTriggerAuthentications that channels' triggers may refer to, separated by commas: names, namespace/name with the channel's namespace, or patterns of either (default: none)")
	flags.BoolVar(&o.limits.KEDAIdentity, limits.FlagKEDAIdentity, false, "let channels' triggers use KEDA's own identity in a cloud, for example with identityOwner: operator")
	flags.StringVar(&o.workers.Image, "worker-image", defaultWorkerImage(version), "image of the workers of channels without spec.image, with its registry and its version: our subscriber, or a worker in its place; it is taken for our subscriber if its name ends with "+v1.SubscriberImage)
	flags.StringVar((*string)(&o.workers.PullPolicy), "worker-image-pull-policy", "", "when nodes pull --worker-image: Always, IfNotPresent or Never (default: the API server's)")
	flags.StringVar(&pullSecrets, "worker-image-pull-secrets", "", "names of Secrets for pulling --worker-image, separated by commas; they must be in each channel's namespace (default: none)")
	flags.DurationVar(&o.statusInterval, "status-interval", 15*time.Second, "how often the scaler is asked about each channel")
	flags.DurationVar(&o.statusHeartbeat, "status-heartbeat", 0, "how often to write each channel's status.observedTime, at least 10s; each time costs a write; 0 writes it only when something else in the status changes")
	flags.IntVar(&o.concurrency, "max-concurrent-reconciles", 4, "how many channels are reconciled at once")
	flags.StringVar(&level, "log-level", "info", "debug, info, warn or error")
	flags.StringVar(&o.logFormat, "log-format", program.LogJSON, "json or text")
	flags.StringVar(&o.debugAddress, "debug-bind-address", debug.Off, "loopback address of the debug server, such as 127.0.0.1:6060, which tells and changes the log level (/log-level); 0 for none")
	flags.BoolVar(&o.profiles, "profiles", false, "serve profiles (/debug/pprof/) on the debug server")
	flags.BoolVar(&o.version, "version", false, "print the version and exit")
	if err := flags.Parse(args); err != nil {
		return options{}, err
	}
	if o.version {
		return o, nil
	}
	o.limits.ServiceAccounts, o.limits.ClusterTriggerAuthentications = items(accounts), items(authentications)
	o.workers.PullSecrets = items(pullSecrets)
	var errs []error
	var err error
	if o.watchNamespaces, err = program.Namespaces("watch-namespaces", watchNamespaces); err != nil {
		errs = append(errs, err)
	}
	if secret, ok := namespacedName(kedaSecret); ok {
		o.kedaSecret = secret
	} else if kedaSecret != "" {
		errs = append(errs, fmt.Errorf("--keda-tls-secret is %q: it must be namespace/name of a Secret, for example keda/pubsub-operator-keda-cert", kedaSecret))
	}
	if flags.NArg() > 0 {
		errs = append(errs, fmt.Errorf("unexpected argument %q: use flags only", flags.Arg(0)))
	}
	if err := o.logLevel.UnmarshalText([]byte(level)); err != nil {
		errs = append(errs, fmt.Errorf("--log-level is %q: it must be debug, info, warn or error", level))
	}
	return o, errors.Join(append(errs, o.check())...)
}

func (o options) check() error {
	var errs []error
	fail := func(flag string, value any, remedy string) {
		errs = append(errs, fmt.Errorf("--%s is %q: %s", flag, fmt.Sprint(value), remedy))
	}
	if !bindable(o.metricsAddress) {
		fail("metrics-bind-address", o.metricsAddress, "it must be host:port or :port, for example :8080, or 0 for none")
	}
	if !bindable(o.probeAddress) {
		fail("health-probe-bind-address", o.probeAddress, "it must be host:port or :port, for example :8081, or 0 for none")
	}
	if host, port, err := net.SplitHostPort(o.scalerAddress); err != nil || host == "" || !isPort(port, 1) {
		fail("scaler-address", o.scalerAddress, "it must be host:port, for example pubsub-scaler.pubsub-system.svc:9090")
	}
	if err := debug.Check(o.debugAddress); err != nil {
		errs = append(errs, err)
	}
	if err := o.limits.Check(); err != nil {
		errs = append(errs, err)
	}
	if err := o.workers.Check(); err != nil {
		errs = append(errs, err)
	}
	if o.statusInterval < time.Second {
		fail("status-interval", o.statusInterval, "it must be at least 1s")
	}
	if o.statusHeartbeat != 0 && o.statusHeartbeat < leastHeartbeat {
		fail("status-heartbeat", o.statusHeartbeat, fmt.Sprintf("it must be 0, for none, or at least %s", leastHeartbeat))
	}
	if o.concurrency < 1 {
		fail("max-concurrent-reconciles", o.concurrency, "it must be at least 1")
	}
	if !program.IsLogFormat(o.logFormat) {
		fail("log-format", o.logFormat, "it must be json or text")
	}
	if o.scalerAuthentication != "" && !o.tls() {
		fail("scaler-authentication-ref", o.scalerAuthentication, "it has certificates, but TLS is off: set --scaler-tls-cert-dir or --issue-certificates, too, or leave it out")
	}
	if err := o.issue.check(o); err != nil {
		errs = append(errs, err)
	}
	if o.scalerCertDir != "" {
		for _, name := range []string{caFile, certFile, keyFile} {
			if _, err := os.Stat(filepath.Join(o.scalerCertDir, name)); err != nil {
				fail("scaler-tls-cert-dir", o.scalerCertDir, fmt.Sprintf("it must hold %s, %s and %s: %v", caFile, certFile, keyFile, err))
				break
			}
		}
	}
	return errors.Join(errs...)
}

// tls reports whether the scaler is asked over TLS.
func (o options) tls() bool { return o.scalerCertDir != "" || o.issue.on() }

// namespacedName reads namespace/name.
func namespacedName(text string) (types.NamespacedName, bool) {
	namespace, name, ok := strings.Cut(text, "/")
	return types.NamespacedName{Namespace: namespace, Name: name}, ok && namespace != "" && name != "" && !strings.Contains(name, "/")
}

// defaultWorkerImage is our subscriber of the operator's own version. Images have no "v" before the
// version, which a git tag has.
func defaultWorkerImage(version string) string {
	return v1.SubscriberImage + ":" + cmp.Or(strings.TrimPrefix(version, "v"), "dev")
}

// items splits a list at its commas; an empty list is nil.
func items(list string) []string {
	if list == "" {
		return nil
	}
	parts := strings.Split(list, ",")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return parts
}

// bindable reports whether the manager can listen on the address; "0" and "" mean that it does not listen.
func bindable(address string) bool {
	if address == "" || address == "0" {
		return true
	}
	_, port, err := net.SplitHostPort(address)
	return err == nil && isPort(port, 0)
}

func isPort(text string, least uint64) bool {
	port, err := strconv.ParseUint(text, 10, 16)
	return err == nil && port >= least
}

// oneLine writes joined errors on one line for the log.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }
