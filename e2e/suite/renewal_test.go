//go:build e2e

package suite

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
)

const (
	// rotationSettle is how long a stage of a new authority lasts in these tests, the least.
	rotationSettle = 3 * time.Minute
	// renewalSettles is how long the controller lets renewed certificates settle before it
	// tells KEDA, and how often it looks.
	renewalSettles = 2*time.Minute + 15*time.Second
)

// A new authority replaces the one before while fleets wake again and again, KEDA asks about
// them, and a client connects anew for each of its questions. No call fails: neither the
// client's, nor one of KEDA's.
func TestRotationFailsNoCall(t *testing.T) {
	if os.Getenv("E2E_ROTATION") == "" {
		t.Skip("it takes nine minutes, in which nothing else may hold a copy of a certificate: run make e2e-rotation")
	}
	s := newSpaceWithRedis(t, "rotation")
	s.refusePods()
	redis := s.redisClient()
	fleets := make([]*sleeper, number(t, "E2E_FLEETS", 10))
	for i := range fleets {
		fleets[i] = s.newSleeper(redis, fmt.Sprintf("sleeper-%d", i))
	}
	since := time.Now()
	first := s.issuer("keda", env.kedaNamespace)

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var running sync.WaitGroup
	questions := &questioner{s: s, channel: "sleeper-0"}
	running.Go(func() { questions.run(ctx) })
	woken := wakeAgain(ctx, &running, fleets)
	_, err := run(t.Context(), "kubectl", "-n", systemNamespace, "annotate", "secret", release+"-authority", "--overwrite", "pubsub.jawaracloud.io/rotate="+runID)
	require.NoError(t, err)
	stage := func(what string, within time.Duration, trusted int, changed bool) {
		s.until(within, what, func(ctx context.Context) error {
			for owner, namespace := range map[string]string{"server": systemNamespace, "controller": systemNamespace, "people": systemNamespace, "keda": env.kedaNamespace} {
				if n := s.trusted(owner, namespace); n != trusted {
					return fmt.Errorf("%s trusts %d authorities", owner, n)
				}
				if issuer := s.issuer(owner, namespace); (issuer != first) != changed {
					return fmt.Errorf("%s has a certificate of %s", owner, issuer)
				}
			}
			return nil
		})
		s.logf("KEDA's errors so far: %d", len(s.kedaErrors(since)))
	}
	stage("all trust both authorities", time.Minute, 2, false)
	stage("the new one has signed all certificates", rotationSettle+time.Minute, 2, true)
	stage("only the new one is trusted", rotationSettle+time.Minute, 1, true)
	told := s.hashes()
	s.until(renewalSettles+env.settling(), "KEDA was told of the last change, too", func(context.Context) error {
		for name, hash := range s.hashes() {
			if hash == told[name] {
				return fmt.Errorf("%s has the hash of before", name)
			}
		}
		return nil
	})
	stop()
	running.Wait()
	require.NoError(t, woken.failed)
	s.logf("during the rotation: %s; %d questions, each over a connection of its own", woken.took, questions.asked)
	assert.Empty(t, questions.failures)
	assert.Greater(t, questions.asked, 100)
	assert.Empty(t, s.kedaErrors(since), "KEDA's errors about the fleets")
	var after latencies
	for _, fleet := range fleets[:2] {
		require.NoError(t, fleet.cycles(1, time.Second, func(took time.Duration) { after = append(after, took) }))
	}
	s.logf("after that: %s", after)
}

// wakings are how long fleets took to wake, until one failed.
type wakings struct {
	mu     sync.Mutex
	took   latencies
	failed error
}

// wakeAgain wakes each fleet again and again until the context ends. The result counts once all are done.
func wakeAgain(ctx context.Context, running *sync.WaitGroup, fleets []*sleeper) *wakings {
	all := &wakings{}
	for _, fleet := range fleets {
		running.Go(func() {
			for ctx.Err() == nil {
				err := fleet.cycles(1, 3*time.Second, func(took time.Duration) {
					all.mu.Lock()
					defer all.mu.Unlock()
					all.took = append(all.took, took)
				})
				if err != nil {
					all.mu.Lock()
					all.failed = errors.Join(all.failed, err)
					all.mu.Unlock()
					return
				}
			}
		})
	}
	return all
}

// questioner asks the scaler, as kubectl pubsub does: with the certificate that is in the
// Secret at that time.
type questioner struct {
	s       *space
	channel string

	asked    int
	failures []string
}

func (q *questioner) run(ctx context.Context) {
	var forward *forward
	var err error
	for ctx.Err() == nil {
		if forward == nil {
			if forward, err = startForward(ctx, systemNamespace, "service/"+release+"-scaler", ":9090"); err != nil {
				forward = nil
				_ = wait(ctx, time.Second) // the pod may just have gone
				continue
			}
		}
		err := q.ask(ctx, forward.address)
		select {
		case <-forward.ended: // what carries the question has gone, and not the scaler
			forward = nil
			continue
		default:
		}
		if ctx.Err() == nil {
			q.asked++
			if err != nil {
				q.s.logf("a failed question: %v", err)
				q.failures = append(q.failures, fmt.Sprintf("%s: %v", time.Now().Format(time.TimeOnly), err))
			}
		}
		_ = wait(ctx, 500*time.Millisecond)
	}
	if forward != nil {
		forward.stop()
	}
}

func (q *questioner) ask(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	secret := &corev1.Secret{}
	if err := env.client.Get(ctx, client.ObjectKey{Namespace: systemNamespace, Name: release + "-people-cert"}, secret); err != nil {
		return err
	}
	pair, err := tls.X509KeyPair(secret.Data["tls.crt"], secret.Data["tls.key"])
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(secret.Data["ca.crt"])
	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(credentials.NewTLS(
		&tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: roots, ServerName: "localhost", MinVersion: tls.VersionTLS13})))
	if err != nil {
		return err
	}
	defer func() { _ = connection.Close() }()
	_, err = inspectv1.NewInspectorClient(connection).Explain(ctx, &inspectv1.ExplainRequest{Namespace: q.s.name, Name: q.channel})
	return err
}

// certificates are those of a file of a Secret, one at least.
func (s *space) certificates(owner, namespace, file string) (found []*x509.Certificate) {
	s.t.Helper()
	secret := &corev1.Secret{}
	require.NoError(s.t, env.client.Get(s.t.Context(), client.ObjectKey{Namespace: namespace, Name: release + "-" + owner + "-cert"}, secret))
	for block, rest := pem.Decode(secret.Data[file]); block != nil; block, rest = pem.Decode(rest) {
		certificate, err := x509.ParseCertificate(block.Bytes)
		require.NoError(s.t, err)
		found = append(found, certificate)
	}
	require.NotEmpty(s.t, found, "%s of %s has no certificate", file, owner)
	return found
}

// certificate is what an owner shows to others.
func (s *space) certificate(owner, namespace string) *x509.Certificate {
	return s.certificates(owner, namespace, "tls.crt")[0]
}

func (s *space) issuer(owner, namespace string) string {
	return s.certificate(owner, namespace).Issuer.CommonName
}

func (s *space) trusted(owner, namespace string) int {
	return len(s.certificates(owner, namespace, "ca.crt"))
}

// hashes are those of KEDA's certificates that the ScaledObjects were told.
func (s *space) hashes() map[string]string {
	out := s.kubectl("get", "scaledobjects", "-o", `jsonpath={range .items[*]}{.metadata.name}={.spec.triggers[0].metadata.certificatesHash}{"\n"}{end}`)
	hashes := map[string]string{}
	for line := range strings.Lines(out) {
		if name, hash, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			hashes[name] = hash
		}
	}
	return hashes
}

// failedCall is in what KEDA logs of a call to the scaler that failed. Its other errors say nothing of calls: that a
// Deployment was changed meanwhile, and that KEDA itself gave up what it did for a ScaledObject that has changed, for which gRPC
// has the code Canceled.
var failedCall = regexp.MustCompile(`rpc error: code = (?:[^C]|C[^a])|x509: |tls: |authentication handshake`)

// kedaErrors are what KEDA's operator logged as errors about calls for this namespace.
func (s *space) kedaErrors(since time.Time) (found []string) {
	out, err := run(s.t.Context(), "kubectl", "-n", env.kedaNamespace, "logs", "deployment/keda-operator", "--since-time", since.UTC().Format(time.RFC3339))
	require.NoError(s.t, err)
	for line := range strings.Lines(out) {
		if strings.Contains(line, s.name) && (strings.Contains(line, "ERROR") || strings.Contains(line, `"level":"error"`)) && failedCall.MatchString(line) {
			found = append(found, strings.TrimSpace(line))
		}
	}
	return found
}
