package inspect_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/jawaracloud/pubsub-operator/internal/declared"
	"github.com/jawaracloud/pubsub-operator/proto/inspect"
	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
)

func TestAnErrorOfTheScalersOwnIsKnown(t *testing.T) {
	foreign, err := status.New(codes.Unavailable, "x").WithDetails(&errdetails.ErrorInfo{Reason: "TargetNotFound", Domain: "example.com"})
	assert.NoError(t, err)
	for name, test := range map[string]struct {
		err    error
		reason inspect.ErrorReason
		own    bool
	}{
		"the scaler's own":     {inspect.Error(codes.NotFound, inspect.TargetNotFound, "x"), inspect.TargetNotFound, true},
		"of the transport":     {status.Error(codes.Unavailable, "x"), "", false},
		"of another service's": {foreign.Err(), "", false},
		"no status":            {errors.New("x"), "", false},
	} {
		t.Run(name, func(t *testing.T) {
			reason, own := inspect.ReasonOf(status.Convert(test.err))
			assert.Equal(t, test.reason, reason)
			assert.Equal(t, test.own, own)
		})
	}
	got := status.Convert(inspect.Error(codes.NotFound, inspect.TargetNotFound, "no such thing"))
	assert.Equal(t, codes.NotFound, got.Code())
	assert.Equal(t, "no such thing", got.Message())
}

// A reason that is declared twice, or under another name, would be looked for in vain.
func TestEveryErrorReasonIsCalledAsItIsDeclared(t *testing.T) {
	for name, reason := range declared.Constants[inspect.ErrorReason](t) {
		assert.Equal(t, name, string(reason))
	}
}

func TestFailure(t *testing.T) {
	failure := inspect.Failure(codes.FailedPrecondition, inspect.InvalidTrigger, "words")
	assert.True(t, proto.Equal(&inspectv1.Failure{Code: "FAILED_PRECONDITION", Reason: "InvalidTrigger", Message: "words"}, failure), "%v", failure)
	assert.Equal(t, "FailedPrecondition", inspect.CodeName(failure))
	assert.Empty(t, inspect.CodeName(&inspectv1.Failure{}))
}

func TestNames(t *testing.T) {
	for reason, want := range map[inspectv1.Reason]string{
		inspectv1.Reason_REASON_WITHIN_BAND:                    "WithinBand",
		inspectv1.Reason_REASON_FEWER_WOULD_EXCEED_UPPER_BOUND: "FewerWouldExceedUpperBound",
		inspectv1.Reason_REASON_IDLE:                           "Idle",
	} {
		name, known := inspect.ReasonName(reason)
		assert.True(t, known, want)
		assert.Equal(t, want, name)
	}
	name, known := inspect.ReasonName(99)
	assert.False(t, known, "a newer scaler's")
	assert.Equal(t, "99", name)
	assert.Equal(t, "ScaleDown", inspect.ActionName(inspectv1.Action_ACTION_SCALE_DOWN))
}

// counting are the fields of an answer that are no news: they differ with every read, or
// tell in words what does.
var counting = map[protoreflect.Name]bool{"sample_age": true, "cooldown_left": true, "oldest_age": true, "explanation": true,
	"busy": true, "busy_over_window": true, "window_seen": true, "utilization": true, "mean_time_in_flight": true}

// What only counts is no news, and whatever else there is in an answer is: the loop is over
// all fields that the contract has. One that is added is thought of here.
func TestEveryFieldIsNewsOrCounts(t *testing.T) {
	fields := (&inspectv1.ExplainResponse{}).ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		answer := &inspectv1.ExplainResponse{}
		set(t, answer.ProtoReflect(), field)
		kept := proto.CloneOf(answer)
		assert.Equal(t, counting[field.Name()], proto.Equal(inspect.Lasting(answer), &inspectv1.ExplainResponse{}), "%s", field.Name())
		assert.True(t, proto.Equal(kept, answer), "%s: an answer is not the asker's to change", field.Name())
		inspect.DropCounting(answer)
		assert.True(t, proto.Equal(inspect.Lasting(kept), answer), "%s", field.Name())
		if field.Kind() == protoreflect.MessageKind && field.Message().FullName() == "google.protobuf.Duration" {
			assert.True(t, counting[field.Name()], "%s is a length of time: does it not count on?", field.Name())
		}
	}
	assert.Greater(t, fields.Len(), 20)
	older := func(by time.Duration) *inspectv1.ExplainResponse {
		return inspect.Lasting(&inspectv1.ExplainResponse{QueueDepth: 5, OldestAge: durationpb.New(by)})
	}
	assert.True(t, proto.Equal(older(time.Second), older(2*time.Second)))
}

// How much of a window was seen counts on; that all of it was is news.
func TestAWindowThatWasSeenIsNews(t *testing.T) {
	seen := func(by time.Duration) *inspectv1.ExplainResponse {
		return inspect.Lasting(&inspectv1.ExplainResponse{WindowSeen: durationpb.New(by), Policy: &inspectv1.Policy{UtilizationWindow: durationpb.New(time.Minute)}})
	}
	assert.True(t, proto.Equal(seen(time.Second), seen(2*time.Second)))
	assert.False(t, proto.Equal(seen(59*time.Second), seen(time.Minute)))
}

// set gives a field some value other than none.
func set(t *testing.T, message protoreflect.Message, field protoreflect.FieldDescriptor) {
	t.Helper()
	switch {
	case field.IsList():
		message.Mutable(field).List().AppendMutable()
		return
	case field.Message() != nil:
		message.Mutable(field)
		return
	}
	value, known := map[protoreflect.Kind]any{
		protoreflect.BoolKind: true, protoreflect.StringKind: "x", protoreflect.Int32Kind: int32(1), protoreflect.Int64Kind: int64(1),
		protoreflect.DoubleKind: 1.0, protoreflect.EnumKind: protoreflect.EnumNumber(1),
	}[field.Kind()]
	if !known {
		t.Fatalf("%s is of kind %s: give it a value here", field.Name(), field.Kind())
	}
	message.Set(field, protoreflect.ValueOf(value))
}

func TestWithoutDigits(t *testing.T) {
	assert.Equal(t, "read tcp ...:->...:: refused", inspect.WithoutDigits("read tcp 10.0.0.1:5432->10.0.0.2:6379: refused"))
	assert.Equal(t, "for  s", inspect.WithoutDigits("for 3 s"))
}
