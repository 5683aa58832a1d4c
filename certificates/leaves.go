package certificates

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// A leaf is what the cluster has of a Certificate. Former is nil if there is none.
type leaf struct{ secret, former *corev1.Secret }

// held is the certificate that is in use: of the Secret, or as long as that has none, of the former one.
func (l leaf) held() map[string][]byte {
	if len(l.secret.Data[certificateKey]) == 0 && l.former != nil {
		return l.former.Data
	}
	return l.secret.Data
}

// An update is a Secret with what it is to hold.
type update struct {
	secret *corev1.Secret
	why    string // there is a new certificate; empty: it is the one before
}

// updates are the writes that bring a leaf to what it is to hold. The former Secret comes first:
// KEDA may read that one, and is told of changes by the other.
func (l leaf) updates(data map[string][]byte, why string) (found []update) {
	add := func(secret *corev1.Secret, why string) {
		if !maps.EqualFunc(data, secret.Data, bytes.Equal) {
			secret.Data = maps.Clone(data)
			found = append(found, update{secret, why})
		}
	}
	if l.former != nil {
		add(l.former, "")
	}
	add(l.secret, why)
	return found
}

// leaves are the Secrets with certificates, by their place in Certificates, without those that
// may be missing and are.
func (r *Rotator) leaves(ctx context.Context) (map[int]leaf, error) {
	found := map[int]leaf{}
	var errs []error
	for i, c := range r.Certificates {
		secret, err := r.get(ctx, c.Secret)
		away, known := r.away[c.Secret.String()]
		missing := apierrors.IsNotFound(err) || apierrors.IsForbidden(err) && (away || !known)
		switch {
		case err == nil:
			former, err := r.former(ctx, c)
			errs = append(errs, err)
			if err != nil && len(secret.Data[certificateKey]) == 0 {
				continue // what is in use is not known
			}
			found[i] = leaf{secret, former}
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

// former is the former Secret of a certificate; nil if there is none.
func (r *Rotator) former(ctx context.Context, c Certificate) (*corev1.Secret, error) {
	if c.Former.Name == "" {
		return nil, nil //nolint:nilnil // none is a state as good as any
	}
	former, err := r.get(ctx, c.Former)
	if apierrors.IsNotFound(err) {
		return nil, nil //nolint:nilnil // the same
	}
	return former, err
}

// write brings the Secrets to what the stage wants, and reports whether there was anything to
// do. The stage then begins anew.
func (r *Rotator) write(ctx context.Context, keeper *corev1.Secret, a *authorities, leaves map[int]leaf, now time.Time) (written bool, err error) {
	var updates []update
	for i, l := range leaves {
		data, why, err := a.wants(r.Certificates[i], l.held(), now)
		if err != nil {
			return false, err
		}
		updates = append(updates, l.updates(data, why)...)
	}
	if len(updates) == 0 {
		return false, nil
	}
	if !a.settled() {
		a.since = now
		if err := r.keep(ctx, keeper, *a, nil); err != nil {
			return true, err
		}
	}
	var errs []error
	for _, u := range updates {
		name := client.ObjectKeyFromObject(u.secret)
		if err := r.Client.Update(ctx, u.secret); err != nil {
			errs = append(errs, fmt.Errorf("writing Secret %s: %w", name, err))
		} else if u.why != "" {
			r.Log.Info("issued a certificate", "secret", name, "because", u.why)
			r.Recorder.Eventf(subject(name), nil, corev1.EventTypeNormal, "CertificateIssued", "Issue", "a new certificate: %s", u.why)
		}
	}
	return true, errors.Join(errs...)
}
