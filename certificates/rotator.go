// Package certificates makes the certificates between KEDA, the controller, people and the
// scaler, and renews them, in Secrets that the chart makes empty.
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
	// Recorder writes events about the Secrets.
	Recorder events.EventRecorder
	Log      logr.Logger

	fault string          // of the last look, as logged
	away  map[string]bool // whether an optional Secret is missing, as logged; of those that were looked for
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
	now := r.Clock.Now()
	if a.current == nil && a.next == nil || a.current != nil && !now.Before(a.current.certificate.NotAfter) {
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
	written, err := r.write(ctx, keeper, &a, leaves)
	if written || err != nil || missing != nil { // a stage lasts from when all are as it wants them
		return errors.Join(err, missing)
	}
	next, news, err := a.advance(r.Authority.Name, r.Settle, now)
	if err != nil || news == nil {
		return err
	}
	if err := r.keep(ctx, keeper, next, news); err != nil {
		return err
	}
	_, err = r.write(ctx, keeper, &next, leaves)
	return err
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

// write brings the Secrets to what the stage wants, and reports whether there was anything to
// do. The stage then begins anew.
func (r *Rotator) write(ctx context.Context, keeper *corev1.Secret, a *authorities, leaves map[int]*corev1.Secret) (written bool, err error) {
	now := r.Clock.Now()
	whys := map[int]string{}
	for i, secret := range leaves {
		data, why, changed, err := a.wants(r.Certificates[i], secret, now)
		if err != nil {
			return false, err
		}
		if changed {
			secret.Data, whys[i] = data, why
		}
	}
	if len(whys) == 0 {
		return false, nil
	}
	if !a.settled() {
		a.since = now
		if err := r.keep(ctx, keeper, *a, nil); err != nil {
			return true, err
		}
	}
	var errs []error
	for i, why := range whys {
		c := r.Certificates[i]
		if err := r.Client.Update(ctx, leaves[i]); err != nil {
			errs = append(errs, fmt.Errorf("writing Secret %s: %w", c.Secret, err))
		} else if why != "" {
			r.Log.Info("issued a certificate", "secret", c.Secret, "because", why)
			r.Recorder.Eventf(subject(c.Secret), nil, corev1.EventTypeNormal, "CertificateIssued", "Issue", "a new certificate: %s", why)
		}
	}
	return true, errors.Join(errs...)
}

// leaves are the Secrets with certificates, by their place in Certificates, without those that
// may be missing and are.
func (r *Rotator) leaves(ctx context.Context) (map[int]*corev1.Secret, error) {
	found := map[int]*corev1.Secret{}
	var errs []error
	for i, c := range r.Certificates {
		secret, err := r.get(ctx, c.Secret)
		away, known := r.away[c.Secret.String()]
		missing := apierrors.IsNotFound(err) || apierrors.IsForbidden(err) && (away || !known)
		switch {
		case err == nil:
			found[i] = secret
		case !c.Optional || !missing: // also a right that was taken away: going on without it would part its owner
			errs = append(errs, err)
			continue
		case !away:
			r.Log.Info("there is no Secret yet for a certificate", "secret", c.Secret, "reason", err.Error())
		}
		if r.away == nil {
			r.away = map[string]bool{}
		}
		r.away[c.Secret.String()] = c.Optional && missing
	}
	return found, errors.Join(errs...)
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
