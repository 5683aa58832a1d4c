package translator

import (
	"context"
	"errors"
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

// Explainer asks the scaler what it would decide now, and why.
type Explainer interface {
	// Explain answers as Inspector.Explain does. Its errors are gRPC statuses; those of
	// the scaler's own are those of proto/inspect.
	// The answer is the caller's to change.
	Explain(ctx context.Context, request *inspectv1.ExplainRequest) (*inspectv1.ExplainResponse, error)
}

// question is what the scaler is asked about one channel. It is kept for as long as the
// channel lives; what most channels have in common is there once for all.
type question struct {
	channelName string
	queue       trigger.Queue
	redis       unique.Handle[trigger.Redis]
	policy      unique.Handle[policy.Spec]
	replicas    int32 // the Deployment's spec.replicas
	// scaled is true where KEDA scales the target. Only then is the cluster asked for
	// replicas and the last scaling; else the scaler needs nothing but the queue.
	scaled bool
}

// newQuestion leaves out the state of a trigger, which one without a cluster alone has.
func newQuestion(t trigger.Trigger, replicas int32, scaled bool) question {
	return question{
		channelName: t.ChannelName, queue: t.Queue, redis: unique.Make(t.Redis), policy: unique.Make(t.Policy),
		replicas: replicas, scaled: scaled,
	}
}

func (q question) equal(other question) bool {
	return q.replicas == other.replicas && q.scaled == other.scaled &&
		q.channelName == other.channelName && q.queue.Equal(other.queue) && q.redis == other.redis && q.policy == other.policy
}

func (q question) request(namespace, name string) *inspectv1.ExplainRequest {
	t := trigger.Trigger{ChannelName: q.channelName, Queue: q.queue, Redis: q.redis.Value(), Policy: q.policy.Value()}
	request := &inspectv1.ExplainRequest{Namespace: namespace, Name: name, ScalerMetadata: t.Metadata()}
	if !q.scaled {
		request.Replicas = &q.replicas
		request.LastScaleTime = timestamppb.New(time.Unix(0, 0)) // never
	}
	return request
}

// answer is what the scaler said, or why it didn't.
type answer struct {
	question question
	response *inspectv1.ExplainResponse // nil where err is not
	err      error
	// since is when the scaler first gave this decision to this question, or when what held it
	// up let go.
	since time.Time
}

// decides reports whether the other answer is to the same question, with the same decision,
// of which it is a part whether KEDA is to count the target as active.
func (a *answer) decides(other *answer) bool {
	return other != nil && a.err == nil && other.err == nil && a.question.equal(other.question) &&
		a.response.GetAction() == other.response.GetAction() && a.response.GetActive() == other.response.GetActive()
}

// depth is the queue's depth in messages; nil while it is unknown.
func (a *answer) depth() *int64 {
	if a == nil || a.err != nil {
		return nil
	}
	depth := a.response.GetQueueDepth()
	return &depth
}

// sameAs reports whether the other answer says the same, but for words that only count.
func (a *answer) sameAs(other *answer) bool {
	if a == nil || other == nil {
		return a == other
	}
	if (a.err == nil) != (other.err == nil) || !a.question.equal(other.question) {
		return false
	}
	if a.err != nil {
		return withoutDigits(a.err.Error()) == withoutDigits(other.err.Error())
	}
	x, y := a.response, other.response
	return x.GetQueueDepth() == y.GetQueueDepth() &&
		x.GetDepthIsLowerBound() == y.GetDepthIsLowerBound() &&
		x.GetQueueType() == y.GetQueueType() &&
		x.GetReason() == y.GetReason() &&
		x.GetLastingExplanation() == y.GetLastingExplanation() &&
		x.GetReplicas() == y.GetReplicas() &&
		x.GetDesiredReplicas() == y.GetDesiredReplicas() &&
		(x.MessageRate == nil) == (y.MessageRate == nil) &&
		wholeRate(x) == wholeRate(y)
}

// unreachable tells a scaler that could not be asked from one that answered with an
// error, and gives the code and the words of the error.
func unreachable(err error) (bool, codes.Code, string) {
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

// reasonName is the scaler's reason as a condition's. One that only a newer scaler knows has
// no name here, and its number would not do: the API server refuses a status with a reason
// that does not begin with a letter.
func reasonName(reason inspectv1.Reason) string {
	if name, known := inspect.ReasonName(reason); known {
		return name
	}
	return v1.ReasonDecisionUnknown
}

// withoutDigits is a message without what merely counts.
func withoutDigits(message string) string { return inspect.WithoutDigits(message) }
