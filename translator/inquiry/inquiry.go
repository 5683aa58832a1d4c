// Package inquiry is the question that the scaler is asked about a channel, and its answer:
// whether it is news, whether it is the same decision, and who failed where there is none. It
// sends nothing.
package inquiry

import (
	"context"
	"errors"
	"math"
	"time"
	"unique"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/proto/inspect"
	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
	"github.com/jawaracloud/pubsub-operator/scaler/policy"
	"github.com/jawaracloud/pubsub-operator/scaler/trigger"
)

// Question is what the scaler is asked about one channel. It is kept for as long as the
// channel lives; what most channels have in common is there once for all.
type Question struct {
	channelName string
	queue       trigger.Queue
	redis       unique.Handle[trigger.Redis]
	policy      unique.Handle[policy.Spec]
	Replicas    int32 // the Deployment's spec.replicas
	// scaled is true where KEDA scales the target. Only then is the cluster asked for
	// replicas and the last scaling; else the scaler needs nothing but the queue.
	scaled bool
}

// NewQuestion leaves out the state of a trigger, which one without a cluster alone has.
func NewQuestion(t trigger.Trigger, replicas int32, scaled bool) Question {
	return Question{
		channelName: t.ChannelName, queue: t.Queue, redis: unique.Make(t.Redis), policy: unique.Make(t.Policy),
		Replicas: replicas, scaled: scaled,
	}
}

// Equal reports whether the answer to one is the answer to the other.
func (q Question) Equal(other Question) bool {
	return q.Replicas == other.Replicas && q.scaled == other.scaled &&
		q.channelName == other.channelName && q.queue.Equal(other.queue) && q.redis == other.redis && q.policy == other.policy
}

// SameQueue reports whether an answer to one question may stand for the other.
func (q Question) SameQueue(other Question) bool {
	other.Replicas, other.scaled = q.Replicas, q.scaled
	return q.Equal(other)
}

// Request is the question as Inspector.Explain takes it, for the channel of that name.
func (q Question) Request(namespace, name string) *inspectv1.ExplainRequest {
	t := trigger.Trigger{ChannelName: q.channelName, Queue: q.queue, Redis: q.redis.Value(), Policy: q.policy.Value()}
	request := &inspectv1.ExplainRequest{Namespace: namespace, Name: name, ScalerMetadata: t.Metadata()}
	if !q.scaled {
		request.Replicas = &q.Replicas
		request.LastScaleTime = timestamppb.New(time.Unix(0, 0)) // never
	}
	return request
}

// Answer is what the scaler said, or why it didn't.
type Answer struct {
	Question Question
	Response *inspectv1.ExplainResponse // nil where Err is not
	Err      error
	At       time.Time // when it came
	// Since is when the scaler first gave this decision to this question, or when what held it
	// up let go.
	Since time.Time
}

// Decides reports whether the other answer is to the same question, with the same decision,
// of which it is a part whether KEDA is to count the target as active.
func (a *Answer) Decides(other *Answer) bool {
	return other != nil && a.Err == nil && other.Err == nil && a.Question.Equal(other.Question) &&
		a.Response.GetAction() == other.Response.GetAction() && a.Response.GetActive() == other.Response.GetActive()
}

// Depth is the queue's depth in messages; nil while it is unknown.
func (a *Answer) Depth() *int64 {
	if a == nil || a.Err != nil {
		return nil
	}
	depth := a.Response.GetQueueDepth()
	return &depth
}

// SameAs reports whether the answer says nothing that the other one, which was told, did not say,
// but for what only counts on.
func (a *Answer) SameAs(told *Answer) bool {
	if a == nil || told == nil {
		return a == told
	}
	if (a.Err == nil) != (told.Err == nil) || !a.Question.Equal(told.Question) {
		return false
	}
	if a.Err != nil {
		return inspect.WithoutDigits(a.Err.Error()) == inspect.WithoutDigits(told.Err.Error())
	}
	x, y := a.Response, told.Response
	return SameDecision(told.Decision(), a.Decision(), a.Question.spec()) &&
		x.GetAction() == y.GetAction() &&
		x.GetActive() == y.GetActive() &&
		x.GetQueueDepth() == y.GetQueueDepth() &&
		x.GetDepthIsLowerBound() == y.GetDepthIsLowerBound() &&
		x.GetReason() == y.GetReason() &&
		x.GetLastingExplanation() == y.GetLastingExplanation() &&
		x.GetPolicyInUse() == y.GetPolicyInUse() &&
		inspect.WithoutDigits(x.GetFallbackReason()) == inspect.WithoutDigits(y.GetFallbackReason()) &&
		inspect.WithoutDigits(x.GetConcurrencyRemark()) == inspect.WithoutDigits(y.GetConcurrencyRemark()) &&
		(x.MessageRate == nil) == (y.MessageRate == nil) &&
		WholeRate(x) == WholeRate(y)
}

// Unreachable tells a scaler that could not be asked from one that answered with an
// error, and gives the code and the message of the error.
func Unreachable(err error) (bool, codes.Code, string) {
	st, ok := status.FromError(err)
	if !ok {
		if errors.Is(err, context.DeadlineExceeded) {
			return true, codes.DeadlineExceeded, err.Error()
		}
		return true, codes.Unknown, err.Error()
	}
	if _, own := inspect.ReasonOf(st); own {
		return false, st.Code(), st.Message()
	}
	switch st.Code() {
	case codes.InvalidArgument, codes.NotFound, codes.FailedPrecondition, codes.OutOfRange:
		return false, st.Code(), st.Message() // gRPC itself never makes these
	default:
		return true, st.Code(), st.Message()
	}
}

// ReasonName is the scaler's reason as a condition's. One that only a newer scaler knows has
// no name here, and its number would not do: the API server refuses a status with a reason
// that does not begin with a letter.
func ReasonName(reason inspectv1.Reason) string {
	if name, known := inspect.ReasonName(reason); known {
		return name
	}
	return v1.ReasonDecisionUnknown
}

func WholeRate(response *inspectv1.ExplainResponse) int64 {
	return int64(math.Round(response.GetMessageRate()))
}
