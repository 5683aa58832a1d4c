package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/jawaracloud/pubsub-operator/certificates"
)

// issuing is what the controller is told about certificates that it makes itself.
type issuing struct {
	prefix                            string // namespace/name that Secrets' names begin with; empty: it makes none
	hosts                             string
	kedaNames, controllerNames, names string
	settle                            time.Duration
}

func (i *issuing) flags(flags *flag.FlagSet) {
	flags.StringVar(&i.prefix, "issue-certificates", "", "namespace/prefix of Secrets in which to make and renew all certificates: <prefix>-authority, <prefix>-server-cert, <prefix>-controller-cert and <prefix>-people-cert, and KEDA's in --keda-tls-secret; they must be there, and may be empty; those with -tls in place of -cert, of an older chart, are taken over and kept the same while they are there (default: none)")
	flags.StringVar(&i.hosts, "scaler-hosts", "", "DNS names and IP addresses for the scaler's certificate, separated by commas; required with --issue-certificates")
	flags.StringVar(&i.kedaNames, "keda-names", "", "names that the scaler knows KEDA by, separated by commas; required with --issue-certificates")
	flags.StringVar(&i.controllerNames, "controller-names", "", "names that the scaler knows the controller by, separated by commas; required with --issue-certificates")
	flags.StringVar(&i.names, "people-names", "", "names that the scaler knows people by, separated by commas; required with --issue-certificates")
	flags.DurationVar(&i.settle, "certificates-settle", 10*time.Minute, "how long each of the two stages of a new authority lasts, at least "+certificates.LeastSettle.String()+": until all pods and KEDA have taken the one before")
}

// on reports whether the controller makes certificates.
func (i issuing) on() bool { return i.prefix != "" }

// secret is one in the operator's own namespace.
func (i issuing) secret(suffix string) types.NamespacedName {
	name, _ := namespacedName(i.prefix) // checked
	name.Name += suffix
	return name
}

// own is the controller's Secret.
func (i issuing) own() types.NamespacedName { return i.secret("-controller-cert") }

func (i issuing) check(o options) error {
	if !i.on() {
		return nil
	}
	var errs []error
	if _, ok := namespacedName(i.prefix); !ok {
		errs = append(errs, fmt.Errorf("--issue-certificates is %q: it must be namespace/prefix of Secrets, for example pubsub-system/pubsub-operator", i.prefix))
	}
	for _, list := range []struct{ flag, value string }{
		{"scaler-hosts", i.hosts}, {"keda-names", i.kedaNames}, {"controller-names", i.controllerNames}, {"people-names", i.names},
	} {
		if list.value == "" {
			errs = append(errs, fmt.Errorf("--%s is \"\": --issue-certificates needs it for the certificates", list.flag))
		}
	}
	if o.kedaSecret.Name == "" {
		errs = append(errs, errors.New("--keda-tls-secret is \"\": --issue-certificates makes KEDA's certificate in it"))
	}
	if o.scalerCertDir != "" {
		errs = append(errs, fmt.Errorf("--scaler-tls-cert-dir is %q: with --issue-certificates the controller takes its certificate from the Secret: leave one of them out", o.scalerCertDir))
	}
	if i.settle < certificates.LeastSettle {
		errs = append(errs, fmt.Errorf("--certificates-settle is %q: it must be at least %s", i.settle, certificates.LeastSettle))
	}
	return errors.Join(errs...)
}

// addRotator has the leader make and renew certificates.
func addRotator(mgr manager.Manager, o options) error {
	if !o.issue.on() {
		return nil
	}
	direct, server, err := datedClient(mgr.GetConfig(), *mgr.GetHTTPClient(), client.Options{Scheme: mgr.GetScheme(), Mapper: mgr.GetRESTMapper()})
	if err != nil {
		return fmt.Errorf("building the client for certificates: %w", err)
	}
	rotator := &certificates.Rotator{
		Client:       direct,
		Authority:    o.issue.secret("-authority"),
		Certificates: o.certificates(),
		Settle:       o.issue.settle,
		Clock:        clock.RealClock{},
		Skew:         server.Skew,
		Recorder:     mgr.GetEventRecorder("pubsub-operator"),
		Log:          mgr.GetLogger().WithName("certificates"),
	}
	if err := rotator.Check(); err != nil {
		return err
	}
	if err := mgr.Add(rotator); err != nil {
		return fmt.Errorf("adding the rotation of certificates: %w", err)
	}
	return nil
}

// datedClient is past the manager's cache, which would list and keep all Secrets. The clock is that of the API server, which is
// told with each of its answers.
func datedClient(config *rest.Config, answers http.Client, options client.Options) (client.Client, *certificates.ServerClock, error) {
	server := certificates.NewServerClock(clock.RealClock{})
	answers.Transport = server.Wrap(answers.Transport)
	options.HTTPClient = &answers
	direct, err := client.New(config, options)
	return direct, server, err
}

// certificates are those that the controller makes. Older charts kept them in Secrets of other names, because a Secret's
// type can't change.
func (o options) certificates() []certificates.Certificate {
	i := o.issue
	formerKEDA := types.NamespacedName{Namespace: o.kedaSecret.Namespace, Name: i.secret("-keda-tls").Name}
	return []certificates.Certificate{
		{Secret: i.secret("-server-cert"), Former: i.secret("-server-tls"), Names: items(i.hosts), Hosts: items(i.hosts)},
		{Secret: i.own(), Former: i.secret("-controller-tls"), Names: items(i.controllerNames)},
		{Secret: i.secret("-people-cert"), Former: i.secret("-people-tls"), Names: items(i.names)},
		{Secret: o.kedaSecret, Former: formerKEDA, Names: items(i.kedaNames), Optional: true},
	}
}

// A source has the files that a TLS Secret has: the CA of the scaler, and the controller's
// certificate and key.
type source func(context.Context) (map[string][]byte, error)

// inDir is a source in a folder, which may be a mounted Secret.
func inDir(dir string) source {
	return func(context.Context) (map[string][]byte, error) {
		files := map[string][]byte{}
		for _, name := range []string{caFile, certFile, keyFile} {
			content, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				return nil, err
			}
			files[name] = content
		}
		return files, nil
	}
}

// secretTimeout bounds one read of the controller's Secret.
const secretTimeout = 5 * time.Second

// inSecret is a source that is read from the API server. With a volume the controller's pod
// would not start before the Secret is filled, and the controller is who fills it.
func inSecret(reader client.Reader, name types.NamespacedName) source {
	return func(ctx context.Context) (map[string][]byte, error) {
		ctx, cancel := context.WithTimeout(ctx, secretTimeout)
		defer cancel()
		secret := &corev1.Secret{}
		if err := reader.Get(ctx, name, secret); err != nil {
			return nil, fmt.Errorf("reading Secret %s: %w", name, err)
		}
		for _, file := range []string{caFile, certFile, keyFile} {
			if len(secret.Data[file]) == 0 {
				return nil, fmt.Errorf("Secret %s has no %s yet: the controller that leads makes it, and its log tells what keeps it from that", name, file)
			}
		}
		return secret.Data, nil
	}
}

// source is where the controller's certificate is; nil without TLS.
func (o options) source(reader client.Reader) source {
	switch {
	case o.issue.on():
		return inSecret(reader, o.issue.own())
	case o.scalerCertDir != "":
		return inDir(o.scalerCertDir)
	default:
		return nil
	}
}
