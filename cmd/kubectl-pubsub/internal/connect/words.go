package connect

import (
	"errors"
	"fmt"
	"io"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/jawaracloud/pubsub-operator/proto/inspect"
	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
)

// ReasonUnreachable is the reason if the scaler itself could not be asked.
const ReasonUnreachable inspect.ErrorReason = "ScalerUnreachable"

// ScalerError is an error that the scaler itself returned.
type ScalerError struct {
	Code    codes.Code
	Reason  inspect.ErrorReason
	Message string // with the remedy
}

// words are the meanings of the scaler's reasons: those of proto/inspect, and the causes of
// scaler/broker. The latter are repeated here as texts, so that the plugin need not be built
// with the scaler's connections.
var words = map[inspect.ErrorReason]string{
	inspect.TargetNotFound:      "the ScaledObject or its target does not exist",
	inspect.ClusterUnreachable:  "the scaler can't read the cluster",
	inspect.InvalidTrigger:      "the request or the ScaledObject's trigger is not valid",
	inspect.ShuttingDown:        "the scaler shuts down",
	inspect.Canceled:            "the call was cancelled",
	inspect.CallerNotAllowed:    "the scaler does not answer callers with this certificate",
	inspect.MetadataNotBelieved: "only the ScaledObject in the cluster counts",
	inspect.SecretsNeedTLS:      "the scaler uses Secrets only for callers with a certificate",

	"BrokerUnreachable":      "the scaler can't connect to the queue's server",
	"BrokerUnknownHost":      "the scaler can't find the queue's server",
	"BrokerTimeout":          "the queue's server does not answer in time",
	"BrokerLoading":          "the queue's server is not ready yet",
	"BrokerUnauthorized":     "the queue's server refuses the scaler's credentials",
	"BrokerForbidden":        "the queue's server does not let the scaler read",
	"QueueWrongType":         "the key is not a queue of the configured type",
	"QueueGroupUnclear":      "it is not clear which consumer group of the stream counts",
	"BrokerNotAllowed":       "the scaler is not allowed to connect to the queue's server",
	"BrokerSecretUnreadable": "the scaler can't read the Secret that the channel names",
	"BrokerIsReplica":        "the queue's server is a replica, not the master",
	"BrokerTLSFailed":        "the scaler and the queue's server don't trust each other",
	"BrokerClusterDown":      "the cluster of the queue's servers is down",
	"BrokerReplyTooLarge":    "the reply of the queue's server is larger than any depth needs",
	"BrokerReplyBudget":      "the scaler has no room for the reply, because other servers' replies fill it",
	"BrokerNotRedis":         "the server is neither Redis nor DragonFly",
	"BrokerTooMany":          "the namespace has reached its limit of watched servers",
	"ScalerFault":            "the scaler has a fault",
	"QueueAgeUnknown":        "nothing records how old the queue's messages are",
	"BrokerError":            "the queue's server answers with an error",
}

// codeWords are the meanings of gRPC's codes, for reasons that are not listed above.
var codeWords = map[codes.Code]string{
	codes.InvalidArgument:    "the scaler refuses the request",
	codes.NotFound:           "the scaler does not find the object of the request",
	codes.FailedPrecondition: "the queue is not as the channel describes it",
	codes.PermissionDenied:   "something is not permitted",
	codes.Unauthenticated:    "credentials are wrong or missing",
	codes.DeadlineExceeded:   "something did not answer in time",
	codes.Unavailable:        "something can't be reached",
	codes.ResourceExhausted:  "a limit is reached",
	codes.Internal:           "the scaler met an unexpected error",
}

func (e *ScalerError) Error() string {
	meaning := words[e.Reason]
	if meaning == "" {
		meaning = codeWords[e.Code]
	}
	if meaning == "" {
		meaning = "the scaler can't answer"
	}
	kind := string(e.Reason)
	if kind == "" {
		kind = e.Code.String()
	}
	return fmt.Sprintf("%s (%s): %s", meaning, kind, e.Message)
}

// FailureOf converts an error of this package to the Failure that the scaler's streams send.
func FailureOf(err error) *inspectv1.Failure {
	var own *ScalerError
	if errors.As(err, &own) {
		return inspect.Failure(own.Code, own.Reason, own.Message)
	}
	return inspect.Failure(codes.Unavailable, ReasonUnreachable, err.Error())
}

// inWords converts a call's error to a *ScalerError, or to an error that says why the scaler
// could not be asked. The end of a stream is not an error.
func (s *Scaler) inWords(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	st := status.Convert(err)
	if reason, own := inspect.ReasonOf(st); own {
		return &ScalerError{Code: st.Code(), Reason: reason, Message: st.Message()}
	}
	problem := s.lastProblem()
	switch code := st.Code(); {
	case code == codes.Canceled:
		return fmt.Errorf("interrupted: %s", st.Message())
	case problem != nil && (code == codes.Unavailable || code == codes.DeadlineExceeded):
		return problem
	case code == codes.Unavailable && s.flags.Plaintext:
		return fmt.Errorf("the scaler can't be asked without TLS: if it has TLS, leave --plaintext out: %s", st.Message())
	case code == codes.Unavailable:
		return fmt.Errorf("the connection to the scaler broke: %s", st.Message())
	case code == codes.DeadlineExceeded:
		return fmt.Errorf("the scaler did not answer within %s: %s", explainTimeout, st.Message())
	case code == codes.Unimplemented:
		return fmt.Errorf("the address is not that of a scaler, or the scaler is older than this plugin: upgrade the operator, or correct --address: %s", st.Message())
	default:
		return &ScalerError{Code: code, Message: st.Message()}
	}
}
