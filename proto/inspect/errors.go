// Package inspect has what the scaler and the clients of its Inspector (the controller and
// kubectl pubsub) share in addition to the messages of proto/inspect/v1: how to recognize the
// scaler's own errors, the names of decisions, and which changes are news.
package inspect

import (
	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
)

// ErrorDomain is the domain of the google.rpc.ErrorInfo that each of the scaler's own errors
// has. It distinguishes them from failures of the transport.
const ErrorDomain = "pubsub.jawaracloud.io"

// ErrorReason is the reason in that ErrorInfo, in the form of a condition's reason. In addition
// to those below there are the causes of failed reads of a queue, which scaler/broker declares.
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

// Error is one of the scaler's own errors: a gRPC status with an ErrorInfo of ErrorDomain. The
// message says what is wrong, and the remedy.
func Error(code codes.Code, reason ErrorReason, message string) error {
	st := status.New(code, message)
	// WithDetails fails only for codes.OK, which is not an error.
	if detailed, err := st.WithDetails(&errdetails.ErrorInfo{Reason: string(reason), Domain: ErrorDomain}); err == nil {
		st = detailed
	}
	return st.Err()
}

// ReasonOf is the reason of one of the scaler's own errors. The second value is false for all
// other errors, such as those of the transport.
func ReasonOf(st *status.Status) (ErrorReason, bool) {
	for _, detail := range st.Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok && info.GetDomain() == ErrorDomain {
			return ErrorReason(info.GetReason()), true
		}
	}
	return "", false
}

// Failure is an error as Watch sends it in a stream that goes on.
func Failure(c codes.Code, reason ErrorReason, message string) *inspectv1.Failure {
	return &inspectv1.Failure{Code: code.Code(c).String(), Reason: string(reason), Message: message}
}
