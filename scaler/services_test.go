package scaler_test

import (
	"context"
	"crypto/tls"
	"log/slog"
	"slices"
	"testing"

	"github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	channelzpb "google.golang.org/grpc/channelz/grpc_channelz_v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	reflectionalphapb "google.golang.org/grpc/reflection/grpc_reflection_v1alpha"
	"google.golang.org/grpc/status"

	"github.com/jawaracloud/pubsub-operator/internal/certtest"
	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
	"github.com/jawaracloud/pubsub-operator/scaler"
)

// beside are the services that the server has beside KEDA's contract and the Inspector: one call of each, and who may make
// it.
var beside = map[string]struct {
	call func(ctx context.Context, tr *trial) error
	may  []string
}{
	healthpb.Health_ServiceDesc.ServiceName: {func(ctx context.Context, tr *trial) error {
		_, err := healthpb.NewHealthClient(tr.connection).Check(ctx, &healthpb.HealthCheckRequest{})
		return err
	}, []string{"plaintext", "stranger", "KEDA", "controller", "people"}},
	reflectionpb.ServerReflection_ServiceDesc.ServiceName: {func(ctx context.Context, tr *trial) error {
		_, err := tr.services(ctx)
		return err
	}, []string{"plaintext", "KEDA", "controller", "people"}},
	reflectionalphapb.ServerReflection_ServiceDesc.ServiceName: {func(ctx context.Context, tr *trial) error {
		stream, err := reflectionalphapb.NewServerReflectionClient(tr.connection).ServerReflectionInfo(ctx)
		if err == nil {
			//nolint:staticcheck // deprecated, and served to clients that know no other
			_ = stream.Send(&reflectionalphapb.ServerReflectionRequest{MessageRequest: &reflectionalphapb.ServerReflectionRequest_ListServices{}}) // a refusal is received
			_, err = stream.Recv()
		}
		return err
	}, []string{"plaintext", "KEDA", "controller", "people"}},
	channelzpb.Channelz_ServiceDesc.ServiceName: {func(ctx context.Context, tr *trial) error {
		_, err := channelzpb.NewChannelzClient(tr.connection).GetServers(ctx, &channelzpb.GetServersRequest{})
		return err
	}, []string{"controller", "people"}},
}

// services are those that the server says it has.
func (tr *trial) services(ctx context.Context) ([]string, error) {
	stream, err := reflectionpb.NewServerReflectionClient(tr.connection).ServerReflectionInfo(ctx)
	if err != nil {
		return nil, err
	}
	_ = stream.Send(&reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{}}) // a refusal is received
	answer, err := stream.Recv()
	if err != nil {
		return nil, err
	}
	var names []string
	for _, service := range answer.GetListServicesResponse().GetService() {
		names = append(names, service.GetName())
	}
	return names, nil
}

// Who may call the services that are not asked about ScaledObjects. TestWhoMayAsk has the others.
func TestEveryServiceHasItsCallers(t *testing.T) {
	ca, dir := certtest.New(t), t.TempDir()
	ca.Write(dir, ca.Server("scaler"))
	mutual, err := scaler.TLSFromDir(dir, slog.New(slog.DiscardHandler), nil)
	require.NoError(t, err)
	as := func(name string) credentials.TransportCredentials {
		return credentials.NewTLS(ca.ClientTLS("scaler", ca.Client(name)))
	}
	for who, caller := range map[string]struct {
		server *tls.Config
		client credentials.TransportCredentials
	}{
		"plaintext":  {nil, insecure.NewCredentials()},
		"stranger":   {mutual, as("tenant-x")},
		"KEDA":       {mutual, as("pubsub-operator-keda")},
		"controller": {mutual, as("pubsub-operator-controller")},
		"people":     {mutual, as("pubsub-operator-people")},
	} {
		for name, service := range beside {
			t.Run(who+"/"+name, func(t *testing.T) {
				t.Parallel()
				ctx, cancel := context.WithTimeout(t.Context(), deadline)
				defer cancel()
				want := codes.PermissionDenied
				if slices.Contains(service.may, who) {
					want = codes.OK
				}
				err := service.call(ctx, newTrial(t, caller.server, caller.client))
				assert.Equal(t, want.String(), status.Code(err).String(), "%v", err)
			})
		}
	}

	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	names, err := newTrial(t, nil, insecure.NewCredentials()).services(ctx)
	require.NoError(t, err)
	known := []string{externalscaler.ExternalScaler_ServiceDesc.ServiceName, inspectv1.Inspector_ServiceDesc.ServiceName} // of TestWhoMayAsk
	for name := range beside {
		known = append(known, name)
	}
	assert.ElementsMatch(t, known, names, "a service that is new needs its callers here")
}
