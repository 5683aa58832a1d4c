// Package certificates makes the certificates between KEDA, the controller, people and the
// scaler, and renews them, in Secrets that the chart makes empty. Those that an older chart made
// are taken over: they stay in use until everybody trusts the new authority.
//
// A certificate is valid for 30 days, its authority for a year, and both are renewed after two
// thirds of that. A new authority is introduced in stages (see authorities), because nobody
// sees a change at once: the kubelet takes a minute or two to write files, and KEDA reads its
// Secret again only where a ScaledObject changes, which the translator sees to.
package certificates

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	// interval is how often the Secrets are looked at.
	interval = 15 * time.Second
	// lookTimeout bounds one look, with what it writes.
	lookTimeout = 20 * time.Second
	// LeastSettle is the least that Settle may be: the kubelet may take 2 min, as long as the
	// translator waits before it tells KEDA, which then needs some time, too.
	LeastSettle = 3 * time.Minute
)

// A Certificate is a Secret with one.
type Certificate struct {
	Secret types.NamespacedName
	// Former is the Secret in which the certificate was before there was this one; none without
	// a name, and it may be missing. While Secret has no certificate, that of Former is in use. As
	// long as Former is there it is kept the same, for who still reads it: pods from before an
	// upgrade, and KEDA until the next one. What others write into it is left for a minute.
	Former types.NamespacedName
	// Names are those that its owner is known by. One that has any of them stays; a new one
	// has the first. At least one.
	Names []string
	// Hosts are a server's DNS names and IP addresses; a client has none.
	Hosts []string
	// Optional is a Secret that may be missing, or out of reach: KEDA's, while KEDA is.
	Optional bool
}

// Rotator keeps Secrets as they should be. All fields are required.
type Rotator struct {
	// Client reads Secrets one by one, past any cache, and updates them; it creates none.
	Client client.Client
	// Authority is the Secret with the authorities and their private keys.
	Authority types.NamespacedName
	// Certificates are the Secrets with certificates.
	Certificates []Certificate
	// Settle is how long each stage of a new authority lasts, at least LeastSettle.
	Settle time.Duration
	Clock  clock.WithTicker
	// Skew tells how far Clock is ahead of the API server's, as ServerClock does. The certificates
	// and the stages go by the API server's clock, which is the same for all controllers. While
	// they are more than 30 minutes apart nothing is made, because nobody knows which is right.
	Skew func() (ahead time.Duration, known bool)
	// Recorder writes events about the Secrets.
	Recorder events.EventRecorder
	Log      logr.Logger

	fault   string                             // of the last look, as logged
	away    map[string]bool                    // whether an optional Secret is missing, as logged; of those that were looked for
	skewed  time.Duration                      // as logged
	strayed map[types.NamespacedName]time.Time // since when a former Secret was seen to hold what others wrote
}

// NeedLeaderElection has only one replica write.
func (r *Rotator) NeedLeaderElection() bool { return true }

// Start looks at the Secrets until the context ends.
func (r *Rotator) Start(ctx context.Context) error {
	ticker := r.Clock.NewTicker(interval)
	defer ticker.Stop()
	for {
		r.tell(ctx, r.look(ctx))
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C():
		}
	}
}

// tell logs what failed, once.
func (r *Rotator) tell(ctx context.Context, err error) {
	switch {
	case ctx.Err() != nil:
	case apierrors.IsConflict(err): // somebody else wrote first; the next look sees it
	case err == nil:
		if r.fault != "" {
			r.fault = ""
			r.Log.Info("certificates are looked after again")
		}
	case err.Error() != r.fault:
		r.fault = err.Error()
		r.Log.Error(err, "certificates can't be looked after")
		r.Recorder.Eventf(subject(r.Authority), nil, corev1.EventTypeWarning, "CertificatesNotRenewed", "Renew", "%s", shortened(r.fault))
	}
}

// shortened is a note as long as the API takes one.
func shortened(note string) string { return note[:min(len(note), 1000)] }

// subject is what events are about.
func subject(name types.NamespacedName) *corev1.Secret {
	return &corev1.Secret{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{Namespace: name.Namespace, Name: name.Name},
	}
}

// look brings the Secrets one step further.
func (r *Rotator) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	keeper, err := r.get(ctx, r.Authority)
	if err != nil {
		return err
	}
	a, err := readAuthorities(keeper)
	if err != nil {
		return err
	}
	leaves, missing := r.leaves(ctx)
	now, err := r.now()
	if err != nil {
		return err
	}
	if a.current == nil && a.next == nil || a.current != nil && !isValid(a.current.certificate, now) {
		if missing != nil {
			return missing
		}
		var news *change
		if a, news, err = begin(r.Authority.Name, r.Certificates, leaves, keeper.Annotations[AnnotationRotate], now); err != nil {
			return err
		}
		if err := r.keep(ctx, keeper, a, news); err != nil {
			return err
		}
	}
	written, err := r.write(ctx, keeper, &a, leaves, now)
	if written || err != nil || missing != nil { // a stage lasts from when all are as it wants them
		return errors.Join(err, missing)
	}
	if a.since.Sub(now) > time.Minute && !a.settled() { // a controller of before, whose clock was ahead: nobody knows since when
		a.since = now
		return r.keep(ctx, keeper, a, nil)
	}
	next, news, err := a.advance(r.Authority.Name, r.Settle, now)
	if err != nil || news == nil {
		return err
	}
	if err := r.keep(ctx, keeper, next, news); err != nil {
		return err
	}
	_, err = r.write(ctx, keeper, &next, leaves, now)
	return err
}

// now is the time of the API server, or without an answer of it, of Clock.
func (r *Rotator) now() (time.Time, error) {
	now := r.Clock.Now()
	ahead, known := r.Skew()
	if !known {
		return now, nil
	}
	if ahead.Abs() > mostSkew {
		if (ahead - r.skewed).Abs() > time.Minute { // a Date has whole seconds, which must not make it another fault each time
			r.skewed = ahead
		}
		return time.Time{}, fmt.Errorf("this controller's clock is about %s %s the API server's, and at most %s is allowed: certificates might not be valid for others, so none are made or renewed: set the clocks of both nodes (NTP)",
			r.skewed.Abs().Truncate(time.Minute)+time.Minute, map[bool]string{true: "ahead of", false: "behind"}[ahead > 0], mostSkew)
	}
	return now.Add(-ahead), nil
}

// keep writes the authorities before anything follows from them, so that a look that was cut
// off is finished by the next one.
func (r *Rotator) keep(ctx context.Context, keeper *corev1.Secret, a authorities, news *change) error {
	a.write(keeper)
	if err := r.Client.Update(ctx, keeper); err != nil {
		return fmt.Errorf("writing Secret %s: %w", r.Authority, err)
	}
	if news != nil {
		r.Log.Info("certificates", "reason", news.reason, "message", news.note)
		r.Recorder.Eventf(subject(r.Authority), nil, corev1.EventTypeNormal, news.reason, "Rotate", "%s", news.note)
	}
	return nil
}

func (r *Rotator) get(ctx context.Context, name types.NamespacedName) (*corev1.Secret, error) {
	secret := &corev1.Secret{}
	if err := r.Client.Get(ctx, name, secret); err != nil {
		return nil, fmt.Errorf("reading Secret %s: %w: the chart makes it, and lets the controller get and update it: run helm upgrade", name, err)
	}
	return secret, nil
}

// Check names what can't be.
func (r *Rotator) Check() error {
	if r.Settle < LeastSettle {
		return fmt.Errorf("the time between the stages of a rotation is %s: it must be at least %s", r.Settle, LeastSettle)
	}
	if i := slices.IndexFunc(r.Certificates, func(c Certificate) bool { return len(c.Names) == 0 }); i >= 0 {
		return fmt.Errorf("the certificate in Secret %s has no name: give it one", r.Certificates[i].Secret)
	}
	return nil
}
