package certificates

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Annotations of the authority's Secret.
const (
	// AnnotationRotate asks for a new authority and new certificates: any value that is not
	// the one of before.
	AnnotationRotate = "pubsub.jawaracloud.io/rotate"
	// annotationRotated is the last value of AnnotationRotate that was heeded.
	annotationRotated = "pubsub.jawaracloud.io/rotated"
	// annotationSince is since when all Secrets have been as the stage wants them (RFC 3339).
	annotationSince = "pubsub.jawaracloud.io/stage-since"
)

// Keys of the authority's Secret, beside those of the authority that signs.
const (
	nextCertificateKey = "next.crt"
	nextPrivateKeyKey  = "next.key"
	previousKey        = "previous.crt"
)

// authorities are those of which Secrets tell. They change in stages, and in each of them any
// two sides trust one another, even if one of them is a stage behind:
//
//	settled    current signs, and is trusted
//	announced  current signs; next is trusted already
//	retiring   next has become current and signs; the previous one is still trusted
//
// While certificates of an older version are in use, whose authority has no key, there is no
// current one: they are trusted as previous, and stay until next has been announced.
type authorities struct {
	current, next *issuer
	previous      []byte
	since         time.Time
	asked, heeded string
}

func readAuthorities(secret *corev1.Secret) (authorities, error) {
	a := authorities{
		previous: secret.Data[previousKey],
		asked:    secret.Annotations[AnnotationRotate], heeded: secret.Annotations[annotationRotated],
	}
	var errs [3]error
	a.current, errs[0] = readIssuer(secret.Data[certificateKey], secret.Data[privateKeyKey])
	a.next, errs[1] = readIssuer(secret.Data[nextCertificateKey], secret.Data[nextPrivateKeyKey])
	if since := secret.Annotations[annotationSince]; since != "" {
		a.since, errs[2] = time.Parse(time.RFC3339, since)
	}
	if err := errors.Join(errs[:]...); err != nil {
		return authorities{}, fmt.Errorf("Secret %s/%s can't be read: %w: take its data out, and a new authority is made: kubectl patch secret %s -n %s --type=json -p '[{\"op\":\"remove\",\"path\":\"/data\"}]'",
			secret.Namespace, secret.Name, err, secret.Name, secret.Namespace)
	}
	return a, nil
}

// write puts the authorities into their Secret.
func (a authorities) write(secret *corev1.Secret) {
	secret.Data = map[string][]byte{}
	put := func(i *issuer, certificate, key string) {
		if i != nil {
			secret.Data[certificate], secret.Data[key] = i.certPEM, i.keyPEM
		}
	}
	put(a.current, certificateKey, privateKeyKey)
	put(a.next, nextCertificateKey, nextPrivateKeyKey)
	if len(a.previous) > 0 {
		secret.Data[previousKey] = a.previous
	}
	if secret.Annotations == nil {
		secret.Annotations = map[string]string{}
	}
	secret.Annotations[annotationSince] = a.since.UTC().Format(time.RFC3339)
	if a.heeded != "" {
		secret.Annotations[annotationRotated] = a.heeded
	}
}

// trusted are the authorities that every side trusts now.
func (a authorities) trusted(now time.Time) []byte {
	texts := [][]byte{}
	for _, i := range []*issuer{a.current, a.next} {
		if i != nil {
			texts = append(texts, i.certPEM)
		}
	}
	return bundle(now, append(texts, a.previous)...)
}

// settled reports whether no stage is under way.
func (a authorities) settled() bool { return a.current != nil && a.next == nil && len(a.previous) == 0 }

// A change is news of the authorities.
type change struct{ reason, note string }

// advance moves on to the next stage, if it is time to. It must only be asked while every
// Secret is as the stage wants it.
func (a authorities) advance(name string, settle time.Duration, now time.Time) (authorities, *change, error) {
	waited := now.Sub(a.since) >= settle
	switch {
	case a.settled() && (isDue(a.current.certificate, now) || a.asked != a.heeded):
		next, err := newIssuer(name, now)
		if err != nil {
			return a, nil, err
		}
		a.next, a.since, a.heeded = next, now, a.asked
		return a, &change{"AuthorityAnnounced", fmt.Sprintf("all trust the new authority %q as well; it signs in %s", next.certificate.Subject.CommonName, settle)}, nil
	case a.next != nil && waited && !now.Before(a.next.certificate.NotBefore):
		if a.current != nil {
			a.previous = bundle(now, a.current.certPEM, a.previous)
		}
		a.current, a.next, a.since = a.next, nil, now
		return a, &change{"AuthorityInUse", fmt.Sprintf("%q signs all certificates; the one before is trusted for %s", a.current.certificate.Subject.CommonName, settle)}, nil
	case a.next == nil && len(a.previous) > 0 && waited:
		a.previous, a.since = nil, now
		return a, &change{"AuthorityRetired", fmt.Sprintf("only %q is trusted", a.current.certificate.Subject.CommonName)}, nil
	}
	return a, nil, nil
}

// begin makes the first authority. Certificates that are in use already stay until the new
// authority has been announced, each by itself: one that can't be used must not part the others.
func begin(name string, wanted []Certificate, leaves map[int]leaf, asked string, now time.Time) (authorities, *change, error) {
	first, err := newIssuer(name, now)
	if err != nil {
		return authorities{}, nil, err
	}
	previous := []byte(nil)
	for i, l := range leaves {
		if data := l.held(); wanted[i].fault(data, nil, now) == "" && verifies(data, now) {
			previous = bundle(now, previous, data[authoritiesKey])
		}
	}
	if len(previous) > 0 {
		return authorities{next: first, previous: previous, since: now, asked: asked, heeded: asked},
			&change{"CertificatesTakenOver", "certificates that were in use stay until all trust the new authority"}, nil
	}
	return authorities{current: first, since: now, asked: asked, heeded: asked},
		&change{"AuthorityMade", fmt.Sprintf("the authority %q signs all certificates", first.certificate.Subject.CommonName)}, nil
}

// verifies reports whether a certificate is of one of the authorities beside it.
func verifies(data map[string][]byte, now time.Time) bool {
	pair, err := tls.X509KeyPair(data[certificateKey], data[privateKeyKey])
	roots := x509.NewCertPool()
	if err != nil || !roots.AppendCertsFromPEM(data[authoritiesKey]) {
		return false
	}
	_, err = pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	return err == nil
}

// wants is what a certificate's Secrets are to hold, by what they hold. Why is empty while the
// certificate stays.
func (a authorities) wants(c Certificate, held map[string][]byte, now time.Time) (data map[string][]byte, why string, err error) {
	data = map[string][]byte{authoritiesKey: a.trusted(now), certificateKey: held[certificateKey], privateKeyKey: held[privateKeyKey]}
	if why = c.fault(held, a.current, now); why == "" {
		return data, "", nil
	}
	signer := a.current
	if signer == nil { // what was taken over can't stay
		signer = a.next
	}
	data[certificateKey], data[privateKeyKey], err = signer.issue(c, now)
	return data, why, err
}
