package scaler

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc/codes"

	"github.com/jawaracloud/pubsub-operator/proto/inspect"
	"github.com/jawaracloud/pubsub-operator/scaler/broker"
	"github.com/jawaracloud/pubsub-operator/scaler/target"
)

// codeOf has a gRPC code for each cause, so that a caller need not parse the message.
var codeOf = map[broker.Cause]codes.Code{
	broker.Unreachable:      codes.Unavailable,
	broker.UnknownHost:      codes.NotFound,
	broker.Slow:             codes.DeadlineExceeded,
	broker.Loading:          codes.Unavailable,
	broker.Unauthorized:     codes.Unauthenticated,
	broker.Forbidden:        codes.PermissionDenied,
	broker.NotAllowed:       codes.PermissionDenied,
	broker.SecretUnreadable: codes.FailedPrecondition,
	broker.StaleReplica:     codes.Unavailable,
	broker.TLSFailed:        codes.Unauthenticated,
	broker.ClusterDown:      codes.Unavailable,
	broker.WrongType:        codes.FailedPrecondition,
	broker.AgeUnknown:       codes.FailedPrecondition,
	broker.NoGroup:          codes.FailedPrecondition,
	broker.ReplyTooLarge:    codes.FailedPrecondition,
	broker.ReplyBudget:      codes.ResourceExhausted,
	broker.NotRedis:         codes.FailedPrecondition,
	broker.TooManyServers:   codes.ResourceExhausted,
	broker.Fault:            codes.Internal,
	broker.Unreadable:       codes.Internal,
}

// brokerError converts a failed read of a queue. Missing data is always an error, never 0.
func (r *request) brokerError(err error) error {
	var read *broker.ReadError
	switch {
	case errors.As(err, &read):
		cause := read.Cause()
		code, ok := codeOf[cause]
		if !ok {
			code = codes.Internal // never OK: an unknown depth must not become 0
		}
		return inspect.Error(code, inspect.ErrorReason(cause), r.told(err.Error()))
	case errors.Is(err, context.Canceled):
		return inspect.Error(codes.Canceled, inspect.Canceled, "the caller cancelled the call")
	default: // the pool was closed
		return inspect.Error(codes.Unavailable, inspect.ShuttingDown, r.told(err.Error()))
	}
}

// clusterError converts a failed read of the cluster.
func clusterError(err error) error {
	switch {
	case errors.Is(err, target.ErrNotFound):
		return inspect.Error(codes.NotFound, inspect.TargetNotFound, err.Error())
	case errors.Is(err, context.Canceled):
		return inspect.Error(codes.Canceled, inspect.Canceled, "the caller cancelled the call")
	default:
		return inspect.Error(codes.Unavailable, inspect.ClusterUnreachable, err.Error())
	}
}

// invalid is an error of the request itself.
func invalid(message string) error {
	return inspect.Error(codes.InvalidArgument, inspect.InvalidTrigger, message)
}

// fault is a fault of the scaler itself: one of its rooms has a value that another one does not
// know. verb says what the scaler can't do with it.
func fault(verb string, values ...any) error {
	return inspect.Error(codes.Internal, inspect.ErrorReason(broker.Fault), fmt.Sprintf("this scaler does not know how to "+verb+": report it as a fault", values...))
}
