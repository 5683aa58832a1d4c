package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"github.com/jawaracloud/pubsub-operator/cmd/internal/debug"
	"github.com/jawaracloud/pubsub-operator/cmd/internal/program"
	"github.com/jawaracloud/pubsub-operator/scaler"
	"github.com/jawaracloud/pubsub-operator/scaler/broker"
	"github.com/jawaracloud/pubsub-operator/scaler/sampling"
)

// options are the flags.
type options struct {
	grpcAddress    string
	metricsAddress string
	probeAddress   string
	tlsCertDir     string
	callers        scaler.Callers
	allowedBrokers broker.Allowlist
	maxServers     int // of each namespace
	shutdownDelay  time.Duration
	withoutCluster bool
	namespaces     []string // none: all
	kubeconfig     string
	logFormat      string
	logLevel       slog.Level
	debugAddress   string
	profiles       bool
	checkAddress   string
	version        bool
}

// parse reads the flags; its errors name the flag, its value and the remedy.
func parse(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("scaler", flag.ContinueOnError)
	flags.StringVar(&o.grpcAddress, "grpc-bind-address", ":9090", "address of the gRPC service for KEDA, as host:port")
	flags.StringVar(&o.metricsAddress, "metrics-bind-address", ":8080", "address of the Prometheus metrics, as host:port; 0 for none")
	flags.StringVar(&o.probeAddress, "health-probe-bind-address", ":8081", "address of /healthz and /readyz, as host:port; 0 for none")
	flags.StringVar(&o.tlsCertDir, "tls-cert-dir", "", "folder with tls.crt, tls.key and, to require client certificates, ca.crt; empty for plaintext")
	o.callers = scaler.DefaultCallers()
	names(flags, "keda-names", &o.callers.KEDA, "KEDA, which may call the external scaler's methods (nobody else but the controller may), is")
	names(flags, "controller-names", &o.callers.Controller, "the controller is")
	names(flags, "people-names", &o.callers.People, "people, who may ask the Inspector about existing ScaledObjects, are")
	allowed := flags.String("allowed-broker-addresses", "", "the DragonFly and Redis servers that may be connected to, separated by commas: host names (redis.shop.svc), patterns (*.svc), IP addresses and CIDRs; it holds for the nodes that a cluster or sentinels name, too; what a name is an alias of must be allowed as well, and loopback, link-local and multicast addresses only by a CIDR; empty for any")
	flags.IntVar(&o.maxServers, "max-servers-per-namespace", sampling.DefaultMaxServersPerNamespace, "how many DragonFly and Redis servers the ScaledObjects of one namespace may have watched; those that another namespace asked for first don't count")
	flags.DurationVar(&o.shutdownDelay, "shutdown-delay", 0, "how long to keep answering after SIGTERM, such as 31s: KEDA looks up the scalers' addresses at most every 30 s, and must find others in that time")
	namespaces := flags.String("watch-namespaces", "", "namespaces of the ScaledObjects to answer about, separated by commas; nothing of others is read (default: all)")
	flags.BoolVar(&o.withoutCluster, "without-cluster", false, "for debugging and benchmarks: no Kubernetes API; replicas and the last scale time come from the metadata keys currentReplicas and lastScaleTime")
	flags.StringVar(&o.kubeconfig, "kubeconfig", "", "kubeconfig file; empty for $KUBECONFIG, then the pod's own service account, then ~/.kube/config")
	flags.StringVar(&o.logFormat, "log-format", program.LogJSON, "json or text")
	flags.TextVar(&o.logLevel, "log-level", slog.LevelInfo, "debug, info, warn or error")
	flags.StringVar(&o.debugAddress, "debug-bind-address", debug.Off, "loopback address of the debug server, such as 127.0.0.1:6060, which tells and changes the log level (/log-level); 0 for none")
	flags.BoolVar(&o.profiles, "profiles", false, "serve profiles (/debug/pprof/) on the debug server")
	flags.StringVar(&o.checkAddress, "check", "", "serve nothing, but wait until the scaler at this host:port serves, and exit: with code 0, or 1 after two minutes; --tls-cert-dir then has a client's certificates")
	flags.BoolVar(&o.version, "version", false, "print the version and exit")
	if err := quietly(flags, args); err != nil {
		return options{}, err
	}
	if flags.NArg() > 0 {
		return options{}, fmt.Errorf("unexpected argument %q: use flags only (see --help)", flags.Arg(0))
	}
	var err error
	if o.allowedBrokers, err = broker.ParseAllowlist(*allowed); err != nil {
		return options{}, fmt.Errorf("--allowed-broker-addresses is %q: %w", *allowed, err)
	}
	if o.namespaces, err = program.Namespaces("watch-namespaces", *namespaces); err != nil {
		return options{}, err
	}
	return o, o.check()
}

// names adds a flag for the names of a client.
func names(flags *flag.FlagSet, name string, names *[]string, who string) {
	usage := fmt.Sprintf("names, separated by commas, by which %s recognized: the common name or a DNS name of the client's certificate; default %s", who, strings.Join(*names, ","))
	flags.Func(name, usage, func(text string) error {
		*names = nil
		for name := range strings.SplitSeq(text, ",") {
			if name = strings.TrimSpace(name); name != "" {
				*names = append(*names, name)
			}
		}
		return nil
	})
}

func (o options) check() error {
	if err := debug.Check(o.debugAddress); err != nil {
		return err
	}
	if err := o.callers.Validate(); err != nil {
		return fmt.Errorf("--keda-names, --controller-names and --people-names: %w", err)
	}
	for name, address := range map[string]string{"grpc-bind-address": o.grpcAddress, "metrics-bind-address": o.metricsAddress, "health-probe-bind-address": o.probeAddress} {
		if address == off && name != "grpc-bind-address" {
			continue
		}
		if _, _, err := net.SplitHostPort(address); err != nil {
			return fmt.Errorf("--%s is %q: it must be host:port or :port", name, address)
		}
	}
	switch {
	case o.maxServers < 1:
		return fmt.Errorf("--max-servers-per-namespace is %d: it must be 1 or more", o.maxServers)
	case o.shutdownDelay < 0:
		return fmt.Errorf("--shutdown-delay is %s: it must not be negative", o.shutdownDelay)
	case !program.IsLogFormat(o.logFormat):
		return fmt.Errorf("--log-format is %q: it must be json or text", o.logFormat)
	}
	return nil
}

// off is the address that switches a server off.
const off = "0"

// quietly parses without the usage text after each error; --help prints it.
func quietly(flags *flag.FlagSet, args []string) error {
	flags.SetOutput(io.Discard)
	err := flags.Parse(args)
	if err == flag.ErrHelp { //nolint:errorlint // Parse returns it as it is
		flags.SetOutput(os.Stdout)
		fmt.Println("scaler is a gRPC external scaler for KEDA: it answers from the depth of queues on DragonFly and Redis.")
		flags.PrintDefaults()
	}
	return err
}

// quietRedis logs go-redis's notes at level debug, because the sampler already reports each
// failure once. The notes quote servers and addresses, which may contain secrets; broker.Note
// removes those.
type quietRedis struct{ logger *slog.Logger }

func (q quietRedis) Printf(ctx context.Context, format string, args ...any) {
	q.logger.DebugContext(ctx, "go-redis", "note", broker.Note(format, args...))
}
