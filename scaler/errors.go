package scaler

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/jawaracloud/pubsub-operator/scaler/broker"
	"github.com/jawaracloud/pubsub-operator/scaler/target"
)

// ErrorDomain is the domain of the google.rpc.ErrorInfo that each of the scaler's own
// errors carries. It tells them from failures of the transport.
const ErrorDomain = "pubsub.jawaracloud.io"

// codeOf has a gRPC code for each cause, so that a caller need not read the words.
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

// brokerError maps a failed read of a queue. Missing data is always an error, never 0.
func (r *request) brokerError(err error) error {
	var read *broker.ReadError
	switch {
	case errors.As(err, &read):
		cause := read.Cause()
		code, ok := codeOf[cause]
		if !ok {
			code = codes.Internal // never OK: a depth that is not known must not read as 0
		}
		return failure(code, string(cause), r.told(err.Error()))
	case errors.Is(err, context.Canceled):
		return failure(codes.Canceled, "Canceled", "the caller went away")
	default: // the pool was closed
		return failure(codes.Unavailable, "ShuttingDown", r.told(err.Error()))
	}
}

// clusterError maps a failed read of the cluster.
func clusterError(err error) error {
	switch {
	case errors.Is(err, target.ErrNotFound):
		return failure(codes.NotFound, "TargetNotFound", err.Error())
	case errors.Is(err, context.Canceled):
		return failure(codes.Canceled, "Canceled", "the caller went away")
	default:
		return failure(codes.Unavailable, "ClusterUnreachable", err.Error())
	}
}

// invalid is an error of the request itself.
func invalid(words string) error {
	return failure(codes.InvalidArgument, "InvalidTrigger", words)
}

// fault is an error of the scaler's own: a value that one of its rooms has, and another does
// not know. verb says what it can't do with it.
func fault(verb string, values ...any) error {
	return failure(codes.Internal, string(broker.Fault), fmt.Sprintf("this scaler does not know how to "+verb+": report it as a fault", values...))
}

func failure(code codes.Code, reason, words string) error {
	st := status.New(code, words)
	if detailed, err := st.WithDetails(&errdetails.ErrorInfo{Reason: reason, Domain: ErrorDomain}); err == nil {
		st = detailed
	}
	return st.Err()
}
