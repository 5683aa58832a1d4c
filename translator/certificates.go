package translator

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

const (
	// certificatesInterval is how often the Secret is read.
	certificatesInterval = 15 * time.Second
	// certificatesSettle is how long a renewed Secret must have been seen before KEDA is made
	// to connect with it: the scalers, and whoever signs for them, have their files later than
	// the API server has the Secrets (kubelet, syncFrequency, 1 min, and what it needs then).
	certificatesSettle = 2 * time.Minute
	// certificatesTimeout bounds one read.
	certificatesTimeout = 5 * time.Second
)

// certificates follows the Secret with KEDA's certificates for the scaler, and tells by a
// hash of it when KEDA has to connect anew.
//
// KEDA keeps one connection for each set of certificates, for as long as anything uses it. A
// ScaledObject's stream, by which a sleeping fleet is woken, goes on looking for the
// connection of the certificates that it began with, though after a renewal, and one failed
// call of each ScaledObject, nothing uses that any more and it is closed. It begins anew only
// where the ScaledObject's generation changes (KEDA 2.21, pkg/scalers/external_scaler.go,
// getClientForConnectionPool; pkg/scaling/scale_handler.go, startPushScalers). So the hash is
// in the trigger's metadata.
type certificates struct {
	reader client.Reader
	secret types.NamespacedName
	clock  clock.WithTicker
	log    logr.Logger
	// renewed gets a word for each renewal that has settled.
	renewed chan struct{}

	mu       sync.Mutex
	hash     string               // of the last Secret that could be read; empty: none could
	since    time.Time            // when that was first seen
	told     bool                 // renewed knows
	expiries map[string]time.Time // of its files
	fault    string               // why it can't be read; empty: it can
}

func newCertificates(reader client.Reader, secret types.NamespacedName, clock clock.WithTicker, log logr.Logger) *certificates {
	return &certificates{reader: reader, secret: secret, clock: clock, log: log, renewed: make(chan struct{}, 1)}
}

// hashFor is the hash for a ScaledObject that has another one, or none, so far: live is that
// one. A new ScaledObject takes the latest; one that KEDA follows already keeps its own until
// the new certificates have settled, or while none can be read.
func (c *certificates) hashFor(ctx context.Context, isNew bool, live string) string {
	if c == nil {
		return ""
	}
	c.mu.Lock()
	known := c.hash != "" || c.fault != ""
	c.mu.Unlock()
	if !known { // the controller has just started
		c.read(ctx)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.hash != "" && (isNew || c.settled()) {
		return c.hash
	}
	return live
}

func (c *certificates) settled() bool {
	return c.hash != "" && c.clock.Since(c.since) >= certificatesSettle
}

// Start reads the Secret until the context ends. It runs where the controller does: on the
// leader.
func (c *certificates) Start(ctx context.Context) error {
	ticker := c.clock.NewTicker(certificatesInterval)
	defer ticker.Stop()
	for {
		c.read(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C():
		}
	}
}

func (c *certificates) read(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, certificatesTimeout)
	defer cancel()
	secret := &corev1.Secret{}
	err := c.reader.Get(ctx, c.secret, secret)
	if err == nil {
		err = lacking(secret.Data)
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return // we are stopping
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.failed(err)
		return
	}
	if c.fault != "" {
		c.fault = ""
		c.log.Info("KEDA's certificates for the scaler can be read again", "secret", c.secret)
	}
	if hash := hashOfSecret(filesOf(secret.Data)); hash != c.hash {
		c.expiries = endsOf(secret.Data)
		if c.hash != "" {
			c.log.Info("KEDA's certificates for the scaler were renewed; KEDA is told once all have them", "secret", c.secret, "in", certificatesSettle.String())
		}
		c.hash, c.since, c.told = hash, c.clock.Now(), false
	}
	if c.settled() && !c.told {
		c.told = true
		select {
		case c.renewed <- struct{}{}:
		default: // a word waits already
		}
	}
}

// Failed logs once why the Secret can't be read: without it KEDA scales all the same, until
// its certificates are renewed.
func (c *certificates) failed(err error) {
	fault := fmt.Sprintf("reading Secret %s: %v", c.secret, err)
	switch {
	case c.fault == fault:
	case errors.Is(err, errEmpty):
		c.log.Info("KEDA's certificates for the scaler are not made yet", "secret", c.secret)
	default:
		c.log.Error(err, "KEDA's certificates for the scaler can't be read: after a renewal, fleets at 0 replicas would wake by KEDA's polling alone", "secret", c.secret)
	}
	c.fault = fault
}

// secretFiles are the keys of the Secret that KEDA is given.
var secretFiles = []string{"ca.crt", "tls.crt", "tls.key"}

// errEmpty is of a Secret that whoever makes the certificates has not filled yet.
var errEmpty = errors.New("it is empty: its certificates are not made yet")

// lacking names what a Secret lacks.
func lacking(data map[string][]byte) error {
	if len(data) == 0 {
		return errEmpty
	}
	for _, file := range secretFiles {
		if len(data[file]) == 0 {
			return fmt.Errorf("it has no %s: it must have ca.crt (the CA of the scaler), tls.crt and tls.key", file)
		}
	}
	return nil
}

// filesOf is what KEDA is given of a Secret.
func filesOf(data map[string][]byte) map[string][]byte {
	files := map[string][]byte{}
	for _, file := range secretFiles {
		files[file] = data[file]
	}
	return files
}

// hashOfSecret is a hash of a Secret's data, short enough for an object's metadata and of no use to
// whoever reads it there.
func hashOfSecret(data map[string][]byte) string {
	sum := sha256.New()
	write := func(part []byte) {
		sum.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		sum.Write(part)
	}
	for _, key := range slices.Sorted(maps.Keys(data)) {
		write([]byte(key))
		write(data[key])
	}
	return hex.EncodeToString(sum.Sum(nil)[:8])
}

// deliver has every channel reconciled once renewed certificates have settled; it is a source
// of the controller.
func (c *certificates) deliver(all func(context.Context, workqueue.TypedRateLimitingInterface[reconcile.Request]) error) func(context.Context, workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
	return func(ctx context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
		go func() {
			for {
				select {
				case <-ctx.Done():
					return
				case <-c.renewed:
				}
				if err := all(ctx, queue); err != nil && ctx.Err() == nil {
					c.log.Error(err, "telling KEDA of renewed certificates")
				}
			}
		}()
		return nil
	}
}
