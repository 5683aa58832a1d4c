package connect

import (
	"errors"
	"fmt"
	"io"

	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
)

// scalerErrorDomain is the domain of the ErrorInfo on the scaler's own errors.
const scalerErrorDomain = "pubsub.jawaracloud.io"

// ReasonTargetNotFound is the scaler's where a ScaledObject or what it scales is missing.
const ReasonTargetNotFound = "TargetNotFound"

// ReasonUnreachable stands where the scaler itself could not be asked.
const ReasonUnreachable = "ScalerUnreachable"

// ScalerError is the scaler's own answer that it can't decide.
type ScalerError struct {
	Code    codes.Code
	Reason  string
	Message string // with the remedy
}

// words are what the scaler's reasons mean.
var words = map[string]string{
	ReasonTargetNotFound:     "what is to be scaled is not there",
	"ClusterUnreachable":     "the scaler can't read the cluster",
	"InvalidTrigger":         "the question or the ScaledObject's trigger is not valid",
	"ShuttingDown":           "the scaler shuts down",
	"BrokerUnreachable":      "the scaler can't connect to the queue's server",
	"BrokerUnknownHost":      "the scaler can't find the queue's server",
	"BrokerTimeout":          "the queue's server does not answer in time",
	"BrokerLoading":          "the queue's server is not ready yet",
	"BrokerUnauthorized":     "the queue's server refuses the scaler's credentials",
	"BrokerForbidden":        "the queue's server does not let the scaler read",
	"QueueWrongType":         "the key is no queue of the wanted type",
	"QueueGroupUnclear":      "the stream's consumer group is not clear",
	"BrokerNotAllowed":       "the scaler is not allowed to connect to the queue's server",
	"BrokerSecretUnreadable": "the scaler can't read the Secret that the channel names",
	"BrokerIsReplica":        "the queue's server is a replica, not the master",
	"BrokerTLSFailed":        "the scaler and the queue's server don't trust each other",
	"BrokerClusterDown":      "the cluster of the queue's servers is down",
	"BrokerReplyTooLarge":    "the queue's server answers with more than a depth can need",
	"BrokerReplyBudget":      "the scaler has no room for the reply beside those of other servers",
	"BrokerNotRedis":         "what answers is no Redis or DragonFly server",
	"BrokerTooMany":          "the namespace has as many servers watched as it may have",
	"ScalerFault":            "the scaler has a fault",
	"QueueAgeUnknown":        "nothing records how old the queue's messages are",
	"BrokerError":            "the queue's server answers with an error",
}

// codeWords are what gRPC's codes mean, where the reason is none of the above.
var codeWords = map[codes.Code]string{
	codes.InvalidArgument:    "the scaler refuses the question",
	codes.NotFound:           "the scaler does not find what was asked about",
	codes.FailedPrecondition: "the queue is not as the channel says",
	codes.PermissionDenied:   "something is not permitted",
	codes.Unauthenticated:    "credentials are wrong or missing",
	codes.DeadlineExceeded:   "something did not answer in time",
	codes.Unavailable:        "something can't be reached",
	codes.ResourceExhausted:  "a limit is reached",
	codes.Internal:           "the scaler met something unexpected",
}

func (e *ScalerError) Error() string {
	meaning := words[e.Reason]
	if meaning == "" {
		meaning = codeWords[e.Code]
	}
	if meaning == "" {
		meaning = "the scaler can't answer"
	}
	kind := e.Reason
	if kind == "" {
		kind = e.Code.String()
	}
	return fmt.Sprintf("%s (%s): %s", meaning, kind, e.Message)
}

// FailureOf is an error of this package as the scaler's streams tell theirs.
func FailureOf(err error) *inspectv1.Failure {
	var own *ScalerError
	if errors.As(err, &own) {
		return &inspectv1.Failure{Code: code.Code(own.Code).String(), Reason: own.Reason, Message: own.Message}
	}
	return &inspectv1.Failure{Code: code.Code_UNAVAILABLE.String(), Reason: ReasonUnreachable, Message: err.Error()}
}

// inWords turns a call's error into a *ScalerError, or into words that tell why the scaler
// could not be asked. The end of a stream is none.
func (s *Scaler) inWords(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	st := status.Convert(err)
	for _, detail := range st.Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok && info.GetDomain() == scalerErrorDomain {
			return &ScalerError{Code: st.Code(), Reason: info.GetReason(), Message: st.Message()}
		}
	}
	problem := s.lastProblem()
	switch code := st.Code(); {
	case code == codes.Canceled:
		return fmt.Errorf("interrupted: %s", st.Message())
	case problem != nil && (code == codes.Unavailable || code == codes.DeadlineExceeded):
		return problem
	case code == codes.Unavailable && s.flags.Plaintext:
		return fmt.Errorf("the scaler can't be asked in clear text: where it has TLS, leave out --plaintext: %s", st.Message())
	case code == codes.Unavailable:
		return fmt.Errorf("the connection to the scaler broke: %s", st.Message())
	case code == codes.DeadlineExceeded:
		return fmt.Errorf("the scaler did not answer within %s: %s", explainTimeout, st.Message())
	case code == codes.Unimplemented:
		return fmt.Errorf("what answers there is no scaler, or one that is older than this plugin: upgrade the operator, or correct --address: %s", st.Message())
	default:
		return &ScalerError{Code: code, Message: st.Message()}
	}
}
