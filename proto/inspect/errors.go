// Package inspect holds what the scaler and the clients of its Inspector (the controller,
// kubectl pubsub) must agree on beside the messages of proto/inspect/v1: how an error of the
// scaler's own is known, what decisions are called, and what is news.
package inspect

import (
	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
)

// ErrorDomain is the domain of the google.rpc.ErrorInfo that each of the scaler's own
// errors carries. It tells them from failures of the transport.
const ErrorDomain = "pubsub.jawaracloud.io"

// ErrorReason is the reason in that ErrorInfo, fit for a condition's reason. Beside those
// below there are the causes of a queue that can't be read, which scaler/broker declares.
type ErrorReason string

// The reasons of errors that are not about reading a queue.
const (
	TargetNotFound     ErrorReason = "TargetNotFound"     // a ScaledObject, or what it scales, is missing
	ClusterUnreachable ErrorReason = "ClusterUnreachable" // the scaler can't read the cluster
	InvalidTrigger     ErrorReason = "InvalidTrigger"     // the request, or the trigger's metadata
	ShuttingDown       ErrorReason = "ShuttingDown"       // the scaler ends
	Canceled           ErrorReason = "Canceled"           // the caller cancelled the call

	CallerNotAllowed    ErrorReason = "CallerNotAllowed"    // the certificate is of none who may call this
	MetadataNotBelieved ErrorReason = "MetadataNotBelieved" // what the caller sent is not what stands in the cluster
	SecretsNeedTLS      ErrorReason = "SecretsNeedTLS"      // without certificates no Secret is used
)

// Error is an error of the scaler's own: a gRPC status with an ErrorInfo of ErrorDomain. The
// message tells what is wrong, with the remedy.
func Error(code codes.Code, reason ErrorReason, message string) error {
	st := status.New(code, message)
	// WithDetails fails for codes.OK alone, which is no error.
	if detailed, err := st.WithDetails(&errdetails.ErrorInfo{Reason: string(reason), Domain: ErrorDomain}); err == nil {
		st = detailed
	}
	return st.Err()
}

// ReasonOf is the reason of an error of the scaler's own. The second value is false for all
// others, such as those of the transport.
func ReasonOf(st *status.Status) (ErrorReason, bool) {
	for _, detail := range st.Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok && info.GetDomain() == ErrorDomain {
			return ErrorReason(info.GetReason()), true
		}
	}
	return "", false
}

// Failure is an error as Watch tells it in a stream that goes on.
func Failure(c codes.Code, reason ErrorReason, message string) *inspectv1.Failure {
	return &inspectv1.Failure{Code: code.Code(c).String(), Reason: string(reason), Message: message}
}
