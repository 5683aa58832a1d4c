package scaler

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
	"google.golang.org/grpc"
	channelzpb "google.golang.org/grpc/channelz/grpc_channelz_v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/peer"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	reflectionalphapb "google.golang.org/grpc/reflection/grpc_reflection_v1alpha"

	"github.com/jawaracloud/pubsub-operator/proto/inspect"
	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
)

// Callers are the names by which the scaler recognizes who calls: the common name or a DNS name
// of the client's certificate. A name stands for one kind of caller only. A certificate with
// none of these names is a stranger's, whoever signed it.
type Callers struct {
	KEDA       []string
	Controller []string
	People     []string
}

// DefaultCallers are the names on the certificates that the chart makes for a release named
// pubsub-operator.
func DefaultCallers() Callers {
	return Callers{
		KEDA:       []string{"pubsub-operator-keda"},
		Controller: []string{"pubsub-operator-controller"},
		People:     []string{"pubsub-operator-people"},
	}
}

// Validate refuses names that are empty or stand for two kinds of callers.
func (c Callers) Validate() error {
	_, err := c.byName()
	return err
}

func (c Callers) byName() (map[string]caller, error) {
	known := map[string]caller{}
	for _, kind := range []struct {
		is    caller
		names []string
	}{{keda, c.KEDA}, {controller, c.Controller}, {person, c.People}} {
		for _, name := range kind.names {
			if name == "" {
				return nil, fmt.Errorf("a name of %s is empty: name the common name or a DNS name of their certificate", kind.is)
			}
			if other, taken := known[name]; taken && other != kind.is {
				return nil, fmt.Errorf("%q names both %s and %s: give each a certificate with a name of its own", name, other, kind.is)
			}
			known[name] = kind.is
		}
	}
	return known, nil
}

// caller is who calls: one kind, or several if the certificate has several names. Zero is a
// stranger.
type caller uint8

const (
	keda caller = 1 << iota
	controller
	person
	// anonymous is a caller on a listener that asks for no certificate.
	anonymous
)

func (c caller) String() string {
	var words []string
	for _, kind := range []struct {
		is   caller
		word string
	}{{keda, "KEDA"}, {controller, "the controller"}, {person, "people"}, {anonymous, "anybody without a certificate"}} {
		if c&kind.is != 0 {
			words = append(words, kind.word)
		}
	}
	if len(words) == 0 {
		return "nobody"
	}
	return strings.Join(words, " and ")
}

// callerOf returns who makes the call of this context.
func (s *Service) callerOf(ctx context.Context) caller {
	from, ok := peer.FromContext(ctx)
	if !ok {
		return anonymous
	}
	info, ok := from.AuthInfo.(credentials.TLSInfo)
	if !ok || len(info.State.VerifiedChains) == 0 {
		return anonymous // the listener asks for no certificate
	}
	certificate := info.State.VerifiedChains[0][0]
	is := s.callers[certificate.Subject.CommonName]
	for _, name := range certificate.DNSNames {
		is |= s.callers[name]
	}
	return is
}

// certificateNames are the names on the caller's certificate, for an error message.
func certificateNames(ctx context.Context) string {
	from, ok := peer.FromContext(ctx)
	if !ok {
		return ""
	}
	info, ok := from.AuthInfo.(credentials.TLSInfo)
	if !ok || len(info.State.VerifiedChains) == 0 {
		return ""
	}
	certificate := info.State.VerifiedChains[0][0]
	names := slices.Compact(append([]string{certificate.Subject.CommonName}, certificate.DNSNames...))
	return fmt.Sprintf("%q", names)
}

// anyone is every caller that the scaler recognizes, with or without a certificate.
const anyone = keda | controller | person | anonymous

// mayCall says who may call the methods of a service. Nobody may call a service without a row.
var mayCall = map[string]caller{
	externalscaler.ExternalScaler_ServiceDesc.ServiceName:      keda | controller | anonymous,
	inspectv1.Inspector_ServiceDesc.ServiceName:                controller | person | anonymous,
	reflectionpb.ServerReflection_ServiceDesc.ServiceName:      anyone,
	reflectionalphapb.ServerReflection_ServiceDesc.ServiceName: anyone,
	channelzpb.Channelz_ServiceDesc.ServiceName:                controller | person, // it shows who else is connected
}

// mayNotCall is the refusal of a call, by its full method name "/service/method", or nil if it
// is allowed. Everybody may ask for the scaler's health.
func (s *Service) mayNotCall(ctx context.Context, fullMethod string) error {
	service, _, _ := strings.Cut(strings.TrimPrefix(fullMethod, "/"), "/")
	if service == healthpb.Health_ServiceDesc.ServiceName {
		return nil
	}
	allowed, is := mayCall[service], s.callerOf(ctx)
	switch {
	case is&allowed != 0:
		return nil
	case is == anonymous:
		return denied(inspect.CallerNotAllowed, fmt.Sprintf("%s is for %s: call it over TLS, with such a certificate", service, allowed&^anonymous))
	case is == 0:
		return denied(inspect.CallerNotAllowed, fmt.Sprintf("this scaler does not know the certificate's names %s: use a certificate of %s, or add the name to the scaler's flags", certificateNames(ctx), allowed&^anonymous))
	default:
		return denied(inspect.CallerNotAllowed, fmt.Sprintf("the certificate's names %s are those of %s, and %s is for %s: use another certificate", certificateNames(ctx), is, service, allowed&^anonymous))
	}
}

func denied(reason inspect.ErrorReason, message string) error {
	return inspect.Error(codes.PermissionDenied, reason, message)
}

// allowUnary and allowStream refuse calls before anything in them is read.
func (s *Service) allowUnary(ctx context.Context, in any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	if err := s.mayNotCall(ctx, info.FullMethod); err != nil {
		return nil, err
	}
	return handle(ctx, in)
}

func (s *Service) allowStream(service any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
	if err := s.mayNotCall(stream.Context(), info.FullMethod); err != nil {
		return err
	}
	return handle(service, stream)
}
