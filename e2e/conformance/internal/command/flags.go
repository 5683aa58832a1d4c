package command

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/jawaracloud/pubsub-operator/e2e/conformance/contract"
)

// options are the flags.
type options struct {
	config       contract.Config
	shutdownPID  int
	only, except *regexp.Regexp
	list         bool
	verbose      bool
	output       string
}

func (o options) selected(check contract.Check) bool {
	return (o.only == nil || o.only.MatchString(check.Name)) && (o.except == nil || !o.except.MatchString(check.Name))
}

// certificates are the TLS flags.
type certificates struct {
	system       bool
	ca, crt, key string // files
}

const usage = `usage: conformance --address HOST:PORT --metadata KEY=VALUE... [FLAGS]

Checks a KEDA external scaler against KEDA's contract, from KEDA's side.
Exit status 0: no check failed; 1: a check failed; 2: nothing could be judged.

flags:
`

// parse reads the flags; its errors name the flag, its value and the remedy.
func parse(args []string, stdout io.Writer) (options, error) {
	o := options{config: contract.Config{Metadata: map[string]string{}, Limits: contract.DefaultLimits()}}
	var files certificates
	flags := o.define(&files)
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fmt.Fprint(stdout, usage)
			flags.SetOutput(stdout)
			flags.PrintDefaults()
		}
		return options{}, err
	}
	if flags.NArg() > 0 {
		return options{}, fmt.Errorf("argument %q is not known: give flags only (see --help)", flags.Arg(0))
	}
	if o.output != "text" && o.output != "json" {
		return options{}, fmt.Errorf("--output is %q: it must be text or json", o.output)
	}
	if err := o.judgeable(); err != nil {
		return options{}, err
	}
	if o.list {
		return o, nil
	}
	if o.config.Address == "" {
		return options{}, errors.New("--address is missing: it must be host:port of the scaler")
	}
	if o.shutdownPID != 0 && o.config.ShutdownWait != 0 {
		return options{}, errors.New("--shutdown-pid and --expect-shutdown are both given: leave one out")
	}
	if o.shutdownPID != 0 && (o.shutdownPID < 2 || o.shutdownPID == os.Getpid()) {
		return options{}, fmt.Errorf("--shutdown-pid is %d: it must be the process id of the scaler", o.shutdownPID)
	}
	var err error
	o.config.TLS, err = files.read()
	return o, err
}

// judgeable is an error where the selection leaves no check.
func (o options) judgeable() error {
	for _, check := range contract.Checks() {
		if o.selected(check) {
			return nil
		}
	}
	return errors.New("--run and --skip leave no check: see --list for their names")
}

func (o *options) define(files *certificates) *flag.FlagSet {
	flags := flag.NewFlagSet("conformance", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // the caller prints the error
	c, l := &o.config, &o.config.Limits
	flags.StringVar(&c.Address, "address", "", "`host:port` of the scaler")
	flags.Func("metadata", "`key=value` of the trigger's metadata, as in the ScaledObject; repeat it. It should point to a backend with work waiting, that stands still meanwhile", keyValue(func(key, value string) { c.Metadata[key] = value }))
	flags.Func("dead-backend-metadata", "`key=value` in place of --metadata's, so that it points to a backend that is down; repeat it for several keys", keyValue(func(key, value string) {
		if c.DeadBackend == nil {
			c.DeadBackend = map[string]string{}
		}
		c.DeadBackend[key] = value
	}))
	flags.Func("broken-metadata", "`key=value` in place of --metadata's that must be refused; repeat it: each is tried on its own", keyValue(func(key, value string) {
		c.Broken = append(c.Broken, contract.KeyValue{Key: key, Value: value})
	}))
	flags.BoolVar(&c.Unsteady, "unsteady", false, "the backend is in use, and its figures change meanwhile: do not compare answers")
	flags.StringVar(&c.Name, "name", "conformance", "name of the ScaledObject that the calls are for")
	flags.StringVar(&c.Namespace, "namespace", "default", "namespace of the ScaledObject")
	flags.BoolVar(&files.system, "tls", false, "use TLS, with the system's authorities unless --tls-ca is given")
	flags.StringVar(&files.ca, "tls-ca", "", "`file` with the authority of the scaler's certificate (KEDA's caCert)")
	flags.StringVar(&files.crt, "tls-cert", "", "`file` with the client's certificate (KEDA's tlsClientCert)")
	flags.StringVar(&files.key, "tls-key", "", "`file` with the client's key (KEDA's tlsClientKey)")
	flags.StringVar(&c.ServerName, "server-name", "", "`name` on the scaler's certificate, where that is not the host of --address (a port-forward); KEDA itself always goes by the host")
	flags.DurationVar(&l.Call, "timeout", l.Call, "give a call up after this")
	flags.DurationVar(&l.MaxLatency, "max-latency", l.MaxLatency, "longest time for a unary call")
	flags.DurationVar(&l.Open, "open-time", l.Open, "longest time until a stream's first message")
	flags.DurationVar(&l.Stream, "stream-time", l.Stream, "how long streams are observed; the run takes a few seconds longer")
	flags.DurationVar(&l.RepeatMin, "repeat-min", l.RepeatMin, "a stream repeats itself at most so often")
	flags.DurationVar(&l.RepeatMax, "repeat-max", l.RepeatMax, "a stream repeats that it is active at least so often")
	flags.DurationVar(&l.Shutdown, "shutdown-time", l.Shutdown, "longest time until every stream has ended at the shutdown")
	flags.IntVar(&l.Callers, "callers", l.Callers, "callers at once")
	flags.IntVar(&l.Streams, "streams", l.Streams, "streams at once on one connection")
	flags.IntVar(&o.shutdownPID, "shutdown-pid", 0, "`process id` of the scaler, which gets SIGTERM for the last check")
	flags.DurationVar(&c.ShutdownWait, "expect-shutdown", 0, "for the last check, wait so long for somebody to end the scaler")
	flags.Func("run", "run only the checks whose name matches the `regexp`", expression(&o.only))
	flags.Func("skip", "leave out the checks whose name matches the `regexp`", expression(&o.except))
	flags.BoolVar(&o.list, "list", false, "list the checks with their reasons, and exit")
	flags.BoolVar(&o.verbose, "verbose", false, "give the reason for passed checks too, and print what KEDA's client logs to standard error")
	flags.StringVar(&o.output, "output", "text", "text or json")
	return flags
}

func keyValue(set func(key, value string)) func(string) error {
	return func(text string) error {
		key, value, ok := strings.Cut(text, "=")
		if !ok || key == "" {
			return errors.New("it must be key=value; repeat the flag for each key")
		}
		set(key, value)
		return nil
	}
}

func expression(to **regexp.Regexp) func(string) error {
	return func(text string) (err error) {
		*to, err = regexp.Compile(text)
		return err
	}
}

func (c certificates) read() (*contract.TLS, error) {
	if c == (certificates{}) {
		return nil, nil //nolint:nilnil // no TLS
	}
	if (c.crt == "") != (c.key == "") {
		return nil, fmt.Errorf("--tls-cert is %q and --tls-key is %q: give both or neither", c.crt, c.key)
	}
	var read contract.TLS
	for _, file := range []struct {
		flag, path string
		to         *string
	}{{"tls-ca", c.ca, &read.CA}, {"tls-cert", c.crt, &read.Certificate}, {"tls-key", c.key, &read.Key}} {
		if file.path == "" {
			continue
		}
		text, err := os.ReadFile(file.path)
		if err != nil {
			return nil, fmt.Errorf("--%s is %q: it must be a readable file in PEM form: %w", file.flag, file.path, err)
		}
		*file.to = string(text)
	}
	return &read, nil
}

// flagOf names the flag of a field of contract.Config.
var flagOf = map[string]string{
	"Address": "address", "TLS": "tls-cert", "TLS.CA": "tls-ca", "ServerName": "server-name",
	"Call": "timeout", "MaxLatency": "max-latency", "Open": "open-time", "Stream": "stream-time",
	"RepeatMin": "repeat-min", "RepeatMax": "repeat-max", "Shutdown": "shutdown-time",
	"Callers": "callers", "Streams": "streams",
}

// inFlags says which flag an error of the configuration is about.
func inFlags(err error) error {
	var field *contract.FieldError
	if !errors.As(err, &field) {
		return err
	}
	remedy := field.Remedy
	for name, flag := range flagOf {
		remedy = regexp.MustCompile(`\b`+regexp.QuoteMeta(name)+`\b,`).ReplaceAllString(remedy, "--"+flag+",")
	}
	return fmt.Errorf("--%s is %q: %s", flagOf[field.Field], field.Value, remedy)
}

// seconds is a duration as people read it.
func seconds(d time.Duration) string { return d.Round(100 * time.Millisecond).String() }
