package connect

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/spf13/pflag"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/protobuf/types/known/durationpb"

	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
)

const (
	// explainTimeout bounds one question, connecting included.
	explainTimeout = 30 * time.Second
	// connectTimeout bounds one attempt to connect.
	connectTimeout = 20 * time.Second
	// A dead connection is noticed within keepaliveTime and keepaliveTimeout. The scaler
	// allows a ping every 10 s.
	keepaliveTime    = 20 * time.Second
	keepaliveTimeout = 10 * time.Second
	// watchInterval is the least time between two messages about one channel.
	watchInterval = time.Second
)

// ScalerFlags say how the scaler is reached.
type ScalerFlags struct {
	// Address is host:port of the scaler; empty: by a port that is forwarded to its pod.
	Address string
	// OperatorNamespace is where its pods are looked for; empty: in all namespaces.
	OperatorNamespace string
	// Plaintext is for a scaler without TLS.
	Plaintext bool
	// CACert, Cert and Key are files in PEM form, ServerName the name on the scaler's
	// certificate; empty: what the operator's pods and Secret say or, with an Address, the
	// system's CAs, no client certificate, and the address' host.
	CACert, Cert, Key, ServerName string
}

// Bind adds the flags.
func (f *ScalerFlags) Bind(flags *pflag.FlagSet) {
	flags.StringVar(&f.Address, "address", "", "host:port of the scaler (default: a port is forwarded to its pod)")
	flags.StringVar(&f.OperatorNamespace, "operator-namespace", "", "namespace of the scaler's pods (default: the one that has them)")
	flags.BoolVar(&f.Plaintext, "plaintext", false, "the scaler has no TLS (without --address, its pod tells)")
	flags.StringVar(&f.CACert, "cacert", "", "file with the CA of the scaler's certificate (default: the operator's Secret; with --address, the system's CAs)")
	flags.StringVar(&f.Cert, "cert", "", "file with the client certificate (default: the operator's Secret; with --address, none)")
	flags.StringVar(&f.Key, "key", "", "file with the client certificate's key")
	flags.StringVar(&f.ServerName, "server-name", "", "name on the scaler's certificate (default: the scaler's Service; with --address, its host)")
}

// Given are the flags that are set, in the order of Bind.
func (f *ScalerFlags) Given() []string {
	var given []string
	for _, flag := range []struct {
		name string
		set  bool
	}{
		{"--address", f.Address != ""}, {"--operator-namespace", f.OperatorNamespace != ""}, {"--plaintext", f.Plaintext},
		{"--cacert", f.CACert != ""}, {"--cert", f.Cert != ""}, {"--key", f.Key != ""}, {"--server-name", f.ServerName != ""},
	} {
		if flag.set {
			given = append(given, flag.name)
		}
	}
	return given
}

// Check finds flags that don't go together.
func (f *ScalerFlags) Check() error {
	switch {
	case f.Plaintext && f.CACert+f.Cert+f.Key+f.ServerName != "":
		return errors.New("--plaintext conflicts with --cacert, --cert, --key and --server-name: leave it out, or leave those out")
	case (f.Cert == "") != (f.Key == ""):
		return errors.New("--cert and --key belong together: set both or neither")
	case f.Address != "" && f.OperatorNamespace != "":
		return errors.New("--operator-namespace conflicts with --address: set only one of them")
	}
	if f.Address != "" {
		if host, port, err := net.SplitHostPort(f.Address); err != nil || host == "" || port == "" {
			return fmt.Errorf("--address is %q: it must be host:port, for example localhost:9090", f.Address)
		}
	}
	return nil
}

// Scaler is a connection to the scaler, made with the first question and again, to any
// pod that is ready then, when it broke.
type Scaler struct {
	flags      ScalerFlags
	cluster    *Cluster // nil with flags.Address
	connection *grpc.ClientConn
	inspector  inspectv1.InspectorClient

	mu      sync.Mutex
	dials   int
	first   error // what went wrong first since the last attempt to connect began
	problem error // why there is no connection, while there is none
}

// Open prepares the connection. The cluster may be nil where the flags have an address.
func Open(flags ScalerFlags, cluster *Cluster) (*Scaler, error) {
	s := &Scaler{flags: flags, cluster: cluster}
	var err error
	// The dialer speaks TLS itself: gRPC would turn its errors into text.
	s.connection, err = grpc.NewClient("passthrough:///scaler",
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(s.dial),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 500 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 10 * time.Second},
			MinConnectTimeout: connectTimeout,
		}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: keepaliveTime, Timeout: keepaliveTimeout}),
	)
	if err != nil {
		return nil, fmt.Errorf("preparing the connection to the scaler: %w", err)
	}
	s.inspector = inspectv1.NewInspectorClient(s.connection)
	return s, nil
}

// Close ends the connection.
func (s *Scaler) Close() error { return s.connection.Close() }

// Explain asks once. Its errors are in words, or the scaler's own: *ScalerError.
func (s *Scaler) Explain(ctx context.Context, request *inspectv1.ExplainRequest) (*inspectv1.ExplainResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, explainTimeout)
	defer cancel()
	response, err := s.inspector.Explain(ctx, request)
	if err != nil {
		return nil, s.inWords(err)
	}
	return response, nil
}

// Watch hands on what the scaler sends about a ScaledObject until the stream ends: nil
// where the scaler ended it, which shuts down then. Its errors are those of Explain.
func (s *Scaler) Watch(ctx context.Context, namespace, name string, each func(*inspectv1.WatchResponse)) error {
	stream, err := s.inspector.Watch(ctx, &inspectv1.WatchRequest{Namespace: namespace, Name: name, MinInterval: durationpb.New(watchInterval)})
	if err != nil {
		return s.inWords(err)
	}
	for {
		message, err := stream.Recv()
		if err != nil {
			return s.inWords(err)
		}
		each(message)
	}
}

// dial makes one connection, with TLS where the scaler has it.
func (s *Scaler) dial(ctx context.Context, _ string) (net.Conn, error) {
	s.mu.Lock()
	attempt := s.dials
	s.dials++
	s.first = nil // but the problem stays one while this attempt lasts
	s.mu.Unlock()
	conn, err := s.reach(ctx, attempt)
	if err != nil {
		s.failed(err)
		return nil, err
	}
	s.connected()
	return conn, nil
}

func (s *Scaler) reach(ctx context.Context, attempt int) (net.Conn, error) {
	if s.flags.Address != "" {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", s.flags.Address)
		if err != nil {
			return nil, fmt.Errorf("connecting to the scaler at --address %s: %w", s.flags.Address, err)
		}
		return s.secure(ctx, conn, endpoint{tls: true})
	}
	way, err := s.cluster.findScaler(ctx, s.flags.OperatorNamespace)
	if err != nil {
		return nil, err
	}
	// A pod may have gone since, or its node: each attempt begins with another one.
	pod := way.pods[attempt%len(way.pods)]
	conn, err := s.cluster.forward(ctx, way.namespace, pod, way.port, s.failed)
	if err != nil {
		return nil, err
	}
	return s.secure(ctx, conn, way)
}

// failed keeps why there is no connection: the first of the reasons, from which the others
// follow.
func (s *Scaler) failed(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.first == nil {
		s.first, s.problem = err, err
	}
}

func (s *Scaler) connected() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.first == nil {
		s.problem = nil
	}
}

func (s *Scaler) lastProblem() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.problem
}

// readFile names the flag in its error.
func readFile(flag, name string) ([]byte, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("--%s: %w", flag, err)
	}
	return data, nil
}
