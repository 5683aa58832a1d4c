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

// ReasonUnreachable stands where the scaler itself could not be asked.
const ReasonUnreachable inspect.ErrorReason = "ScalerUnreachable"

// ScalerError is the scaler's own answer that it can't decide.
type ScalerError struct {
	Code    codes.Code
	Reason  inspect.ErrorReason
	Message string // with the remedy
}

// words are what the scaler's reasons mean: those of proto/inspect, and scaler/broker's causes,
// which are named here because the plugin is not built with the scaler's connections.
var words = map[inspect.ErrorReason]string{
	inspect.TargetNotFound:      "what is to be scaled is not there",
	inspect.ClusterUnreachable:  "the scaler can't read the cluster",
	inspect.InvalidTrigger:      "the question or the ScaledObject's trigger is not valid",
	inspect.ShuttingDown:        "the scaler shuts down",
	inspect.Canceled:            "the question was taken back",
	inspect.CallerNotAllowed:    "the scaler does not answer whoever has this certificate",
	inspect.MetadataNotBelieved: "the scaler believes the cluster alone",
	inspect.SecretsNeedTLS:      "the scaler uses Secrets only for callers with a certificate",

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
	kind := string(e.Reason)
	if kind == "" {
		kind = e.Code.String()
	}
	return fmt.Sprintf("%s (%s): %s", meaning, kind, e.Message)
}

// FailureOf is an error of this package as the scaler's streams tell theirs.
func FailureOf(err error) *inspectv1.Failure {
	var own *ScalerError
	if errors.As(err, &own) {
		return inspect.Failure(own.Code, own.Reason, own.Message)
	}
	return inspect.Failure(codes.Unavailable, ReasonUnreachable, err.Error())
}

// inWords turns a call's error into a *ScalerError, or into words that tell why the scaler
// could not be asked. The end of a stream is none.
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
