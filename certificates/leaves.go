package certificates

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// strayFor is how long a former Secret that somebody else changed is left alone. A rollback to the chart that made it writes what it
// held, and Helm deletes the controller's own Secrets only at the end, seconds later. The one that is about to go must not put its
// certificates between those of before: the older version never renews them, and some sides would no longer trust the others.
const strayFor = time.Minute

// A leaf is what the cluster has of a Certificate. Former is nil if there is none.
type leaf struct{ secret, former *corev1.Secret }

// held is the certificate that is in use: of the Secret, or as long as that has none, of the former one.
func (l leaf) held() map[string][]byte {
	if len(l.secret.Data[certificateKey]) == 0 && l.former != nil {
		return l.former.Data
	}
	return l.secret.Data
}

// An update is a leaf with what its Secrets are to hold.
type update struct {
	leaf
	data map[string][]byte
	why  string // there is a new certificate; empty: it is the one before
}

// formerDiffers reports whether the former Secret, if there is one, is to be written.
func (u update) formerDiffers() bool {
	return u.former != nil && !maps.EqualFunc(u.data, u.former.Data, bytes.Equal)
}

// ownDiffers reports whether the Secret itself is to be written.
func (u update) ownDiffers() bool { return !maps.EqualFunc(u.data, u.secret.Data, bytes.Equal) }

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
			former, err := r.former(ctx, c, secret)
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

// What tells that a Secret is a former one of this chart's, and not somebody else's of that name: the label that all objects of the
// chart have, or cert-manager's word for the Certificate, which the chart named like the Secret.
const (
	labelChart            = "app.kubernetes.io/name"
	annotationCertManager = "cert-manager.io/certificate-name"
)

// former is the former Secret of a certificate; nil if there is none.
func (r *Rotator) former(ctx context.Context, c Certificate, secret *corev1.Secret) (*corev1.Secret, error) {
	if c.Former.Name == "" {
		return nil, nil //nolint:nilnil // none is a state as good as any
	}
	former, err := r.get(ctx, c.Former)
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil //nolint:nilnil // the same
	case err == nil && former.Labels[labelChart] != secret.Labels[labelChart] && former.Annotations[annotationCertManager] != c.Former.Name:
		return nil, nil //nolint:nilnil // it is somebody else's, who would lose what it holds
	}
	return former, err
}

// write brings the Secrets to what the stage wants, and reports whether there was anything to
// do. The stage then begins anew.
func (r *Rotator) write(ctx context.Context, keeper *corev1.Secret, a *authorities, leaves map[int]leaf, now time.Time) (written bool, err error) {
	var updates []update
	for _, i := range slices.Sorted(maps.Keys(leaves)) { // in order, so that faults are told in the same words
		l := leaves[i]
		data, why, err := a.wants(r.Certificates[i], l.held(), now)
		if err != nil {
			return false, err
		}
		u := update{l, data, why}
		if r.strays(u) {
			written = true
		} else if u.formerDiffers() || u.ownDiffers() {
			updates = append(updates, u)
		}
	}
	if len(updates) == 0 {
		return written, nil
	}
	if !a.settled() {
		a.since = now
		if err := r.keep(ctx, keeper, *a, nil); err != nil {
			return true, err
		}
	}
	var errs []error
	for _, u := range updates {
		errs = append(errs, r.update(ctx, u))
	}
	return true, errors.Join(errs...)
}

// strays reports whether only the former Secret holds something else, and not for strayFor yet.
func (r *Rotator) strays(u update) bool {
	if u.former == nil {
		return false
	}
	name := client.ObjectKeyFromObject(u.former)
	since, known := r.strayed[name]
	if !u.formerDiffers() || u.ownDiffers() || known && r.Clock.Since(since) >= strayFor {
		delete(r.strayed, name)
		return false
	}
	if r.strayed == nil {
		r.strayed = map[types.NamespacedName]time.Time{}
	}
	if !known {
		r.strayed[name] = r.Clock.Now()
	}
	return true
}

// update writes the former Secret, and then the Secret itself: KEDA may read the former one, and is told of changes by
// the other. So that one waits for the next look if the first could not be written, unless it never can.
func (r *Rotator) update(ctx context.Context, u update) error {
	var late error
	if u.formerDiffers() {
		former := u.former
		former.Data = maps.Clone(u.data)
		err := r.Client.Update(ctx, former)
		if err != nil && !apierrors.IsNotFound(err) { // deleted just now: nobody reads it any more
			late = fmt.Errorf("writing Secret %s: %w", client.ObjectKeyFromObject(former), err)
			if !apierrors.IsForbidden(err) && !apierrors.IsInvalid(err) {
				return late
			}
		}
	}
	if !u.ownDiffers() {
		return late
	}
	name := client.ObjectKeyFromObject(u.secret)
	u.secret.Data = maps.Clone(u.data)
	if err := r.Client.Update(ctx, u.secret); err != nil {
		return errors.Join(late, fmt.Errorf("writing Secret %s: %w", name, err))
	}
	if u.why != "" {
		r.Log.Info("issued a certificate", "secret", name, "because", u.why)
		r.Recorder.Eventf(subject(name), nil, corev1.EventTypeNormal, "CertificateIssued", "Issue", "a new certificate: %s", u.why)
	}
	return late
}
